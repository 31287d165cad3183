package station

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/flow"
	"station/internal/port"
)

func TestAdapterIsNamed(t *testing.T) {
	all := []port.Info{
		{Name: "/dev/ttyS0"},
		{Name: "/dev/ttyUSB1", VID: "1A86", PID: "7523", Serial: "7", Path: "1-2:1.0"},
	}
	for given, want := range map[string]string{
		"/dev/ttyUSB1": "1A86 7523 7 1-2:1.0", "usb:1-2": "1A86 7523 7 1-2:1.0", "/dev/ttyS0": "/dev/ttyS0", "/dev/ttyUSB2": "/dev/ttyUSB2",
	} {
		name, works := adapterOf(all, given)
		if name != want || (works == nil) != (name == given) {
			t.Errorf("%s: got %q, want %q", given, name, want)
		}
		if works != nil && (works(921600) || !works(1000000)) {
			t.Error("a CH340 does 1000000 baud and not 921600")
		}
	}
	if name, works := adapterAt("socket://h:1"); name != "socket://h:1" || works != nil {
		t.Errorf("got %q", name)
	}
}

func TestRatesOfAdapters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	file := filepath.Join(filepath.Dir(path), "ledger.adapters.json")
	open := func() *Rates {
		r := OpenRates(path)
		r.Adapter = func(name string) (string, func(int) bool) {
			return "adapter at " + name, func(baud int) bool { return baud < 1000000 }
		}
		return r
	}
	r := open()
	if baud, why := r.At("a").Pick(2000000); baud != 921600 || !strings.Contains(why, "cannot do 2000000") {
		t.Errorf("got %d because %q", baud, why)
	}
	r.At("a").Done(921600, 100, 0)
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("a file for nothing: %v", err)
	}
	r.At("a").Failed(921600)
	if baud, _ := r.At("b").Pick(921600); baud != 921600 {
		t.Errorf("another adapter at %d baud", baud)
	}
	r = open()
	if baud, _ := r.At("a").Pick(921600); baud != 460800 {
		t.Errorf("after a restart at %d baud", baud)
	}
	if b, err := os.ReadFile(file); err != nil || !strings.Contains(string(b), `"adapter at a"`) {
		t.Errorf("got %s, %v", b, err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	for _, damaged := range []string{"", "{", `{"version":2,"adapters":{"adapter at a":{"barred":{"921600":{"wait":9}}}}}`, `{"version":1}`} {
		if err := os.WriteFile(file, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		r := open()
		if baud, _ := r.At("a").Pick(921600); baud != 921600 {
			t.Errorf("%q: at %d baud", damaged, baud)
		}
		r.At("a").Failed(921600)
		if baud, _ := open().At("a").Pick(921600); baud != 460800 {
			t.Errorf("%q: not replaced", damaged)
		}
	}
}

// A file that cannot be used is set aside, and the line works without it.
func TestBadRatesAreSetAside(t *testing.T) {
	for _, bad := range []string{
		`{"version":1,"adapters":{"x":null}}`,
		`{"version":1,"adapters":{"x":{"barred":{"921600":null}}}}`,
		`{"version":1,"adapters":{"x":{"barred":{"921600":{"times":-1}}}}}`,
		`{"version":7}`, `[]`, `{`,
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "ledger.adapters.json")
		if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		use(OpenRates(filepath.Join(dir, "ledger.db")))
		r := OpenRates(filepath.Join(dir, "ledger.db"))
		kept, _ := filepath.Glob(file + ".bad-*")
		if len(kept) != 1 || r.Warning != "" {
			t.Errorf("%s: set aside as %v, then %q", bad, kept, r.Warning)
			continue
		}
		if b, err := os.ReadFile(kept[0]); string(b) != bad {
			t.Errorf("%s: set aside as %s, %v", bad, b, err)
		}
	}
	// What is no file at all is set aside too.
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "ledger.adapters.json"), 0o755); err != nil {
		t.Fatal(err)
	}
	if r := OpenRates(filepath.Join(dir, "ledger.db")); !strings.Contains(r.Warning, "it is a folder") {
		t.Errorf("got %q", r.Warning)
	}
}

// use is what a flash step does with the rates of every adapter.
func use(r *Rates) {
	r.Adapter = func(name string) (string, func(int) bool) { return name, nil }
	names := []string{"x", "new"}
	for name := range r.known.Adapters {
		names = append(names, name)
	}
	for _, name := range names {
		s := r.At(name)
		baud, _ := s.Pick(2000000)
		s.Failed(baud)
		s.Done(baud, 100, 0)
		s.Done(flow.BaseBaud, 100, 3)
	}
}

func FuzzRates(f *testing.F) {
	f.Add([]byte(`{"version":1,"adapters":{"x":{"barred":{"921600":{"times":3,"wait":20,"clean":1}}}}}`))
	f.Add([]byte(`{"version":1,"adapters":{"x":null}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		known, err := parseRates(data)
		if err != nil {
			return
		}
		if known.Adapters == nil {
			known.Adapters = map[string]*flow.AdapterRates{}
		}
		r := &Rates{known: known, path: filepath.Join(t.TempDir(), "ledger.adapters.json")}
		use(r)
		saved, err := os.ReadFile(r.path)
		if err == nil {
			_, err = parseRates(saved)
		}
		if err != nil {
			t.Errorf("what was saved: %v", err)
		}
	})
}
