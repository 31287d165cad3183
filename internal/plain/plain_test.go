package plain

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"设备就绪 1.0-β é":     "设备就绪 1.0-β é",
		"a\x1b[2Jb":        `a\u001b[2Jb`,
		"\x1b]0;t\x07":     `\u001b]0;t\u0007`,
		"\u009b31m\x7f":    `\u009b31m\u007f`,
		"\x9b31m":          `\x9b31m`,
		"a\u202eb\u2066c":  `a\u202eb\u2066c`,
		"a\u200bb\ufeffc":  `a\u200bb\ufeffc`,
		"\U000e0041":       `\udb40\udc41`,
		"a\r\nb\tc\u2028":  "a\\u000d\nb\tc\\u2028",
		"\xc0\x9b\xe2\x82": `\xc0\x9b\xe2\x82`,
		"\ufffd":           "\ufffd",
		"\u3164\ufe0f":     `\u3164\ufe0f`,
	} {
		if got := Text(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestLine(t *testing.T) {
	if got := Line("OK\nNOT\r\nOK\t\x1b"); got != `OK NOT OK \u001b` {
		t.Errorf("got %q", got)
	}
	for _, long := range []string{strings.Repeat("a", 5000), strings.Repeat("设", 5000), strings.Repeat("\u0301", 5000), strings.Repeat("\x1b", 5000)} {
		if got := Line(long); utf8.RuneCountInString(got) > 6*maxLine+1 || !strings.HasSuffix(got, "…") {
			t.Errorf("got %d characters", utf8.RuneCountInString(got))
		}
	}
}

func TestConsole(t *testing.T) {
	if got := Console("\x1b[0;32mI (31) boot: 设备\x1b[0m\r\nx\x1b"); got != "I (31) boot: 设备\nx" && got != "I (31) boot: 设备\nx\\u001b" {
		t.Errorf("got %q", got)
	}
}

// However a text is cut into writes, what comes out is the same.
func TestWriter(t *testing.T) {
	in := "设备\x1b[2J\u202e\x9b\xc0 \U0001f600\n"
	for size := 1; size <= len(in); size++ {
		var b bytes.Buffer
		w := NewWriter(&b)
		for rest := in; rest != ""; {
			n := min(size, len(rest))
			if m, err := w.Write([]byte(rest[:n])); m != n || err != nil {
				t.Fatal(m, err)
			}
			rest = rest[n:]
		}
		if got := b.String(); got != Text(in) {
			t.Errorf("%d: got %q", size, got)
		}
	}
}

func TestWriterKeepsJSON(t *testing.T) {
	in := map[string]string{"name": "a\x1b\u202e\u009b\x7f\U000e0041\u2028设"}
	var b bytes.Buffer
	if err := json.NewEncoder(NewWriter(&b)).Encode(in); err != nil {
		t.Fatal(err)
	}
	var out map[string]string
	if err := json.Unmarshal(b.Bytes(), &out); err != nil || out["name"] != in["name"] {
		t.Errorf("%s: got %q, %v", b.Bytes(), out["name"], err)
	}
	if s := b.String(); strings.ContainsAny(s, "\u202e\u009b\x7f\U000e0041") {
		t.Errorf("raw: %q", s)
	}
}

func TestValue(t *testing.T) {
	type part struct{ Name string }
	type whole struct {
		Text  string
		List  []part
		Next  *part
		Array [2]string
		Bytes []byte
		own   string
	}
	list, next := []part{{"\x1b"}}, &part{"\x1b"}
	v := whole{Text: "\x1b", List: list, Next: next, Array: [2]string{"\x1b", "ok"}, Bytes: []byte{0x1b}, own: "\x1b"}
	Value(&v)
	const esc = `\u001b`
	if v.Text != esc || v.List[0].Name != esc || v.Next.Name != esc || v.Array[0] != esc || v.Bytes[0] != 0x1b || v.own != "\x1b" {
		t.Errorf("got %+v", v)
	}
	if list[0].Name != "\x1b" || next.Name != "\x1b" {
		t.Error("somebody else's was changed")
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\x1b[2J\u202e设\xff")
	f.Fuzz(func(t *testing.T, in string) {
		for _, got := range []string{Text(in), Line(in), Console(in)} {
			if !utf8.ValidString(got) {
				t.Fatalf("%q: not UTF-8: %q", in, got)
			}
			for _, r := range got {
				if hidden(r) && r != '\n' && r != '\t' {
					t.Fatalf("%q: %q is left in %q", in, r, got)
				}
			}
			if Text(got) != got && len(got) <= maxText {
				t.Fatalf("%q: %q is not plain", in, got)
			}
		}
	})
}
