package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	doorMode  = 0o600
	doorRoom  = 16  // guests at a time; the others wait outside
	sunPath   = 107 // bytes of a socket's name that the kernel takes
	doorPause = 100 * time.Millisecond
)

// door is the host's side.
type door struct {
	ledger *Ledger
	listen *net.UnixListener
	path   string
	made   fs.FileInfo // the socket as it was made: another one of its name stays
	room   chan struct{}
	work   sync.WaitGroup
	within time.Duration // what a guest has to say must be said

	mu     sync.Mutex
	guests map[*net.UnixConn]bool
	shut   bool
}

// OpenDoor lets other processes of this machine and user, and root's, write
// remarks and administration into the ledger while this process holds it
// (OpenGuest). Nobody can on a file system that has no sockets; then the
// ledger works as without a door. On systems other than Linux it does nothing.
func (l *Ledger) OpenDoor() error {
	if l.door != nil {
		return nil
	}
	if l.w == nil {
		return fmt.Errorf("door of the ledger: %w", ErrReadOnly)
	}
	d := &door{ledger: l, room: make(chan struct{}, doorRoom), within: guestTime, guests: map[*net.UnixConn]bool{}}
	if err := d.open(); err != nil {
		return fmt.Errorf("door of the ledger: %w", err)
	}
	l.door = d
	d.work.Go(d.welcome)
	return nil
}

// doorPath is where the door of a ledger is, under whichever name that was
// opened.
func doorPath(path string) (string, error) {
	path, err := filepath.EvalSymlinks(path)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	return path + ".door", err
}

// reach gives use a name of the socket that is short enough for the kernel.
func reach(path string, use func(name string) error) error {
	if len(path) <= sunPath {
		return use(path)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return use(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)))
}

// dialDoor waits for whoever is there for as long as ctx lets it, and never
// longer than a host may take.
func dialDoor(ctx context.Context, path string) (c net.Conn, err error) {
	if path, err = doorPath(path); err != nil {
		return nil, err
	}
	err = reach(path, func(name string) error {
		c, err = (&net.Dialer{Timeout: hostTime}).DialContext(ctx, "unix", name)
		return err
	})
	return c, err
}

// open makes the socket. This process holds the ledger, so that whatever is
// there under its name was left by one that was killed.
func (d *door) open() (err error) {
	if d.path, err = doorPath(d.ledger.path); err != nil {
		return err
	}
	if old, err := os.Lstat(d.path); err == nil && old.Mode().Type() == fs.ModeSocket {
		if err := os.Remove(d.path); err != nil {
			return err
		}
	}
	err = reach(d.path, func(name string) error {
		l, err := (&net.ListenConfig{Control: private}).Listen(context.Background(), "unix", name)
		if err == nil {
			d.listen = l.(*net.UnixListener)
			d.listen.SetUnlinkOnClose(false) // remove does it
		}
		return err
	})
	if err == nil {
		d.made, err = os.Lstat(d.path)
	}
	if err != nil && d.listen != nil {
		d.listen.Close()
	}
	return err
}

// private gives the socket its mode before it has a name.
func private(_, _ string, c syscall.RawConn) (err error) {
	failed := c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), doorMode) })
	return errors.Join(failed, err)
}

// welcome lets guests in until the door is shut.
func (d *door) welcome() {
	for {
		d.room <- struct{}{}
		c, err := d.listen.AcceptUnix()
		if err != nil {
			<-d.room
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(doorPause) // out of files, most likely
			continue
		}
		d.work.Go(func() {
			defer func() { <-d.room }()
			defer c.Close()
			if d.enter(c) {
				defer d.leave(c)
				d.ledger.serve(c)
			}
		})
	}
}

// enter lets the right guests in, for a while.
func (d *door) enter(c *net.UnixConn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shut {
		return false
	}
	_ = c.SetDeadline(time.Now().Add(d.within))
	uid, err := peer(c)
	if err != nil || !mayEnter(uid, uint32(os.Geteuid())) {
		_ = json.NewEncoder(c).Encode(greeting{Error: "it belongs to another user of this machine: be that user, or root"})
		return false
	}
	d.guests[c] = true
	return true
}

func (d *door) leave(c *net.UnixConn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.guests, c)
}

// mayEnter tells whether a process of a user may write through the door of
// another's.
func mayEnter(guest, host uint32) bool { return guest == host || guest == 0 }

// peer is the user of the process at the other end.
func peer(c *net.UnixConn) (uid uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	failed := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(failed, err); err != nil {
		return 0, err
	}
	return cred.Uid, nil
}

// close lets nobody in any more, sends away who has not yet said what it wants,
// and waits for the others.
func (d *door) close() {
	if d == nil {
		return
	}
	d.mu.Lock()
	if d.shut {
		d.mu.Unlock()
		return
	}
	d.shut = true
	for c := range d.guests {
		_ = c.SetReadDeadline(time.Unix(1, 0))
	}
	d.mu.Unlock()
	if now, err := os.Lstat(d.path); err == nil && os.SameFile(now, d.made) {
		_ = os.Remove(d.path)
	}
	_ = d.listen.Close()
	d.work.Wait()
}

// fileID names a file as long as anybody has it open.
func fileID(f *os.File) string {
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	s := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d:%d", s.Dev, s.Ino)
}
