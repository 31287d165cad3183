package filefault

import (
	"errors"
	"fmt"
	"testing"
)

func TestError(t *testing.T) {
	for want, f := range map[string]Fault{
		"a.csv:3: size: too large; make it smaller": {"a.csv", 3, "size", "too large; make it smaller"},
		"a.csv:3: a row too many":                   {"a.csv", 3, "", "a row too many"},
		"a.bin: the file is empty":                  {"a.bin", 0, "", "the file is empty"},
		"job.toml: name: it is missing":             {"job.toml", 0, "name", "it is missing"},
		"nothing is written":                        {"", 0, "", "nothing is written"},
	} {
		if got := f.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestAll(t *testing.T) {
	one, two, three := &Fault{Text: "1"}, &Fault{Text: "2"}, &Fault{Text: "3"}
	joined := errors.Join(one, errors.New("else"), errors.Join(two, three))
	if got := fmt.Sprint(All(joined)); got != "[1 2 3]" {
		t.Errorf("got %s", got)
	}
	if got := All(fmt.Errorf("read: %w", one)); All(nil) != nil || got != nil {
		t.Errorf("what was wrapped is another error: %v", got)
	}
}
