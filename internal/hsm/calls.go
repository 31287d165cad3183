package hsm

// #include "cryptoki.h"
import "C"

import (
	"fmt"
	"unsafe"

	"station/internal/secret"

	"github.com/miekg/pkcs11"
)

// The functions that are called, by their place in the list.
const (
	cInitialize = 0 + iota
	cFinalize
	cGetInfo
	_
	cGetSlotList
	cGetSlotInfo
	cGetTokenInfo
	cGetMechanismList
	_
	cInitToken
	cInitPIN
	_
	cOpenSession
	cCloseSession
	_
	cGetSessionInfo
	cLogin             = 18
	cCreateObject      = 20
	cDestroyObject     = 22
	cGetAttributeValue = 24
	cSetAttributeValue = 25
	cFindObjectsInit   = 26
	cFindObjects       = 27
	cFindObjectsFinal  = 28
	cSignInit          = 42
	cSign              = 43
	cGenerateKey       = 58
	cGenerateKeyPair   = 59
	cWrapKey           = 60
	cUnwrapKey         = 61
	cGenerateRandom    = 64
)

func (f functions) Initialize() error {
	var a arena
	defer a.free()
	args := (*C.struct_init_args)(a.make(C.sizeof_struct_init_args))
	args.flags = pkcs11.CKF_OS_LOCKING_OK
	return f.call(cInitialize, address(unsafe.Pointer(args)))
}

func (f functions) Finalize() error { return f.call(cFinalize, 0) }

// GetInfo says what the library calls itself, with its version.
func (f functions) GetInfo() (string, error) {
	var a arena
	defer a.free()
	i := (*C.struct_info)(a.make(C.sizeof_struct_info))
	err := f.call(cGetInfo, address(unsafe.Pointer(i)))
	return fmt.Sprintf("%s, %s %s", trimmed(i.maker[:]), trimmed(i.library[:]), version(i.libversion.major, i.libversion.minor)), err
}

// GetSlotList lists the slots that hold a token.
func (f functions) GetSlotList() ([]uint, error) {
	return f.numbers(func(list, n word) error { return f.call(cGetSlotList, 1, list, n) })
}

// GetMechanismList lists the mechanisms of a slot.
func (f functions) GetMechanismList(slot uint) ([]uint, error) {
	return f.numbers(func(list, n word) error { return f.call(cGetMechanismList, word(slot), list, n) })
}

// numbers asks for the length of a list and then for the list. PKCS#11 wants
// both: a module may look for new slots only when asked for the length.
func (f functions) numbers(ask func(list, n word) error) ([]uint, error) {
	var a arena
	defer a.free()
	n := a.number(0)
	if err := ask(0, address(unsafe.Pointer(n))); err != nil || *n == 0 {
		return nil, err
	}
	room := int(*n)
	p := a.make(room * C.sizeof_ulong)
	if err := ask(address(p), address(unsafe.Pointer(n))); err != nil {
		return nil, err
	}
	var all []uint
	for _, v := range unsafe.Slice((*C.ulong)(p), min(room, int(*n))) {
		all = append(all, uint(v))
	}
	return all, nil
}

// GetSlotInfo is the description of a slot, and its flags.
func (f functions) GetSlotInfo(slot uint) (description string, flags uint, err error) {
	var a arena
	defer a.free()
	i := (*C.struct_slot_info)(a.make(C.sizeof_struct_slot_info))
	err = f.call(cGetSlotInfo, word(slot), address(unsafe.Pointer(i)))
	return trimmed(i.description[:]), uint(i.flags), err
}

func (f functions) GetTokenInfo(slot uint) (Info, error) {
	var a arena
	defer a.free()
	i := (*C.struct_token_info)(a.make(C.sizeof_struct_token_info))
	err := f.call(cGetTokenInfo, word(slot), address(unsafe.Pointer(i)))
	return Info{
		Label: trimmed(i.label[:]), Serial: trimmed(i.serial[:]), Model: trimmed(i.model[:]), Manufacturer: trimmed(i.maker[:]),
		Hardware: version(i.hardware.major, i.hardware.minor), Firmware: version(i.firmware.major, i.firmware.minor), Slot: slot, Flags: uint(i.flags),
		minPIN: int(i.min_pin), maxPIN: int(i.max_pin),
	}, err
}

func (f functions) InitToken(slot uint, pin *secret.Bytes, label string) error {
	var a arena
	defer a.free()
	padded, _ := a.bytes([]byte(pad(label, 32)))
	p, n := page(pin)
	return f.call(cInitToken, word(slot), p, n, padded)
}

func (f functions) InitPIN(s session, pin *secret.Bytes) error {
	p, n := page(pin)
	return f.call(cInitPIN, word(s), p, n)
}

// OpenSession opens one for reading and writing.
func (f functions) OpenSession(slot uint) (session, error) {
	var a arena
	defer a.free()
	s := a.number(0)
	err := f.call(cOpenSession, word(slot), pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION, 0, 0, address(unsafe.Pointer(s)))
	return session(*s), err
}

func (f functions) CloseSession(s session) error { return f.call(cCloseSession, word(s)) }

// SessionState is one of CKS_….
func (f functions) SessionState(s session) (uint, error) {
	var a arena
	defer a.free()
	i := (*C.struct_session_info)(a.make(C.sizeof_struct_session_info))
	err := f.call(cGetSessionInfo, word(s), address(unsafe.Pointer(i)))
	return uint(i.state), err
}

// Login with an empty PIN leaves the question to the token's own key pad.
func (f functions) Login(s session, user uint, pin *secret.Bytes) error {
	p, n := page(pin)
	return f.call(cLogin, word(s), word(user), p, n)
}

func version(major, minor C.uchar) string { return fmt.Sprintf("%d.%d", major, minor) }
