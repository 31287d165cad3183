package sim

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"station/internal/chip"
)

// The state folder of a chip:
//
//	efuse.bin  the fuse words little endian, in the order of the read registers: of
//	           the ESP32 31 (BLOCK0 7, BLOCK1-3 8 each), coded blocks coded, as the
//	           fuses do; of the later chips 84, without their check words
//	check.bin  three check words of each block that has some, where one is not
//	           that of what the block holds: a burn was cut off
//	flash.bin  the raw flash
//	chip.json  what is neither: mask revision, crystal, drift, flash ID. If it is
//	           missing, the revision is what the fuses say
//
// Each change is written through before the chip answers, the fuses with an
// fsync: a process killed at any moment leaves a state that a chip could have.

type store struct {
	fuses, flash *os.File
	words        int
	checks       string // path of check.bin
	err          error  // the first write that failed
}

// body is chip.json.
type body struct {
	Chip     string  `json:"chip,omitempty"` // absent is the ESP32
	Revision int     `json:"revision"`
	Minor    int     `json:"minor,omitempty"`
	Crystal  int     `json:"crystalMHz"`
	Drift    float64 `json:"drift"`
	FlashID  uint32  `json:"flashId"`
}

// StateFiles are the names of all files in a state folder.
var StateFiles = []string{fuseFile, checkFile, flashFile, bodyFile}

const (
	fuseFile  = "efuse.bin"
	checkFile = "check.bin"
	flashFile = "flash.bin"
	bodyFile  = "chip.json"
)

// openState opens the folder or makes it from the chip as it is.
func (c *Chip) openState(dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("virtual chip's state: %w", err)
	}
	s := &store{words: c.si.data().size, checks: filepath.Join(dir, checkFile)}
	err := c.sameChip(dir)
	if err != nil {
		return nil, fmt.Errorf("virtual chip's state: %w", err)
	}
	err = errors.Join(
		c.loadWords(s, filepath.Join(dir, fuseFile)),
		c.loadBody(filepath.Join(dir, bodyFile)),
		c.loadFlash(s, filepath.Join(dir, flashFile)),
	)
	if err != nil {
		s.close()
		return nil, fmt.Errorf("virtual chip's state: %w", err)
	}
	return s, nil
}

// sameChip refuses the state of a chip of another family, in words.
func (c *Chip) sameChip(dir string) error {
	var was body
	if b, err := os.ReadFile(filepath.Join(dir, bodyFile)); err == nil {
		if err := json.Unmarshal(b, &was); err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(dir, bodyFile), err)
		}
		f := chip.Known(chip.ByName(was.Chip))
		if f != c.opts.Chip {
			return fmt.Errorf("%s holds an %s, and an %s is asked for; name another folder, or that chip", dir, f.Title, c.opts.Chip.Title)
		}
	}
	info, err := os.Stat(filepath.Join(dir, fuseFile))
	if err != nil || info.Size() == int64(4*c.si.data().size) {
		return nil
	}
	for _, si := range silicons {
		if other := si.data(); info.Size() == int64(4*other.size) {
			return fmt.Errorf("%s has %d bytes, as of an %s, and an %s is asked for, which has %d; name another folder, or that chip",
				filepath.Join(dir, fuseFile), info.Size(), other.family.Title, c.opts.Chip.Title, 4*c.si.data().size)
		}
	}
	return nil
}

// body is what is neither flash nor fuse.
func (c *Chip) body() body {
	b := body{Revision: c.opts.Revision, Minor: c.opts.Minor, Crystal: c.opts.Crystal, Drift: c.opts.Drift, FlashID: c.opts.FlashID}
	if c.opts.Chip == chip.ESP32 {
		b.Minor = 0 // the fuses tell
	} else {
		b.Chip = c.opts.Chip.Name
	}
	return b
}

func (c *Chip) loadBody(path string) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		c.opts.Revision = c.fusedRevision()
		b, err = json.MarshalIndent(c.body(), "", "  ")
		if err != nil {
			return err
		}
		return create(path, append(b, '\n'))
	}
	if err != nil {
		return err
	}
	was := c.body()
	if err := json.Unmarshal(b, &was); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	c.opts.Revision, c.opts.Crystal, c.opts.Drift, c.opts.FlashID = was.Revision, was.Crystal, was.Drift, was.FlashID
	if err := c.opts.check(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	c.flash.id = was.FlashID
	return nil
}

// fusedRevision is the mask revision that goes with the fuses, as Options have it.
func (c *Chip) fusedRevision() int {
	if c.opts.Chip != chip.ESP32 {
		return c.opts.Revision
	}
	switch rev := c.revision() / 100; {
	case rev == 0:
		return Rev0
	case rev == 1:
		return 1
	default:
		return max(2, c.opts.major()) // only silicon tells 2 from 3
	}
}

func (c *Chip) loadWords(s *store, path string) (err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		b = wordBytes(c.fuses.words[:s.words])
		err = create(path, b)
	}
	switch {
	case err != nil:
		return err
	case len(b) != 4*s.words:
		return fmt.Errorf("%s: %d bytes, want %d", path, len(b), 4*s.words)
	}
	for i := range s.words {
		c.fuses.words[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	if err := c.loadChecks(s.checks); err != nil {
		return err
	}
	s.fuses, err = os.OpenFile(path, os.O_RDWR, 0)
	return err
}

// loadChecks reads the check words, where they are not those of the blocks.
func (c *Chip) loadChecks(path string) error {
	c.fuses.encode()
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && len(b) != 4*3*len(c.fuses.check):
		err = fmt.Errorf("%s: %d bytes, want %d", path, len(b), 4*3*len(c.fuses.check))
	}
	for i := range c.fuses.check {
		for j := range c.fuses.check[i] {
			if err == nil {
				c.fuses.check[i][j] = binary.LittleEndian.Uint32(b[4*(3*i+j):])
			}
		}
	}
	return err
}

func (c *Chip) loadFlash(s *store, path string) (err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		b, err = c.flash.mem, create(path, c.flash.mem)
	}
	switch n := len(b); {
	case err != nil:
		return err
	case n < sectorSize || n > 16<<20 || n&(n-1) != 0:
		return fmt.Errorf("%s: %d bytes: want a power of two from 4 KiB to 16 MiB", path, n)
	}
	c.flash.mem = b
	s.flash, err = os.OpenFile(path, os.O_RDWR, 0)
	return err
}

// create writes a new file whole or not at all.
func create(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already if all went well
	_, err = f.Write(b)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func wordBytes(w []uint32) []byte {
	b := make([]byte, 0, 4*len(w))
	for _, v := range w {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

// saveFuses writes all words and waits for the disk. A chip without a folder has none to write.
func (s *store) saveFuses(w Words) {
	if s == nil {
		return
	}
	_, err := s.fuses.WriteAt(wordBytes(w[:s.words]), 0)
	s.note(errors.Join(err, s.fuses.Sync()))
}

// saveChecks writes the check words of the blocks, unless they follow from what
// the blocks hold and always have.
func (s *store) saveChecks(check [11][3]uint32, whole bool) {
	if s == nil {
		return
	}
	if _, err := os.Stat(s.checks); whole && errors.Is(err, fs.ErrNotExist) {
		return
	}
	var all []uint32
	for _, words := range check {
		all = append(all, words[:]...)
	}
	s.note(create(s.checks, wordBytes(all)))
}

// saveFlash writes the n bytes from at.
func (s *store) saveFlash(mem []byte, at, n int) {
	if s == nil {
		return
	}
	_, err := s.flash.WriteAt(mem[at:at+n], int64(at))
	s.note(err)
}

func (s *store) note(err error) {
	if s.err == nil {
		s.err = err
	}
}

// close reports the first write that failed.
func (s *store) close() error {
	if s == nil {
		return nil
	}
	err := s.err
	for _, f := range []*os.File{s.fuses, s.flash} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	if err != nil {
		return fmt.Errorf("virtual chip's state: %w", err)
	}
	return nil
}
