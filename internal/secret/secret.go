// Package secret holds key material in memory that the garbage collector does
// not move, the kernel does not swap and core dumps leave out, in a type that
// cannot be printed, formatted or marshalled.
package secret

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"unsafe"
)

// ErrMarshal answers every attempt to serialise a secret.
var ErrMarshal = errors.New("secret: refusing to marshal key material")

const redacted = "[secret]"

// Bytes is key material. The zero value is an empty secret. It must not be
// copied; pass the pointer.
type Bytes struct {
	mu   sync.Mutex
	free func()
	// A pointer, not a slice: package fmt prints the fields of a struct around
	// an unexported Bytes without asking its methods.
	p unsafe.Pointer
	n int
}

// New moves b into protected memory and overwrites b.
func New(b []byte) (*Bytes, error) {
	s, err := Make(len(b))
	if err != nil {
		clear(b)
		return nil, err
	}
	copy(s.Reveal(), b)
	clear(b)
	return s, nil
}

// Make returns a secret of n zero bytes, to be filled through Reveal.
func Make(n int) (*Bytes, error) {
	page, free, err := alloc(n)
	if err != nil {
		return nil, fmt.Errorf("secret memory: %w", err)
	}
	s := &Bytes{p: unsafe.Pointer(unsafe.SliceData(page)), n: n, free: free}
	// A forgotten secret is still overwritten when nothing refers to it.
	runtime.AddCleanup(s, func(f func()) { f() }, free)
	return s, nil
}

// Reveal returns the bytes themselves, not a copy. They are gone after
// Destroy; callers must not keep them.
func (s *Bytes) Reveal() []byte {
	if s == nil || s.p == nil {
		return nil
	}
	return unsafe.Slice((*byte)(s.p), s.n)
}

// Len is the number of secret bytes.
func (s *Bytes) Len() int {
	if s == nil {
		return 0
	}
	return s.n
}

// Destroy overwrites the bytes and gives the memory back. It may be called
// more than once and on nil.
func (s *Bytes) Destroy() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free != nil {
		s.free()
	}
	s.p, s.n, s.free = nil, 0, nil
}

// String returns a fixed word.
func (*Bytes) String() string { return redacted }

// GoString returns a fixed word.
func (*Bytes) GoString() string { return redacted }

// Format writes a fixed word for every verb.
func (*Bytes) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue keeps the bytes out of structured logs.
func (*Bytes) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON always returns ErrMarshal.
func (*Bytes) MarshalJSON() ([]byte, error) { return nil, ErrMarshal }

// MarshalText always returns ErrMarshal.
func (*Bytes) MarshalText() ([]byte, error) { return nil, ErrMarshal }

// MarshalBinary always returns ErrMarshal.
func (*Bytes) MarshalBinary() ([]byte, error) { return nil, ErrMarshal }

// GobEncode always returns ErrMarshal.
func (*Bytes) GobEncode() ([]byte, error) { return nil, ErrMarshal }
