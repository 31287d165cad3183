package esploader

import (
	"encoding/binary"
	"errors"
	"fmt"

	"station/internal/chip"
)

// A reply:
//
//	01  opcode  length u16  value u32  payload  status  code  left-over u16
//
// status is 0 for success, or 1 and a code. The code after success, the
// left-over bytes, and the value of anything but READ_REG are those of earlier
// commands.
type reply struct {
	op     byte
	value  uint32
	status byte
	code   byte
	stub   bool // two status bytes: not the ROM speaks but a program loaded into the chip
	n      int
	data   [64]byte
}

var (
	errNotReply = errors.New("not a reply")
	errDamaged  = errors.New("damaged reply")
	errTooMany  = fmt.Errorf("%w: a reply too many", chip.ErrNoAnswer)
)

// parseReply decodes a frame. It keeps nothing of it. Of a damaged reply the
// opcode is as it came.
func parseReply(frame []byte) (reply, error) {
	if len(frame) < headerSize || frame[0] != 1 {
		return reply{}, errNotReply
	}
	r := reply{op: frame[1], value: binary.LittleEndian.Uint32(frame[4:])}
	body := frame[headerSize:]
	if int(binary.LittleEndian.Uint16(frame[2:])) != len(body) || len(body) < 2 {
		return r, errDamaged
	}
	statusSize := 4
	if len(body) < 4 {
		statusSize, r.stub = 2, true
	}
	payload, status := body[:len(body)-statusSize], body[len(body)-statusSize:]
	if len(payload) > len(r.data) {
		return r, errDamaged
	}
	r.n = copy(r.data[:], payload)
	r.status, r.code = status[0], status[1]
	return r, nil
}

// answers decides whether r is the answer to c, where the ROM last accepted
// the opcode before. A reply to something older is not.
func (r *reply) answers(c *command, before byte) (bool, error) {
	switch {
	case r.status > 1 || r.n != 0 && !c.gives(r.n) && r.op == c.op:
		return false, errDamaged
	case r.status != 0 && (r.op == c.op || r.op == before && r.code == badMessage):
		return true, &StatusError{Op: c.name, Code: r.code}
	case r.op != c.op || r.status != 0:
		return false, nil
	case !c.gives(r.n), r.stub && c != cmdSync:
		return false, errDamaged
	}
	return true, nil
}

// Status codes on which something depends here.
const (
	badMessage  = 0x05
	badChecksum = 0x07
)

// StatusError is a refusal by the ROM. It is chip.ErrRefused.
type StatusError struct {
	Op   string // the command's name
	Code byte   // the ROM's error code
}

var statusText = map[byte]string{
	0x00: "undefined error", 0x01: "bad parameter", 0x02: "out of memory", 0x03: "send failed", 0x04: "receive failed",
	0x05: "bad message", 0x06: "could not be done", 0x07: "checksum error", 0x08: "flash write error", 0x09: "flash read error",
	0x0a: "flash read length", 0x0b: "inflate error", 0x0c: "Adler-32 mismatch", 0x0d: "deflate parameter",
	0x0e: "bad RAM size", 0x0f: "bad RAM address",
	0x64: "invalid parameter", 0x65: "invalid format", 0x66: "description too long", 0x67: "bad encoding", 0x69: "no room",
}

func (e *StatusError) Error() string {
	text := statusText[e.Code]
	if text == "" {
		text = "unknown"
	}
	return fmt.Sprintf("%s: %v: status %#02x (%s)", e.Op, chip.ErrRefused, e.Code, text)
}

// Unwrap makes every refusal chip.ErrRefused.
func (e *StatusError) Unwrap() error { return chip.ErrRefused }

func refusedWith(err error, codes ...byte) bool {
	var s *StatusError
	if !errors.As(err, &s) {
		return false
	}
	for _, c := range codes {
		if s.Code == c {
			return true
		}
	}
	return len(codes) == 0
}
