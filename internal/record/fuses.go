package record

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Fuses is a snapshot of a chip's fuse blocks without key material, in the
// chip's own order. Chips differ in the names, the number and the length of
// their blocks.
type Fuses []Block

// Block is one fuse block: its words where it never holds a secret, otherwise a
// digest or only a state. It has exactly one of the three.
type Block struct {
	Name   string   `json:"name"`
	State  string   `json:"state,omitempty"`  // BlockEmpty, BlockWritten or BlockHidden
	Digest string   `json:"digest,omitempty"` // sha256:… of what can be read
	Words  []string `json:"words,omitempty"`  // eight hex digits each
}

// The states of a block that is not told word by word.
const (
	BlockEmpty   = "empty"
	BlockWritten = "written" // holds bits, and anybody can read them
	BlockHidden  = "hidden"  // read-protected
)

// digestPrefix is how a digest is told from a state.
const digestPrefix = "sha256:"

// WordsBlock is a block that is told word by word.
func WordsBlock(name string, words []uint32) Block {
	b := Block{Name: name}
	for _, w := range words {
		b.Words = append(b.Words, fmt.Sprintf("%08x", w))
	}
	return b
}

// SealedBlock is a block that is told by a state or a digest.
func SealedBlock(name, text string) Block {
	if strings.HasPrefix(text, digestPrefix) {
		return Block{Name: name, Digest: text}
	}
	return Block{Name: name, State: text}
}

// String is the block's words with spaces between, its digest or its state.
func (b Block) String() string {
	if b.Words != nil {
		return strings.Join(b.Words, " ")
	}
	return b.Digest + b.State
}

// Block returns a block by its name; one without content where there is none.
func (f Fuses) Block(name string) Block {
	for _, b := range f {
		if b.Name == name {
			return b
		}
	}
	return Block{Name: name}
}

// String shows the blocks for people.
func (f Fuses) String() string {
	var parts []string
	for _, b := range f {
		parts = append(parts, b.Name+" "+b.String())
	}
	return strings.Join(parts, ", ")
}

func (f Fuses) clone() Fuses {
	f = slices.Clone(f)
	for i := range f {
		f[i].Words = slices.Clone(f[i].Words)
	}
	return f
}

var states = []string{BlockEmpty, BlockWritten, BlockHidden}

// hexForm tells whether a text is n lower-case hex digits.
func hexForm(s string, n int) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == n
}

// check tells what is wrong with the form of the snapshot.
func (f Fuses) check() error {
	for i, b := range f {
		if b.Name == "" || slices.ContainsFunc(f[:i], func(o Block) bool { return o.Name == b.Name }) {
			return fmt.Errorf("fuse block %q: no name, or there twice", b.Name)
		}
		if err := b.check(); err != nil {
			return fmt.Errorf("fuse block %s: %w", b.Name, err)
		}
	}
	return nil
}

func (b Block) check() error {
	switch {
	case b.Words != nil && b.Digest == "" && b.State == "":
		if len(b.Words) == 0 || slices.ContainsFunc(b.Words, func(w string) bool { return !hexForm(w, 8) }) {
			return errors.New("a word is not eight hex digits")
		}
	case b.Digest != "" && b.State == "" && b.Words == nil:
		if digits, ok := strings.CutPrefix(b.Digest, digestPrefix); !ok || !hexForm(digits, 64) {
			return fmt.Errorf("%q is not a digest", b.Digest)
		}
	case b.Digest != "" || b.Words != nil || !slices.Contains(states, b.State):
		return fmt.Errorf("want a state (%s), a digest or words", strings.Join(states, ", "))
	}
	return nil
}
