//go:build !cgo

package hsm

import (
	"fmt"
	"sync/atomic"

	"station/internal/secret"
)

// A PKCS#11 module is a library of C, which a program that was built without
// cgo cannot load. Whoever needs a token ends at canLoad; the other functions
// of this file stand for those of raw.go and calls.go and are never called.
var errNoCgo = fmt.Errorf("%w: this build has no PKCS#11 (built without cgo); "+
	"use the Debian package, or a build with CGO_ENABLED=1 and a C compiler", ErrNoModule)

func canLoad() error { return errNoCgo }

type functions struct {
	since, calls *atomic.Int64
}

func loadFunctions(string) (functions, error) { return functions{}, errNoCgo }

func scrubbed(fn func() error) error { return fn() }

func clearRegisters() {}

func (functions) Initialize() error                                { return errNoCgo }
func (functions) Finalize() error                                  { return errNoCgo }
func (functions) GetInfo() (string, error)                         { return "", errNoCgo }
func (functions) GetSlotList() ([]uint, error)                     { return nil, errNoCgo }
func (functions) GetMechanismList(uint) ([]uint, error)            { return nil, errNoCgo }
func (functions) GetSlotInfo(uint) (string, uint, error)           { return "", 0, errNoCgo }
func (functions) GetTokenInfo(uint) (Info, error)                  { return Info{}, errNoCgo }
func (functions) InitToken(uint, *secret.Bytes, string) error      { return errNoCgo }
func (functions) InitPIN(session, *secret.Bytes) error             { return errNoCgo }
func (functions) OpenSession(uint) (session, error)                { return 0, errNoCgo }
func (functions) CloseSession(session) error                       { return errNoCgo }
func (functions) SessionState(session) (uint, error)               { return 0, errNoCgo }
func (functions) Login(session, uint, *secret.Bytes) error         { return errNoCgo }
func (functions) DestroyObject(session, object) error              { return errNoCgo }
func (functions) SetAttribute(session, object, *attribute) error   { return errNoCgo }
func (functions) SignInit(session, mechanism, object) error        { return errNoCgo }
func (functions) Signature(session, []byte) ([]byte, error)        { return nil, errNoCgo }
func (functions) Sign(session, []byte, *secret.Bytes) (int, error) { return 0, errNoCgo }
func (functions) Random(session, int) ([]byte, error)              { return nil, errNoCgo }

func (functions) CreateObject(session, []*attribute) (object, error) { return 0, errNoCgo }

func (functions) Attributes(session, object, []uint) (attributes, error) { return nil, errNoCgo }

func (functions) Find(session, []*attribute) ([]object, error) { return nil, errNoCgo }

func (functions) GenerateKey(session, mechanism, []*attribute) (object, error) { return 0, errNoCgo }

func (functions) GenerateKeyPair(session, mechanism, []*attribute, []*attribute) (pub, priv object, err error) {
	return 0, 0, errNoCgo
}

func (functions) WrapKey(session, mechanism, object, object) ([]byte, error) { return nil, errNoCgo }

func (functions) UnwrapKey(session, mechanism, object, []byte, []*attribute) (object, error) {
	return 0, errNoCgo
}
