package hsm

// #include <stdlib.h>
// #include "cryptoki.h"
import "C"

import (
	"strings"
	"unsafe"

	"station/internal/secret"
)

// An arena is memory of C for the arguments of one call. It is overwritten
// before it is freed.
type arena struct {
	blocks []block
}

type block struct {
	at unsafe.Pointer
	n  int
}

func (a *arena) make(n int) unsafe.Pointer {
	p := C.calloc(C.size_t(max(n, 1)), 1)
	a.blocks = append(a.blocks, block{p, n})
	return p
}

func (a *arena) bytes(b []byte) (word, word) {
	if len(b) == 0 {
		return 0, 0
	}
	p := a.make(len(b))
	copy(unsafe.Slice((*byte)(p), len(b)), b)
	return address(p), word(len(b))
}

func (a *arena) template(list []*attribute) (word, word) {
	if len(list) == 0 {
		return 0, 0
	}
	p := a.make(len(list) * C.sizeof_struct_attribute)
	for i, at := range unsafe.Slice((*C.struct_attribute)(p), len(list)) {
		at.n = C.ulong(len(list[i].Value))
		at._type = C.ulong(list[i].Type)
		if at.n > 0 {
			at.value = a.make(len(list[i].Value))
			copy(unsafe.Slice((*byte)(at.value), len(list[i].Value)), list[i].Value)
		}
		unsafe.Slice((*C.struct_attribute)(p), len(list))[i] = at
	}
	return address(p), word(len(list))
}

func (a *arena) mechanism(m mechanism) word {
	p := (*C.struct_mechanism)(a.make(C.sizeof_struct_mechanism))
	p.id = C.ulong(m.id)
	if len(m.params) > 0 {
		size := C.sizeof_ulong * len(m.params)
		p.param, p.n = a.make(size), C.ulong(size)
		for i, v := range m.params {
			unsafe.Slice((*C.ulong)(p.param), len(m.params))[i] = C.ulong(v)
		}
	}
	return address(unsafe.Pointer(p))
}

// number is room for one number.
func (a *arena) number(n uint) *C.ulong {
	p := (*C.ulong)(a.make(C.sizeof_ulong))
	*p = C.ulong(n)
	return p
}

func (a *arena) free() {
	for _, b := range a.blocks {
		clear(unsafe.Slice((*byte)(b.at), b.n))
		C.free(b.at)
	}
}

func address(p unsafe.Pointer) word { return word(uintptr(p)) }

// page is the address of a secret's page, which Go does not move.
func page(s *secret.Bytes) (word, word) {
	b := s.Reveal()
	if len(b) == 0 {
		return 0, 0
	}
	return address(unsafe.Pointer(unsafe.SliceData(b))), word(len(b))
}

// trimmed is a field of fixed length without what fills it up.
func trimmed(b []C.char) string {
	return strings.TrimRight(C.GoStringN(&b[0], C.int(len(b))), " \x00")
}
