package plain

import "testing"

func TestCount(t *testing.T) {
	for _, v := range []struct {
		n          int
		noun, want string
	}{{0, "fault", "0 faults"}, {1, "fault", "1 fault"}, {2, "fault", "2 faults"}, {1, "entry", "1 entry"}, {12, "entry", "12 entries"}, {4, "key", "4 keys"}} {
		if got := Count(v.n, v.noun); got != v.want {
			t.Errorf("%d: got %q, want %q", v.n, got, v.want)
		}
	}
}
