package hsm

// #include "cryptoki.h"
import "C"

import (
	"errors"
	"slices"
	"unsafe"

	"station/internal/secret"

	"github.com/miekg/pkcs11"
)

func (f functions) CreateObject(s session, template []*attribute) (object, error) {
	var a arena
	defer a.free()
	list, n := a.template(template)
	h := a.number(0)
	err := f.call(cCreateObject, word(s), list, n, address(unsafe.Pointer(h)))
	return object(*h), err
}

func (f functions) DestroyObject(s session, h object) error {
	return f.call(cDestroyObject, word(s), word(h))
}

// room is the length of the buffer for an attribute. Numbers get one of just
// their size: NSS tells those of objects in the token in no other. The longest
// of the rest is an RSA modulus of 8192 bits.
func room(attr uint) C.ulong {
	switch attr {
	case pkcs11.CKA_CLASS, pkcs11.CKA_KEY_TYPE, pkcs11.CKA_VALUE_LEN:
		return C.sizeof_ulong
	}
	return 1024
}

// Attributes asks for all the attributes in one call. One that the object or
// the token does not have, or does not tell, is missing from the answer.
func (f functions) Attributes(s session, h object, types []uint) (attributes, error) {
	var a arena
	defer a.free()
	p := a.make(len(types) * C.sizeof_struct_attribute)
	list := unsafe.Slice((*C.struct_attribute)(p), len(types))
	for i := range list {
		n := room(types[i])
		list[i]._type, list[i].value, list[i].n = C.ulong(types[i]), a.make(int(n)), n
		for j := range unsafe.Slice((*byte)(list[i].value), int(n)) {
			unsafe.Slice((*byte)(list[i].value), int(n))[j] = unwritten
		}
	}
	err := f.call(cGetAttributeValue, word(s), word(h), address(p), word(len(types)))
	if err != nil && !isCode(err, pkcs11.CKR_ATTRIBUTE_TYPE_INVALID, pkcs11.CKR_ATTRIBUTE_SENSITIVE, pkcs11.CKR_BUFFER_TOO_SMALL) {
		return nil, err
	}
	got := attributes{}
	for i, at := range list {
		switch {
		case at.n == C.ulong(pkcs11.CK_UNAVAILABLE_INFORMATION), at.n > room(types[i]):
		case err != nil && len(types) > 1 && at.n == room(types[i]) && untouched(unsafe.Slice((*byte)(at.value), int(at.n))):
			// The module stopped before it.
			one, err := f.Attributes(s, h, types[i:i+1])
			if err != nil {
				return nil, err
			}
			if v, ok := one[types[i]]; ok {
				got[types[i]] = v
			}
		default:
			got[types[i]] = append([]byte{}, unsafe.Slice((*byte)(at.value), int(at.n))...)
		}
	}
	return got, nil
}

// unwritten fills buffers that the module has not written to: no class, type
// or length looks like that.
const unwritten = 0xa5

func untouched(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c != unwritten })
}

func (f functions) SetAttribute(s session, h object, at *attribute) error {
	var a arena
	defer a.free()
	list, n := a.template([]*attribute{at})
	return f.call(cSetAttributeValue, word(s), word(h), list, n)
}

// Find lists the objects that have all the given attributes.
func (f functions) Find(s session, template []*attribute) ([]object, error) {
	var a arena
	defer a.free()
	list, n := a.template(template)
	if err := f.call(cFindObjectsInit, word(s), list, n); err != nil {
		return nil, err
	}
	const room = 64
	p, count := a.make(room*C.sizeof_ulong), a.number(0)
	var all []object
	for {
		err := f.call(cFindObjects, word(s), address(p), room, address(unsafe.Pointer(count)))
		if err != nil {
			return nil, errors.Join(err, f.call(cFindObjectsFinal, word(s)))
		}
		for _, h := range unsafe.Slice((*C.ulong)(p), min(room, int(*count))) {
			all = append(all, object(h))
		}
		if *count < room {
			return all, f.call(cFindObjectsFinal, word(s))
		}
	}
}

func (f functions) SignInit(s session, m mechanism, h object) error {
	var a arena
	defer a.free()
	return f.call(cSignInit, word(s), a.mechanism(m), word(h))
}

// Sign fills out with the result of an operation begun by SignInit and
// returns its length.
func (f functions) Sign(s session, data []byte, out *secret.Bytes) (int, error) {
	var a arena
	defer a.free()
	in, n := a.bytes(data)
	to, room := page(out)
	length := a.number(uint(room))
	err := f.call(cSign, word(s), in, n, to, address(unsafe.Pointer(length)))
	return int(*length), err
}

// Signature is Sign for a result that is no secret.
func (f functions) Signature(s session, data []byte) ([]byte, error) {
	var a arena
	defer a.free()
	in, n := a.bytes(data)
	return a.answer(func(to, length word) error { return f.call(cSign, word(s), in, n, to, length) })
}

// answer is what a call puts into a buffer.
func (a *arena) answer(call func(to, length word) error) ([]byte, error) {
	const room = 2048 // a signature or a wrapped key of RSA with 16384 bits
	to, length := a.make(room), a.number(room)
	if err := call(address(to), address(unsafe.Pointer(length))); err != nil {
		return nil, err
	}
	return append([]byte{}, unsafe.Slice((*byte)(to), min(room, int(*length)))...), nil
}

func (f functions) GenerateKey(s session, m mechanism, template []*attribute) (object, error) {
	var a arena
	defer a.free()
	list, n := a.template(template)
	h := a.number(0)
	err := f.call(cGenerateKey, word(s), a.mechanism(m), list, n, address(unsafe.Pointer(h)))
	return object(*h), err
}

func (f functions) GenerateKeyPair(s session, m mechanism, public, private []*attribute) (pub, priv object, err error) {
	var a arena
	defer a.free()
	publics, np := a.template(public)
	privates, n := a.template(private)
	h, k := a.number(0), a.number(0)
	err = f.call(cGenerateKeyPair, word(s), a.mechanism(m), publics, np, privates, n, address(unsafe.Pointer(h)), address(unsafe.Pointer(k)))
	return object(*h), object(*k), err
}

func (f functions) WrapKey(s session, m mechanism, with, key object) ([]byte, error) {
	var a arena
	defer a.free()
	return a.answer(func(to, length word) error {
		return f.call(cWrapKey, word(s), a.mechanism(m), word(with), word(key), to, length)
	})
}

func (f functions) UnwrapKey(s session, m mechanism, with object, blob []byte, template []*attribute) (object, error) {
	var a arena
	defer a.free()
	in, size := a.bytes(blob)
	list, n := a.template(template)
	h := a.number(0)
	err := f.call(cUnwrapKey, word(s), a.mechanism(m), word(with), in, size, list, n, address(unsafe.Pointer(h)))
	return object(*h), err
}

// Random asks the token for n random bytes.
func (f functions) Random(s session, n int) ([]byte, error) {
	var a arena
	defer a.free()
	p := a.make(n)
	err := f.call(cGenerateRandom, word(s), address(p), word(n))
	return append([]byte{}, unsafe.Slice((*byte)(p), n)...), err
}
