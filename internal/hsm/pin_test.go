package hsm

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/secret"
)

func TestPINFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pin")
	for _, c := range []struct {
		text  string
		mode  os.FileMode
		want  string
		words string
	}{
		{"1234", 0o600, "1234", ""},
		{"12 34\n", 0o400, "12 34", ""},
		{"1234\r\n", 0o640, "1234", ""},
		{strings.Repeat("9", maxPIN) + "\n", 0o600, strings.Repeat("9", maxPIN), ""},
		{strings.Repeat("9", maxPIN+1), 0o600, "", "more than one line"},
		{strings.Repeat("9", 5000), 0o600, "", "more than one line"},
		{"1234\n5678\n", 0o600, "", "more than one line"},
		{"", 0o600, "", "is empty"},
		{"\n", 0o600, "", "is empty"},
		{"1234", 0o604, "", "mode 0604"},
		{"1234", 0o644, "", "chmod 0600"},
		{"1234", 0o620, "", "read or changed by others"},
	} {
		if err := errors.Join(os.WriteFile(file, []byte(c.text), 0o600), os.Chmod(file, c.mode)); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{file, "//" + file} { // file:/path and file:///path
			pin, err := pinFile(path)
			switch {
			case c.words == "" && (err != nil || string(pin.Reveal()) != c.want):
				t.Errorf("%q mode %o: got %v, %v", c.text, c.mode, pin, err)
			case c.words != "" && (!errors.Is(err, ErrNoPIN) || !strings.Contains(err.Error(), c.words)):
				t.Errorf("%q mode %o: got %v, want %q", c.text, c.mode, err, c.words)
			case err != nil && strings.Contains(err.Error(), "1234"):
				t.Errorf("the error repeats the PIN: %v", err)
			}
			pin.Destroy()
		}
		if err := os.Chmod(file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for path, words := range map[string]string{filepath.Dir(file): "not a regular file", file + ".no": "no such file"} {
		if _, err := pinFile(path); !errors.Is(err, ErrNoPIN) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: got %v, want %q", path, err, words)
		}
	}
}

func TestPINSources(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(file, []byte("from the file"), 0o600); err != nil {
		t.Fatal(err)
	}
	asked := ""
	typed := func(s string, err error) func(string) (*secret.Bytes, error) {
		return func(q string) (*secret.Bytes, error) {
			asked = q
			pin, _ := secret.New([]byte(s))
			return pin, err
		}
	}
	hangup := errors.New("nobody there")
	for _, c := range []struct {
		name, env string
		cfg       Config
		want      string
		err       error
	}{
		{"file first", "from the environment", Config{URI: URI{PINSource: "file:" + file}, Prompt: typed("typed", nil)}, "from the file", nil},
		{"then environment", "from the environment", Config{Prompt: typed("typed", nil)}, "from the environment", nil},
		{"then a person", "", Config{Prompt: typed("typed", nil)}, "typed", nil},
		{"nobody", "", Config{}, "", ErrNoPIN},
		{"nothing typed", "", Config{Prompt: typed("", nil)}, "", ErrNoPIN},
		{"prompt fails", "", Config{Prompt: typed("", hangup)}, "", hangup},
		{"file fails", "from the environment", Config{URI: URI{PINSource: "file:/no/such/file"}}, "", ErrNoPIN},
	} {
		t.Setenv(PINEnv, c.env)
		pin, err := readPIN(c.cfg, "line 1")
		if !errors.Is(err, c.err) || string(pin.Reveal()) != c.want {
			t.Errorf("%s: got %q, %v, want %q, %v", c.name, pin.Reveal(), err, c.want, c.err)
		}
		pin.Destroy()
	}
	if asked != `PIN of the token "line 1"` {
		t.Errorf("asked %q", asked)
	}
}
