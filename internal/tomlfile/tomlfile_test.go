package tomlfile

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"station/internal/filefault"
)

type span struct{ time.Duration }

func (s *span) UnmarshalText(b []byte) (err error) {
	s.Duration, err = time.ParseDuration(string(b))
	return err
}

type config struct {
	Name  string         `toml:"name"`
	On    *bool          `toml:"on"`
	Flash section        `toml:"flash"`
	Image []section      `toml:"image"`
	Fuses map[string]int `toml:"fuses"`
}

type section struct {
	Size uint16 `toml:"size"`
	File string `toml:"file"`
	Wait span   `toml:"wait"`
}

func TestDecode(t *testing.T) {
	var c config
	f := Decode("job.toml", []byte("name = 'a'\non = false\n[flash]\nsize = 0x10\nwait = '3s'\n[[image]]\nfile = 'x'\n[[image]]\nfile = 'y'\n[fuses]\nJTAG = 1\n"), &c)
	if err := f.Err(); err != nil {
		t.Fatal(err)
	}
	if c.Name != "a" || c.On == nil || *c.On || c.Flash.Size != 16 || c.Flash.Wait.Duration != 3*time.Second ||
		len(c.Image) != 2 || c.Image[1].File != "y" || c.Fuses["JTAG"] != 1 {
		t.Errorf("got %+v", c)
	}
	for path, want := range map[string]int{"flash.size": 4, "image.1.file": 9, "image.1": 8, "fuses.JTAG": 11, "flash.nowhere": 3, "nowhere": 0} {
		if got := f.Line(path); got != want {
			t.Errorf("line of %s: got %d, want %d", path, got, want)
		}
	}
	if !f.Has("on") || f.Has("off") {
		t.Error("Has is wrong")
	}
}

func TestEveryFaultAtOnce(t *testing.T) {
	var c config
	f := Decode("job.toml", []byte(`nam = "a"
on = 3
[flash]
size = 70000
wait = "soon"
[[image]]
file = 1
[[image]]
sizes = 1
[fuses]
JTAG = "yes"
`), &c)
	f.Fault("name", "is missing")
	got := fmt.Sprint(f.Err())
	for i, want := range []string{
		`job.toml:1: nam: unknown key; did you mean "name"?`,
		`job.toml:2: on: is a whole number, want true or false`,
		`job.toml:4: flash.size: 70000 is out of range`,
		`job.toml:5: flash.wait: time: invalid duration "soon"`,
		`job.toml:7: image.0.file: is a whole number, want text`,
		`job.toml:9: image.1.sizes: unknown key; did you mean "size"?`,
		`job.toml:11: fuses.JTAG: is text, want a whole number`,
	} {
		lines := strings.Split(got, "\n")
		if i >= len(lines) || lines[i] != want {
			t.Errorf("line %d: want %q in\n%s", i, want, got)
		}
	}
}

// A fault stands once: what follows from it is not told.
func TestOneFaultAKey(t *testing.T) {
	var c config
	f := Decode("job.toml", []byte("nmae = \"a\"\nflash = 3\n"), &c)
	f.Fault("name", "is missing")
	f.Fault("flash.size", "is missing")
	f.Fault("on", "is missing")
	f.Fault("on", "is missing")
	want := "job.toml:1: nmae: unknown key; did you mean \"name\"?\njob.toml:2: flash: is a whole number, want a table\njob.toml: on: is missing"
	if got := fmt.Sprint(f.Err()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if !f.Bad("flash.size") || f.Bad("image") || f.Broken() {
		t.Error("Bad or Broken is wrong")
	}
}

func TestSyntaxErrorHasALine(t *testing.T) {
	var c config
	err := Decode("job.toml", []byte("name = 'a'\nname = = 3\n"), &c).Err()
	if err == nil || !strings.HasPrefix(err.Error(), "job.toml:2: ") {
		t.Errorf("got %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("name = 'a'\n[[image]]\nfile = 'x'\n[flash]\nsize=1"))
	f.Add([]byte("image = [{file='x'}]\na.b.c = 1\n"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		var c config
		_ = Decode("x", data, &c).Err()
	})
}

// What is wrong with another file stands behind the faults of this one, whatever
// its line there.
func TestFaultsOfOtherFilesComeLast(t *testing.T) {
	var v struct {
		A int `toml:"a"`
		B int `toml:"b"`
	}
	f := Decode("x.toml", []byte("a = 1\nb = 2\n"), &v)
	f.Add(&filefault.Fault{File: "y.csv", Line: 1, Text: "y"})
	f.Fault("b", "b")
	f.Fault("a", "a")
	if got, want := f.Err().Error(), "x.toml:1: a: a\nx.toml:2: b: b\ny.csv:1: y"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
