package sim

import (
	"strings"
	"testing"
)

// An application of somebody else says what it is promised to say, and the
// console does not hide who speaks.
func TestAnyApplicationSaysItsMarker(t *testing.T) {
	for _, c := range []struct {
		project, ready, text string // text stands in the image
		want                 []string
	}{
		{exampleApp, "", "", []string{"station-example: ready"}},
		{"lamp", "lamp: ready to shine", "ready to shine", []string{"its image holds the text", ") lamp: ready to shine"}},
		{"lamp", "设备就绪", "", []string{"does not hold the text", "设备就绪"}},
		{"lamp", "", "", []string{"what it would print now is not known"}},
	} {
		o := Options{Ready: c.ready, Flash: lay(4<<20, map[uint32][]byte{
			0x1000:  bootloaderWith(""),
			0x8000:  tableOf(row(0, 0, 0x10000, 0x100000, "factory", 0)),
			0x10000: stationApp(appHead(c.project, "1"), part{0x3ffb0000, filled(64, []byte(c.text))}),
		})}
		got := bootText(t, newChip(t, o))
		for _, want := range append(c.want, "does not run here") {
			if c.project != exampleApp && !strings.Contains(got, want) || c.project == exampleApp && !strings.Contains(got, c.want[0]) {
				t.Errorf("%s, %q: no %q in %q", c.project, c.ready, want, got)
			}
		}
	}
}

func TestMinorRevision(t *testing.T) {
	c := newChip(t, Options{Revision: 3, Minor: 1})
	if got := c.revision(); got != 301 {
		t.Errorf("got %d", got)
	}
	if _, err := New(Options{Minor: 4}); err == nil {
		t.Error("there is a revision 3.4")
	}
}
