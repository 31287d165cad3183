package hsm

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

// The types of PKCS#11 that the pkcs11 package has only in builds with cgo.
type (
	session uint // handle of a session
	object  uint // handle of an object
)

// An attribute of an object, its value as the module wants it.
type attribute struct {
	Type  uint
	Value []byte
}

// newAttribute makes an attribute from a bool, a number, a text or bytes.
func newAttribute(kind uint, value any) *attribute {
	a := &attribute{Type: kind}
	switch v := value.(type) {
	case bool:
		a.Value = []byte{0}
		if v {
			a.Value[0] = 1
		}
	case int:
		a.Value = long(uint(v))
	case uint:
		a.Value = long(v)
	case string:
		a.Value = []byte(v)
	case []byte:
		a.Value = v
	default:
		panic(fmt.Sprintf("attribute %#x: %T is no value of an attribute", kind, value))
	}
	return a
}

// long is a number as C's unsigned long, which has the size of Go's uint
// wherever PKCS#11 modules are called.
func long(v uint) []byte {
	if strconv.IntSize == 32 {
		return binary.NativeEndian.AppendUint32(nil, uint32(v))
	}
	return binary.NativeEndian.AppendUint64(nil, uint64(v))
}

// A mechanism is its number and its parameters, all of which are numbers.
type mechanism struct {
	id     uint
	params []uint
}

func mech(id uint, params ...uint) mechanism { return mechanism{id, params} }

// An answerCode is what a call returned, other than CKR_OK.
type answerCode uint

func (c answerCode) Error() string { return fmt.Sprintf("%s (%#x)", answers[uint(c)].name, uint(c)) }
