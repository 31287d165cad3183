package plain_test

import (
	"errors"
	"strings"
	"testing"

	"station/internal/plain"
)

type name string

// No value forges a line or a column.
func TestFprintfKeepsLinesAndColumns(t *testing.T) {
	var b strings.Builder
	_, err := plain.Fprintf(&b, "%s\t%v\t%s\t%d|%x\n", "a\nPASS\tb", name("c\r\nd"), errors.New("e\x1b[2Jf\u2028g"), 7, []byte{1})
	if want := "a PASS b\tc d\te\\u001b[2Jf\\u2028g\t7|01\n"; b.String() != want || err != nil {
		t.Errorf("got %q, want %q (%v)", b.String(), want, err)
	}
}
