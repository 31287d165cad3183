package port

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// tells waits for a watch, or makes sure that it is silent.
func tells(t *testing.T, w *Watch, what string, want bool) {
	t.Helper()
	wait := patience
	if !want {
		wait = 50 * time.Millisecond
	}
	select {
	case <-w.C:
		if !want {
			t.Errorf("%s: it tells", what)
		}
	case <-time.After(wait):
		if want {
			t.Fatalf("%s: it is silent", what)
		}
	}
}

// settle takes the value that several events of one action may leave behind.
func settle(w *Watch) {
	for {
		select {
		case <-w.C:
		case <-time.After(20 * time.Millisecond):
			return
		}
	}
}

func TestWatch(t *testing.T) {
	s, u := newSystem(t)
	w, err := s.Watch("usb:1-2.3:1.0")
	if err != nil {
		t.Fatal(err)
	}
	tells(t, w, "nothing", false)
	u.Plug("1-2.3:1.0", "ttyUSB0", os.DevNull, nil)
	tells(t, w, "plugged in", true)
	settle(w)
	u.Unplug("ttyUSB0")
	tells(t, w, "unplugged", true)
	node := filepath.Join(u.Dev, "ttyACM0")
	if err := os.WriteFile(node, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	settle(w)
	if err := os.Chmod(node, 0o660); err != nil { // udev gives it to its group
		t.Fatal(err)
	}
	tells(t, w, "made usable", true)
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if w, err = s.Watch("usb:1-2.3:1.0"); err != nil { // nothing of before is still on its way
		t.Fatal(err)
	}
	if err := os.WriteFile(node, []byte("data"), 0); err != nil {
		t.Fatal(err)
	}
	tells(t, w, "bytes written", false)
	if err := os.Rename(node, node+"7"); err != nil {
		t.Fatal(err)
	}
	tells(t, w, "renamed", true)
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if w, err = s.Watch("usb:1-2.3:1.0"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	u.Plug("1-2.3:1.0", "ttyUSB0", os.DevNull, nil)
	tells(t, w, "closed", false)
}

// udev makes /dev/serial/by-path with the first adapter.
func TestWatchDirectoryThatIsNotThereYet(t *testing.T) {
	s, u := newSystem(t)
	dir := filepath.Join(u.Dev, "serial", "by-path")
	w, err := s.Watch(filepath.Join(dir, "pci-usb-0:2.3:1.0-port0"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for range 2 {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		tells(t, w, "directory", true)
		settle(w)
		if err := os.Symlink(os.DevNull, filepath.Join(dir, "pci-usb-0:2.3:1.0-port0")); err != nil {
			t.Fatal(err)
		}
		tells(t, w, "link", true)
		if err := os.RemoveAll(filepath.Join(u.Dev, "serial")); err != nil {
			t.Fatal(err)
		}
		settle(w)
	}
}

func TestNothingToWatch(t *testing.T) {
	for _, name := range []string{"socket://localhost:1", "rfc2217://localhost:1"} {
		if w, err := Host.Watch(name); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: got %v, %v", name, w, err)
		}
	}
	if w, err := Host.Watch("/no/such/place/ttyUSB0"); err == nil {
		t.Errorf("a directory that is not there: %v", w)
	}
}
