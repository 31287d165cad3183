package keyfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// Check says why Write would refuse to write path, before the work is done
// whose result goes there.
func Check(path string, overwrite bool) error {
	if err := refuse(path); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type()&^fs.ModeSymlink != 0:
		return fmt.Errorf("%s is %s, not a regular file", path, describe(info.Mode()))
	case !overwrite:
		return fmt.Errorf("%s %w; name another file, or give --overwrite", path, ErrExists)
	}
	return nil
}

// ErrExists refuses to replace a file.
var ErrExists = fmt.Errorf("is there already (%w)", fs.ErrExist)

// Write makes the file path of what write writes: under a random new name in
// the same folder, synced, then renamed, and the folder is synced. So nothing
// is ever found under the name but the whole file, or what was there before.
func Write(path string, overwrite bool, write func(io.Writer) error) error {
	return WriteFile(path, overwrite, 0o644, func(f *os.File) error { return write(f) })
}

// WriteFile is Write for who needs the file itself, and says who may read it.
func WriteFile(path string, overwrite bool, mode fs.FileMode, write func(*os.File) error) error {
	if err := Check(path, overwrite); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if err := replace(path, overwrite, mode, write); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// Replace writes one of the program's own files, which no user names, with the
// same care. A link of that name is replaced, not followed.
func Replace(path string, mode fs.FileMode, data []byte) error {
	return ByContent(filepath.Dir(path), mode, func(f io.Writer) (string, error) {
		_, err := f.Write(data)
		return path, err
	})
}

// ByContent is Replace for a file whose name follows from what is in it: write
// fills it, in dir, and says its path then.
func ByContent(dir string, mode fs.FileMode, write func(io.Writer) (path string, err error)) error {
	var path string
	return temporary(dir, mode, func(f *os.File) (err error) {
		path, err = write(f)
		return err
	}, func(name string) (string, error) { return path, os.Rename(name, path) })
}

// Create makes one of the program's own files, which must not be there yet
// (fs.ErrExist), and which may be protected.
func Create(path string, mode fs.FileMode, write func(*os.File) error) error {
	_, err := os.Lstat(path)
	switch {
	case err == nil:
		return fmt.Errorf("it %w", ErrExists)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return temporary(filepath.Dir(path), mode, write, func(name string) (string, error) { return path, rename(name, path, false) })
}

func replace(path string, overwrite bool, mode fs.FileMode, write func(*os.File) error) error {
	return temporary(filepath.Dir(path), mode, write, func(name string) (string, error) {
		// What took this long may have changed what path is.
		if err := Check(path, overwrite); err != nil {
			return path, err
		}
		return path, rename(name, path, overwrite)
	})
}

// leftAfter is how long nothing may have been written into a temporary file
// before it counts as left behind: by a power cut, or a process that was killed.
const leftAfter = 24 * time.Hour

var temporaryName = regexp.MustCompile(`^\.station-[0-9]+$`)

// clearLeft removes temporary files of ours that were left behind in a folder.
func clearLeft(dir string, now time.Time) {
	list, _ := os.ReadDir(dir)
	for _, e := range list {
		info, err := e.Info()
		if err == nil && info.Mode().IsRegular() && temporaryName.MatchString(e.Name()) && now.Sub(info.ModTime()) > leftAfter {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// temporary lets write fill a file in dir under a random new name, made with
// O_EXCL, which follows no link, and lets give give it its own.
func temporary(dir string, mode fs.FileMode, write func(*os.File) error, give func(name string) (path string, err error)) (err error) {
	clearLeft(dir, time.Now())
	f, err := os.CreateTemp(dir, ".station-*")
	if err != nil {
		return err
	}
	defer func() {
		_ = f.Close()
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if err := write(f); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	path, err := give(f.Name())
	if err != nil {
		return err
	}
	return SyncFolder(path)
}

// rename gives a finished file its name. A link cannot replace what appeared
// there since; file systems without links have only the check before.
func rename(temporary, path string, overwrite bool) error {
	if overwrite {
		return os.Rename(temporary, path)
	}
	err := os.Link(temporary, path)
	switch {
	case err == nil:
		return os.Remove(temporary)
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("it %w", ErrExists)
	}
	return os.Rename(temporary, path)
}

// SyncFolder puts the name of a file on disk.
func SyncFolder(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// CheckAppend says why Append would refuse, before there is anything to append.
func CheckAppend(path, begins string) error {
	if err := refuse(path); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return nil // to make or open it says what is wrong with it
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	start := make([]byte, len(begins))
	if _, err := io.ReadFull(f, start); err != nil || string(start) != begins {
		return fmt.Errorf("%s holds something else; name a new file, or one that was begun by this: %w", path, ErrProtected)
	}
	return nil
}

// Append opens a file to write behind what it has, and makes it if there is
// none. A file with anything in it has to begin as everything does that is appended
// here: it may be a key. A pipe that nobody reads is an error, not something to wait for.
func Append(path, begins string) (*os.File, error) {
	if err := CheckAppend(path, begins); err != nil {
		return nil, err
	}
	f, err := Device(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o644)
}

// Device is Append for what has to be there: a printer.
func Device(path string) (*os.File, error) {
	if err := refuse(path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ENXIO) {
		err = &fs.PathError{Op: "open", Path: path, Err: errors.New("nobody reads from this pipe, or the device is not there")}
	}
	return f, err
}

// SyncTree puts all that is below a folder on disk.
func SyncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return SyncFolder(filepath.Join(path, "any"))
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}
