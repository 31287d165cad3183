package ledger

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"station/internal/record"
)

func init() { children["full"] = full }

// full appends until the disk refuses, in a process of its own whose files may
// not grow beyond limit; then the limit is lifted, and it goes on.
func full(path, _ string) error {
	l, err := Open(path, bench)
	if err != nil {
		return err
	}
	defer l.Close()
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	was := limit.Cur
	limit.Cur = uint64(info.Size()) + 5<<20 // the file grows by 4 MiB at a time
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	noise, random := make([]byte, 15_000), rand.NewChaCha8([32]byte{})
	for n, refused := 0, 0; ; n++ {
		for _, e := range run(n) {
			random.Read(noise) // what cannot be packed fills the disk soonest
			e.Message = hex.EncodeToString(noise)
			e, err := l.Append(e)
			switch {
			case err == nil:
				fmt.Println(e.Index, e.Run, e.Kind)
				continue
			case !errors.Is(err, ErrDisk) || !errors.Is(err, syscall.EFBIG) && !strings.Contains(err.Error(), "file too large"):
				return err
			}
			if refused++; refused == 3 {
				fmt.Println("refused", refused)
				limit.Cur = was
				if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
					return err
				}
			}
		}
		if refused >= 3 {
			return nil
		}
	}
}

// A disk that is full refuses entries as a fault of the station, loses none
// that was acknowledged, and takes them again when there is room.
func TestDiskFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), "LEDGER_CHILD=full", "LEDGER_PATH="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	acked, refused := map[uint64]string{}, false
	for line := range strings.Lines(string(out)) {
		refused = refused || strings.HasPrefix(line, "refused")
		noted(t, acked, strings.TrimSpace(line))
	}
	l := reopen(t, path, bench)
	for index, want := range acked {
		if e, err := l.Entry(index); err != nil || fmt.Sprint(e.Run, " ", e.Kind) != want {
			t.Errorf("entry %d: got %s, %v, want %s", index, e.Kind, err, want)
		}
	}
	if !refused || len(acked) < 100 {
		t.Errorf("refused %v, %d acknowledged", refused, len(acked))
	}
}

// asNobody runs fn with the file rights of another user.
func asNobody(t *testing.T, fn func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if os.Getuid() == 0 {
		if err := unix.Setfsuid(65534); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = unix.Setfsuid(0) }()
	}
	fn()
}

func TestPermissions(t *testing.T) {
	l := start(t, bench)
	add(t, l, run(1)...)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(l.Path())
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o555), os.Chmod(l.Path(), 0o444)); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o755)
	asNobody(t, func() {
		if _, err := Open(l.Path(), bench); !errors.Is(err, ErrDisk) || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("write a file that may be read: got %v", err)
		}
		if err := Create(filepath.Join(dir, "new.db"), record.Entry{}); !errors.Is(err, ErrDisk) {
			t.Errorf("create in a folder that may be read: got %v", err)
		}
		r, err := Open(l.Path(), Options{ReadOnly: true})
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		everything(t, r)
		r.Close()
	})
	if err := os.Chmod(l.Path(), 0); err != nil {
		t.Fatal(err)
	}
	asNobody(t, func() {
		if _, err := Open(l.Path(), Options{ReadOnly: true}); !errors.Is(err, ErrDisk) {
			t.Errorf("read a file that may not be read: got %v", err)
		}
	})
	if err := os.Chmod(l.Path(), 0o640); err != nil {
		t.Fatal(err)
	}
}

// A disk that fails in the middle is the station's fault, and nothing panics.
func TestDiskGone(t *testing.T) {
	l := start(t, bench)
	add(t, l, run(1)...)
	good := l.w.file
	null, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	saved, err := unix.Dup(int(good.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(saved)
	// From here every write of bbolt's answers ENOSPC.
	if err := unix.Dup3(int(null.Fd()), int(good.Fd()), 0); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := l.Append(run(2)[0]); !errors.Is(err, ErrDisk) {
			t.Errorf("got %v, want ErrDisk", err)
		}
	}
	if d, found, err := l.Device(mac(1)); !found || !d.Sealed || err != nil {
		t.Errorf("reading: %v, %v", found, err)
	}
	if err := unix.Dup3(saved, int(good.Fd()), 0); err != nil {
		t.Fatal(err)
	}
	add(t, l, run(2)...)
}
