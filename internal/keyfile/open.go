package keyfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Kind is what is read: its name, and the most bytes that it can sensibly have.
type Kind struct {
	Name string
	Most int64
}

// The kinds of files that the program reads.
var (
	TOML     = Kind{"job or station file", 256 << 10}
	Build    = Kind{"file of a build", 4 << 20} // flasher_args.json, sdkconfig
	Image    = Kind{"image", 33 << 20}          // the largest flash, and signatures
	Bundle   = Kind{"slot bundle", 1 << 30}
	Key      = Kind{"key file", 64 << 10}
	PIN      = Kind{"PIN file", 64 << 10}
	Proof    = Kind{"proof, certificate or checkpoint", 64 << 20}
	Export   = Kind{"export", 64 << 30} // read as a stream
	Events   = Kind{"recorded run", 256 << 20}
	SideFile = Kind{"side file of a ledger", 1 << 20}
	Ledger   = Kind{"ledger", 1 << 46} // its pages are read one at a time
	State    = Kind{"virtual chip's state", 16 << 20}
	Module   = Kind{"PKCS#11 module", 1 << 30}
)

// Open opens a regular file of the kind for reading. Everything else is an
// error at once: nothing is read from it, and nothing is waited for. No output
// of this process may replace the file from now on.
func Open(path string, kind Kind) (*os.File, error) {
	if err := Fits(path, kind); err != nil {
		return nil, err
	}
	// What has this name may have changed since: a pipe would block here.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = kind.fits(path, info)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	Protect(kind.Name, path)
	return f, nil
}

// ErrKind refuses what is no file.
var ErrKind = errors.New("not a regular file")

// Fits says why the file cannot be of the kind, without opening it.
func Fits(path string, kind Kind) error {
	info, err := os.Stat(path)
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return &fs.PathError{Op: "open", Path: path, Err: e.Err}
	}
	if err != nil {
		return err
	}
	return kind.fits(path, info)
}

func (k Kind) fits(path string, info fs.FileInfo) error {
	var err error
	switch {
	case !info.Mode().IsRegular():
		err = fmt.Errorf("it is %s, %w", describe(info.Mode()), ErrKind)
	case info.Size() > k.Most:
		err = fmt.Errorf("it has %d bytes, more than the %d of the largest %s", info.Size(), k.Most, k.Name)
	}
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return nil
}

// Read is Open for the whole contents.
func Read(path string, kind Kind) ([]byte, error) {
	f, err := Open(path, kind)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, kind.Most+1))
	if err == nil && int64(len(data)) > kind.Most {
		err = &fs.PathError{Op: "read", Path: path, Err: errors.New("it grows while it is read")}
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}

// describe names what is no regular file.
func describe(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a folder"
	case mode&fs.ModeNamedPipe != 0:
		return "a pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "something else"
}
