package port

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Watch tells when a device may have come or gone.
type Watch struct {
	C    <-chan struct{} // one value for any number of changes
	file *os.File
	dirs []string
}

// What happens to a device's name: made, renamed, removed, and handed over to
// its group by udev. Not IN_MODIFY: every write to a terminal is one.
const deviceEvents = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_ATTRIB | unix.IN_ONLYDIR

// Watch watches the directory where a port's device is or will be. It wraps
// errors.ErrUnsupported for a port that only asking can find.
func (s System) Watch(name string) (*Watch, error) {
	if strings.Contains(name, "://") {
		return nil, fmt.Errorf("watch port %s: %w", name, errors.ErrUnsupported)
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch port %s: %w", name, err)
	}
	c := make(chan struct{}, 1)
	w := &Watch{C: c, file: os.NewFile(uintptr(fd), "inotify"), dirs: s.dirsOf(name)}
	if err := w.add(); err != nil {
		w.file.Close()
		return nil, fmt.Errorf("watch port %s: %w", name, err)
	}
	go w.run(c)
	return w, nil
}

// dirsOf are the directories in which a change can bring a device: its own and,
// since udev makes /dev/serial/by-path with the first adapter, those above.
func (s System) dirsOf(name string) []string {
	if strings.HasPrefix(name, usbPrefix) {
		return []string{s.Dev}
	}
	dirs := []string{filepath.Dir(name)}
	for dir := dirs[0]; dir != s.Dev && strings.HasPrefix(dir, s.Dev+"/"); {
		dir = filepath.Dir(dir)
		dirs = append(dirs, dir)
	}
	return dirs
}

// add watches the directories that are there now, the highest first: one that
// is made meanwhile is then an event.
func (w *Watch) add() error {
	conn, err := w.file.SyscallConn()
	if err != nil {
		return err
	}
	watched := 0
	cerr := conn.Control(func(fd uintptr) {
		for _, dir := range slices.Backward(w.dirs) {
			if _, e := unix.InotifyAddWatch(int(fd), dir, deviceEvents); e == nil {
				watched++
			} else {
				err = e
			}
		}
	})
	if watched > 0 {
		return nil
	}
	return errors.Join(err, cerr)
}

func (w *Watch) run(c chan<- struct{}) {
	buf := make([]byte, 4096)
	for {
		if _, err := w.file.Read(buf); err != nil {
			return
		}
		_ = w.add() // a directory may be among what is new
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// Close ends the watch; C stays open.
func (w *Watch) Close() error { return w.file.Close() }
