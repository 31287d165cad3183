package efuse

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
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

// KeyState says what can be seen of a block that may hold a key.
type KeyState string

// The states of a key block.
const (
	KeyEmpty   KeyState = record.BlockEmpty
	KeyWritten KeyState = record.BlockWritten // holds bits, and anybody can read them
	KeyHidden  KeyState = record.BlockHidden  // read-protected: it reads as zero for ever
)

// More than any family has, so that images can be compared.
const (
	maxWords  = 96
	maxBlocks = 11
)

// Image is the fuses of one chip as read, its blocks decoded. Where a block that
// may hold a key can be read, it is kept in secret memory and compared by
// methods only. Copies share the secrets.
type Image struct {
	Family *chip.Family // nil is the ESP32

	words   [maxWords]uint32         // a survey, without what may be a key
	secrets [maxBlocks]*secret.Bytes // as read, little endian; nil where all words are zero
	digests [maxBlocks]string        // of blocks that are told as such
}

// Read makes the chip read its fuses anew, for the read registers are those of
// its last reset, until two surveys in a row agree: a reply has no checksum, a
// worn fuse flickers, and what is decided by fuses is not decided twice. It burns
// nothing. Wipe the image when its key blocks have been looked at.
func Read(ctx context.Context, f *chip.Family, r Registers) (Image, error) {
	c := newController(ctx, f, r)
	var last []uint32
	for range 1 + attempts {
		v, err := c.latch(c.survey.addrs)
		defer clear(v)
		switch {
		case err != nil:
			return Image{}, fmt.Errorf("read fuses: %w", err)
		case slices.Equal(v, last):
			return newImage(c.family, v)
		}
		last = v
	}
	return Image{}, fmt.Errorf("read fuses: %w", ErrUnstable)
}

// newImage takes a survey apart. The caller overwrites v.
func newImage(f *chip.Family, v []uint32) (Image, error) {
	have := Image{Family: f}
	sv := surveyOf(f)
	copy(have.words[:], v)
	for b, blk := range f.Efuse.Blocks {
		if blk.Holds == chip.Words {
			continue
		}
		words := sv.words(f, v, b)
		clear(have.words[sv.at[b]:][:blk.Words])
		if isZero(words) {
			continue
		}
		s, err := secret.Make(4 * blk.Words)
		if err != nil {
			have.Wipe()
			return Image{}, err
		}
		putWords(s.Reveal(), words)
		have.secrets[b] = s
		if sum := sha256.Sum256(s.Reveal()); blk.Holds == chip.Digest {
			have.digests[b] = "sha256:" + hex.EncodeToString(sum[:])
		}
	}
	return have, nil
}

// reads reports whether a survey shows the same fuses.
func (have Image) reads(v []uint32) (bool, error) {
	now, err := newImage(known(have.Family), v)
	if err != nil {
		return false, err
	}
	defer now.Wipe()
	same := have.words == now.words
	for b := range have.secrets {
		same = subtle.ConstantTimeCompare(have.secrets[b].Reveal(), now.secrets[b].Reveal()) == 1 && same
	}
	return same, nil
}

// Block0 are the words of BLOCK0.
func (have Image) Block0() []uint32 { return have.openWords(0) }

// openWords are the words of a block that holds no secret.
func (have Image) openWords(block int) []uint32 {
	return surveyOf(known(have.Family)).words(known(have.Family), have.words[:], block)
}

func getWords(words []uint32, b []byte) {
	for i := range words {
		words[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
}

func putWords(b []byte, words []uint32) {
	for i, w := range words {
		binary.LittleEndian.PutUint32(b[4*i:], w)
	}
}

func isZero(words []uint32) bool {
	return !slices.ContainsFunc(words, func(w uint32) bool { return w != 0 })
}

// Value is what a field holds. It is 0 for a field that does not exist, is wider
// than 64 bits or lies in a block that may hold a secret.
func (have Image) Value(name string) uint64 {
	e := &known(have.Family).Efuse
	f, ok := e.Field(name)
	if !ok || f.Width > 64 || e.Blocks[f.Block].Holds != chip.Words {
		return 0
	}
	return value(f, have.openWords(f.Block))
}

// Coding is the coding scheme of BLOCK1-3. The chip treats 3 as none.
func (have Image) Coding() chip.Coding {
	if c := chip.Coding(have.Value("CODING_SCHEME")); c != 3 {
		return c
	}
	return chip.CodingNone
}

// Revision is the chip's revision: its fields, or the three bits in three places
// that tell that of an ESP32.
func (have Image) Revision() chip.Revision {
	f := known(have.Family)
	if f.Loader.Major != nil {
		return f.Revision(have.Value)
	}
	date := have.words[surveyOf(f).extra]
	bits := date>>31<<2 | uint32(have.Value("CHIP_VER_REV2"))<<1 | uint32(have.Value("CHIP_VER_REV1"))
	major := map[uint32]chip.Revision{1: 1, 3: 2, 7: 3}[bits] // anything else counts as 0
	return 100*major + chip.Revision(have.Value("WAFER_VERSION_MINOR"))
}

// With is the chip as it reads when the stage's values are burned too.
func (have Image) With(s Stage) Image {
	f := known(have.Family)
	for _, set := range s.Sets {
		field, _ := f.Efuse.Field(set.Field)
		put(field, have.words[surveyOf(f).at[field.Block]:], set.Value)
	}
	return have
}

// WriteDisabled reports whether a WR_DIS bit freezes the field.
func (have Image) WriteDisabled(name string) bool {
	e := &known(have.Family).Efuse
	f, _ := e.Field(name)
	return frozen(have.Block0(), e, f)
}

// EncryptionOn reports whether the chip decrypts its flash.
func (have Image) EncryptionOn() bool { return odd(uint32(have.Value(known(have.Family).Seal.Count))) }

// FlashKeyBlocks are the blocks whose purpose is a part of the key for flash
// encryption, in the order of the parts. Their purposes tell how long the key is; a
// part that no block is for is "". It is nil where no block is for any part. On a
// chip whose blocks have no purposes it is the one block that holds this key.
func (have Image) FlashKeyBlocks() []string {
	f := known(have.Family)
	for _, bits := range slices.Sorted(maps.Keys(f.Seal.FlashKeys)) {
		var blocks []string
		for _, part := range f.Seal.FlashKeys[bits] {
			blocks = append(blocks, have.saysItIsFor(part))
		}
		if slices.ContainsFunc(blocks, func(name string) bool { return name != "" }) {
			return blocks
		}
	}
	return nil
}

// saysItIsFor is the first block that says that it is for a purpose, or the one that is;
// "" for none.
func (have Image) saysItIsFor(p chip.Purpose) string {
	f := known(have.Family)
	use := f.Seal.Keys[p]
	for _, name := range use.Blocks {
		purpose := f.Efuse.Blocks[f.Efuse.Block(name)].Purpose
		if purpose == "" && !have.onlyDigest(name) || purpose != "" && uint32(have.Value(purpose)) == use.Value {
			return name
		}
	}
	return ""
}

// KeyState says what can be seen of the blocks of the key for flash encryption.
func (have Image) KeyState() KeyState { return have.StateOfAll(have.FlashKeyBlocks()) }

// StateOfAll says what can be seen of a key in these blocks: it is written if one of
// them can be read, and hidden if one is hidden and no other one can be read.
func (have Image) StateOfAll(blocks []string) KeyState {
	state := KeyEmpty
	for _, name := range blocks {
		switch now := have.StateOf(name); {
		case have.onlyDigest(name):
		case now == KeyWritten:
			return KeyWritten
		case now == KeyHidden:
			state = KeyHidden
		}
	}
	return state
}

// StateOfKey says what can be seen of the part of its block that a key has.
func (have Image) StateOfKey(k *Key) KeyState {
	f := known(have.Family)
	use, block := f.Seal.Keys[k.For()], f.Efuse.Block(k.In(f))
	if use.Hides == 0 || block < 0 {
		return have.StateOf(k.In(f))
	}
	words, ok := have.kept(block)
	defer clear(words)
	switch {
	case uint32(have.Value("RD_DIS"))&use.Hides != 0:
		return KeyHidden
	case !ok, have.flagged(block), !isZero(words[use.Word:][:use.Bytes/4]):
		return KeyWritten
	}
	return KeyEmpty
}

// besideNothing reports that what can be read of a key's block is in that key's part.
func (have Image) besideNothing(k *Key) bool {
	f := known(have.Family)
	use, block := f.Seal.Keys[k.For()], f.Efuse.Block(k.In(f))
	words, ok := have.kept(block)
	defer clear(words)
	if !ok || have.flagged(block) {
		return false
	}
	clear(words[use.Word:][:use.Bytes/4])
	return isZero(words)
}

// onlyDigest reports a block that can be read and has a digest of secure boot in its
// part of it, and no key beside that.
func (have Image) onlyDigest(block string) bool {
	f := known(have.Family)
	for purpose, use := range f.Seal.Keys {
		k := &Key{Purpose: purpose, Block: block}
		if use.Hides != 0 && !use.Hidden && slices.Contains(use.Blocks, block) && have.StateOf(block) == KeyWritten {
			return have.StateOfKey(k) == KeyWritten && have.besideNothing(k)
		}
	}
	return false
}

// StateOf says what can be seen of a block.
func (have Image) StateOf(block string) KeyState {
	b := known(have.Family).Efuse.Block(block)
	if b < 0 {
		return KeyEmpty
	}
	return have.stateOf(b)
}

func (have Image) stateOf(block int) KeyState {
	f := known(have.Family)
	switch {
	case hiddenBlock(&f.Efuse, have.Block0(), block):
		return KeyHidden
	case have.secrets[block] != nil, have.flagged(block), !isZero(have.openWords(block)):
		return KeyWritten
	}
	return KeyEmpty
}

// Torn reports a block that can be programmed once only and is no code word: a
// burn of it was cut off.
func (have Image) Torn(block string) bool {
	f := known(have.Family)
	b := f.Efuse.Block(block)
	return b >= 0 && f.Efuse.Blocks[b].Coding == chip.ReedSolomon && have.flagged(b)
}

// flagged reports that the decoder found the block's bits not to be a code word.
func (have Image) flagged(block int) bool {
	f := known(have.Family)
	return flagged(f, have.Coding(), have.words[surveyOf(f).status:], block)
}

func flagged(f *chip.Family, c chip.Coding, status []uint32, block int) bool {
	b := f.Efuse.Blocks[block]
	if b.Coding == chip.ByField && c != chip.Coding34 {
		return false
	}
	for _, fault := range b.Faults {
		if status[fault.Register]&fault.Mask != 0 {
			return true
		}
	}
	return false
}

// Wipe overwrites what the image and its copies know of key blocks. Whether
// there was anything stays known.
func (have Image) Wipe() {
	for _, s := range have.secrets {
		s.Destroy()
	}
}

// Redact is the snapshot for the ledger: everything but key material.
func Redact(have Image) record.Fuses {
	f := known(have.Family)
	var out record.Fuses
	for b, blk := range f.Efuse.Blocks {
		state := have.stateOf(b)
		switch {
		case blk.Holds == chip.Words:
			out = append(out, record.WordsBlock(blk.Name, have.openWords(b)))
		case have.digests[b] != "" && state == KeyWritten && !have.Torn(blk.Name): // of part of a key nothing is told
			out = append(out, record.SealedBlock(blk.Name, have.digests[b]))
		default:
			out = append(out, record.SealedBlock(blk.Name, string(state)))
		}
	}
	return out
}

// String shows the words without key material.
func (have Image) String() string { return Redact(have).String() }

// Format writes String for every verb.
func (have Image) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, have.String()) }

// LogValue keeps key material out of structured logs.
func (have Image) LogValue() slog.Value { return slog.StringValue(have.String()) }

// MarshalJSON writes the redacted words.
func (have Image) MarshalJSON() ([]byte, error) { return json.Marshal(Redact(have)) }
