package sim

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The state folder of a chip:
//
//	efuse.bin  124 bytes: 31 words little endian, BLOCK0 (7), BLOCK1-3 (8 each),
//	           in RDATA order. Coded blocks stand coded, as the fuses do.
//	flash.bin  the raw flash
//	chip.json  what is neither: mask revision, crystal, drift, flash ID. If it is
//	           missing, the revision is what the fuses say
//
// Each change is written through before the chip answers, the fuses with an
// fsync: a process killed at any moment leaves a state that a chip could have.

type store struct {
	fuses, flash *os.File
	err          error // the first write that failed
}

// body is chip.json.
type body struct {
	Revision int     `json:"revision"`
	Crystal  int     `json:"crystalMHz"`
	Drift    float64 `json:"drift"`
	FlashID  uint32  `json:"flashId"`
}

const fuseBytes = 31 * 4

// StateFiles are the names of all files in a state folder.
var StateFiles = []string{fuseFile, flashFile, bodyFile}

const (
	fuseFile  = "efuse.bin"
	flashFile = "flash.bin"
	bodyFile  = "chip.json"
)

// openState opens the folder or makes it from the chip as it is.
func (c *Chip) openState(dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("virtual chip's state: %w", err)
	}
	s := &store{}
	err := errors.Join(
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

func (c *Chip) loadBody(path string) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		c.opts.Revision = c.fusedRevision()
		b, err = json.MarshalIndent(body{c.opts.Revision, c.opts.Crystal, c.opts.Drift, c.opts.FlashID}, "", "  ")
		if err != nil {
			return err
		}
		return create(path, append(b, '\n'))
	}
	if err != nil {
		return err
	}
	was := body{c.opts.Revision, c.opts.Crystal, c.opts.Drift, c.opts.FlashID}
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
		b = wordBytes(c.fuses.words)
		err = create(path, b)
	}
	switch {
	case err != nil:
		return err
	case len(b) != fuseBytes:
		return fmt.Errorf("%s: %d bytes, want %d", path, len(b), fuseBytes)
	}
	for i := range c.fuses.words {
		c.fuses.words[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	s.fuses, err = os.OpenFile(path, os.O_RDWR, 0)
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

func wordBytes(w [31]uint32) []byte {
	b := make([]byte, fuseBytes)
	for i, v := range w {
		binary.LittleEndian.PutUint32(b[4*i:], v)
	}
	return b
}

// saveFuses writes all words and waits for the disk. A chip without a folder has none to write.
func (s *store) saveFuses(w [31]uint32) {
	if s == nil {
		return
	}
	_, err := s.fuses.WriteAt(wordBytes(w), 0)
	s.note(errors.Join(err, s.fuses.Sync()))
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
