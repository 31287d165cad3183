// Package chip describes chips as data, one literal for each family, and has the
// words that all packages share when they speak of a chip: who it is, one register
// write, and what can be wrong between it and us.
package chip

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// MAC is the factory base MAC address in transmission order.
type MAC [6]byte

var separators = strings.NewReplacer(":", "", "-", "")

// ParseMAC reads six hexadecimal bytes with or without separators (: or -).
func ParseMAC(s string) (MAC, error) {
	var m MAC
	b, err := hex.DecodeString(separators.Replace(strings.TrimSpace(s)))
	if err != nil || len(b) != len(m) {
		return MAC{}, fmt.Errorf("MAC %q: want six bytes like 24:0a:c4:01:02:03", s)
	}
	copy(m[:], b)
	return m, nil
}

// String is the lower-case form with colons.
func (m MAC) String() string {
	var b [3 * len(m)]byte
	return string(m.Append(b[:0]))
}

// Append appends what String returns.
func (m MAC) Append(b []byte) []byte {
	const digits = "0123456789abcdef"
	for _, c := range m {
		b = append(b, digits[c>>4], digits[c&15], ':')
	}
	return b[:len(b)-1]
}

// IsZero reports a MAC that was never read.
func (m MAC) IsZero() bool { return m == MAC{} }

// Local reports a locally administered MAC: no factory gives one to a chip, and
// every virtual chip has one.
func (m MAC) Local() bool { return m[0]&2 != 0 }

// How a virtual chip says that it is one: a read of MarkAddr answers Mark. The
// mask ROM has the first byte of a function there, 0x36, as the recorded ROM
// shows, and nobody can write it: no real chip answers Mark.
const (
	MarkAddr = 0x40001004
	Mark     = 0x314d4953 // "SIM1"
)

// MarshalText writes the form of String; nothing for a zero MAC.
func (m MAC) MarshalText() ([]byte, error) {
	if m.IsZero() {
		return nil, nil
	}
	return []byte(m.String()), nil
}

// UnmarshalText reads what MarshalText writes.
func (m *MAC) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*m = MAC{}
		return nil
	}
	v, err := ParseMAC(string(b))
	*m = v
	return err
}

// CRC8 is the check that eFuse BLOCK0 keeps beside the MAC (Dallas/Maxim,
// reflected polynomial 0x8C, start 0).
func (m MAC) CRC8() byte {
	var crc byte
	for _, b := range m {
		crc ^= b
		for range 8 {
			lsb := crc & 1
			crc >>= 1
			if lsb != 0 {
				crc ^= 0x8c
			}
		}
	}
	return crc
}

// Revision is a chip revision as major*100+minor: 300 is v3.0.
type Revision uint16

// Major is the mask revision (0, 1, 2 or 3).
func (r Revision) Major() int { return int(r) / 100 }

func (r Revision) String() string { return fmt.Sprintf("v%d.%d", int(r)/100, int(r)%100) }

// Coding is eFuse CODING_SCHEME: how BLOCK1-3 are stored.
type Coding uint8

// The coding schemes of BLOCK1-3. The chip treats 3 as none.
const (
	CodingNone   Coding = 0
	Coding34     Coding = 1
	CodingRepeat Coding = 2
)

func (c Coding) String() string {
	switch c {
	case Coding34:
		return "3/4"
	case CodingRepeat:
		return "repeat"
	}
	return "none"
}

// KeyBytes is the length of a flash-encryption key under the scheme, 0 where
// the scheme is not supported.
func (c Coding) KeyBytes() int {
	switch c {
	case Coding34:
		return 24
	case CodingRepeat:
		return 0
	}
	return 32
}

// Identity is what the loader can tell about a chip without changing it.
type Identity struct {
	MAC       MAC      `json:"mac"`
	Chip      string   `json:"chip,omitempty"` // name of its family; entries of old have none, see Recorded
	Revision  Revision `json:"revision"`
	Package   string   `json:"package"`    // "ESP32-D0WD-V3"
	Crystal   int      `json:"crystalMHz"` // 26 or 40
	Coding    Coding   `json:"coding"`
	FlashID   uint32   `json:"flashId"`             // RDID: manufacturer in the low byte
	FlashSize uint32   `json:"flashSize"`           // bytes; 0 where the ID is not known
	Simulated bool     `json:"simulated,omitempty"` // it says that it is a virtual chip
}

// Of is the family of a chip that was identified.
func (id Identity) Of() *Family { return Known(ByName(id.Chip)) }

// RegWrite is one group of a WRITE_REG command: the masked bits of Value are
// written to Addr, then the ROM waits Delay (microseconds).
type RegWrite struct {
	Addr, Value, Mask uint32
	Delay             time.Duration
}

// Set is a RegWrite of a whole register.
func Set(addr, value uint32) RegWrite { return RegWrite{Addr: addr, Value: value, Mask: 0xffffffff} }

// WriteStats tells what a flash write cost.
type WriteStats struct {
	Sent    int // payload bytes that went over the wire
	Skipped int // bytes that the flash already held
	Erased  int // sectors erased
	Retries int // blocks written again

	MD5 [16]byte // of the bytes, as the chip computed it when all was done
}

// What can be wrong between a chip and us. The loader wraps these; the flow
// turns them into verdicts.
var (
	// ErrNoAnswer: the chip said nothing in time.
	ErrNoAnswer = errors.New("no answer from the chip")
	// ErrPortGone: the port vanished while in use: a pulled cable, a dead adapter.
	ErrPortGone = errors.New("the port is gone")
	// ErrPortAbsent: there is no such port.
	ErrPortAbsent = errors.New("no such port")
	// ErrPortBusy: another program holds the port.
	ErrPortBusy = errors.New("the port is in use by another program")
	// ErrBootMode: the chip runs from flash instead of the loader.
	ErrBootMode = errors.New("the chip started from flash, not in the loader")
	// ErrDownloadDisabled: UART_DOWNLOAD_DIS is burned; the loader is closed for ever.
	ErrDownloadDisabled = errors.New("the chip's serial loader is disabled by a fuse")
	// ErrDeaf: the chip prints that it waits in the loader but does not hear us.
	ErrDeaf = errors.New("the chip waits in the loader but hears nothing")
	// ErrNotESP32: something else answered.
	ErrNotESP32 = errors.New("not an ESP32")
	// ErrMACCRC: the factory MAC does not match its check byte.
	ErrMACCRC = errors.New("the factory MAC fails its CRC")
	// ErrRefused: the ROM answered with an error status.
	ErrRefused = errors.New("refused by the ROM loader")
	// ErrFlashID: the flash chip does not identify itself.
	ErrFlashID = errors.New("the flash chip does not identify itself")
	// ErrVerify: the flash does not hold what was written.
	ErrVerify = errors.New("the flash does not hold what was written")
)
