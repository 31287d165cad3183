package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Sweep removes what nobody waits for: of uploads that broke off, and of artifacts that nothing
// names, those that were there before then and that nobody asked for since. It tells how many.
func (s *Store) Sweep(before time.Time, named func(Digest) bool) (removed int, err error) {
	err = filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
		switch in := filepath.Dir(path); {
		case errors.Is(err, fs.ErrNotExist): // somebody else was faster
			return nil
		case err != nil:
			return err
		case e.IsDir() && (path == filepath.Join(s.dir, "records") || path == filepath.Join(s.dir, "generations")):
			return fs.SkipDir
		case !e.Type().IsRegular() || in == s.dir:
			return nil
		case in != filepath.Join(s.dir, "incoming"):
			if d, err := ParseDigest(digestPrefix + e.Name()); err != nil || named(d) {
				return nil
			}
		}
		info, err := e.Info()
		if err != nil || !info.ModTime().Before(before) {
			return nil
		}
		if err := os.Remove(path); err != nil {
			return err
		}
		removed++
		return nil
	})
	return removed, err
}
