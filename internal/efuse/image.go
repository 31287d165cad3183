package efuse

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"station/internal/chip"
	"station/internal/record"
	"station/internal/secret"
)

// Reader reads registers of the chip, all in as few round trips as it can. It
// asks again by itself for what the wire has lost, as far as that can help.
type Reader interface {
	ReadRegs(ctx context.Context, addrs ...uint32) ([]uint32, error)
}

// KeyBlock is the block of the key for flash encryption.
const KeyBlock = "BLOCK1"

// KeyState says what can be seen of BLOCK1.
type KeyState string

// The states of BLOCK1.
const (
	KeyEmpty   KeyState = record.BlockEmpty
	KeyWritten KeyState = record.BlockWritten // holds bits, and anybody can read them
	KeyHidden  KeyState = record.BlockHidden  // read-protected: it reads as zero for ever
)

// Image is the fuses of one chip as read, BLOCK1-3 decoded. Where BLOCK1 can
// be read it may hold a key, so it is kept in secret memory and compared by
// methods only; BLOCK2 is kept as a digest. Copies share the secret.
type Image struct {
	Block0    [7]uint32
	Block3    [8]uint32
	DecStatus uint32
	Date      uint32 // APB_CTRL_DATE, whose bit 31 belongs to the revision

	block1 *secret.Bytes // as read, little endian; nil where all words are zero
	block2 string        // a state or a digest, as in the ledger
}

// Read makes the chip read its fuses anew, for the read registers are those of
// its last reset, until two surveys in a row agree: a reply has no checksum, a
// worn fuse flickers, and what is decided by fuses is not decided twice. It burns
// nothing. Wipe the image when BLOCK1 has been looked at.
func Read(ctx context.Context, r Registers) (Image, error) {
	c := newController(ctx, r)
	var last []uint32
	for range 1 + attempts {
		v, err := c.latch(surveyAddrs)
		defer clear(v)
		switch {
		case err != nil:
			return Image{}, fmt.Errorf("read fuses: %w", err)
		case slices.Equal(v, last):
			return newImage(v)
		}
		last = v
	}
	return Image{}, fmt.Errorf("read fuses: %w", ErrUnstable)
}

// newImage takes a survey apart. The caller overwrites v.
func newImage(v []uint32) (Image, error) {
	have := Image{DecStatus: v[atDec], Date: v[atDate], block2: string(KeyEmpty)}
	copy(have.Block0[:], v[blocks[0].at:])
	copy(have.Block3[:], v[blocks[3].at:])
	one, two := v[blocks[1].at:][:8], v[blocks[2].at:][:8]
	if !isZero(one) {
		s, err := secret.Make(32)
		if err != nil {
			return Image{}, err
		}
		putWords(s.Reveal(), one)
		have.block1 = s
	}
	if have.Value("RD_DIS")>>1&1 == 1 {
		have.block2 = string(KeyHidden)
	} else if !isZero(two) {
		raw := make([]byte, 32)
		putWords(raw, two)
		sum := sha256.Sum256(raw)
		clear(raw)
		have.block2 = "sha256:" + hex.EncodeToString(sum[:])
	}
	return have, nil
}

// reads reports whether a survey shows the same fuses.
func (have Image) reads(v []uint32) (bool, error) {
	now, err := newImage(v)
	if err != nil {
		return false, err
	}
	defer now.Wipe()
	return have.Block0 == now.Block0 && have.Block3 == now.Block3 && have.block2 == now.block2 &&
		have.DecStatus == now.DecStatus && have.Date == now.Date &&
		subtle.ConstantTimeCompare(have.block1.Reveal(), now.block1.Reveal()) == 1, nil
}

func putWords(b []byte, words []uint32) {
	for i, w := range words {
		binary.LittleEndian.PutUint32(b[4*i:], w)
	}
}

func isZero(words []uint32) bool {
	return !slices.ContainsFunc(words, func(w uint32) bool { return w != 0 })
}

// Value is what a field of BLOCK0 or BLOCK3 holds. It is 0 for a field that
// does not exist, is wider than 64 bits or lies in a key block.
func (have Image) Value(name string) uint64 {
	f, ok := byName[name]
	if !ok || f.Width > 64 {
		return 0
	}
	words := have.Block0[:]
	switch f.Block {
	case 1, 2:
		return 0
	case 3:
		words = have.Block3[:]
	}
	return f.value(words)
}

// Coding is the coding scheme of BLOCK1-3. The chip treats 3 as none.
func (have Image) Coding() chip.Coding {
	if c := chip.Coding(have.Value("CODING_SCHEME")); c != 3 {
		return c
	}
	return chip.CodingNone
}

// Revision is the chip's revision, which three bits in three places tell.
func (have Image) Revision() chip.Revision {
	bits := have.Date>>31<<2 | uint32(have.Value("CHIP_VER_REV2"))<<1 | uint32(have.Value("CHIP_VER_REV1"))
	major := map[uint32]chip.Revision{1: 1, 3: 2, 7: 3}[bits] // anything else counts as 0
	return 100*major + chip.Revision(have.Value("WAFER_VERSION_MINOR"))
}

// With is the chip as it reads when the stage's values are burned too.
func (have Image) With(s Stage) Image {
	for _, set := range s.Sets {
		f := byName[set.Field]
		have.Block0[f.Word] |= set.Value << f.Bit
	}
	return have
}

// WriteDisabled reports whether a WR_DIS bit freezes the field.
func (have Image) WriteDisabled(name string) bool { return frozen(have.Block0[0], byName[name]) }

// EncryptionOn reports whether the chip decrypts its flash.
func (have Image) EncryptionOn() bool { return odd(uint32(have.Value("FLASH_CRYPT_CNT"))) }

// KeyState says what can be seen of BLOCK1.
func (have Image) KeyState() KeyState {
	switch {
	case have.Value("RD_DIS")&1 == 1:
		return KeyHidden
	case have.block1 != nil, have.flagged(1):
		return KeyWritten
	}
	return KeyEmpty
}

// flagged reports that the decoder found the block's bits not to be a code word.
func (have Image) flagged(block int) bool {
	return flagged(have.Coding(), have.DecStatus, block)
}

func flagged(c chip.Coding, status uint32, block int) bool {
	return block > 0 && c == chip.Coding34 && status>>(4*(block-1))&0xf != 0
}

// Wipe overwrites what the image and its copies know of BLOCK1. Whether there
// was anything stays known.
func (have Image) Wipe() { have.block1.Destroy() }

// Redact is the snapshot for the ledger: everything but key material.
func Redact(have Image) record.Fuses {
	return record.Fuses{
		record.WordsBlock("BLOCK0", have.Block0[:]),
		record.SealedBlock("BLOCK1", string(have.KeyState())),
		record.SealedBlock("BLOCK2", cmp.Or(have.block2, string(KeyEmpty))),
		record.WordsBlock("BLOCK3", have.Block3[:]),
	}
}

// String shows the words without key material.
func (have Image) String() string { return Redact(have).String() }

// Format writes String for every verb.
func (have Image) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, have.String()) }

// LogValue keeps key material out of structured logs.
func (have Image) LogValue() slog.Value { return slog.StringValue(have.String()) }

// MarshalJSON writes the redacted words.
func (have Image) MarshalJSON() ([]byte, error) { return json.Marshal(Redact(have)) }
