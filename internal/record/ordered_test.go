package record

import "testing"

// Benches that get numbers from the site share one quota: the smallest that one of them knows. Others have
// one each.
func TestOrdered(t *testing.T) {
	for _, v := range []struct {
		parts []Lot
		want  int
	}{
		{[]Lot{{Quota: 8}, {Quota: 9}}, 17},
		{[]Lot{{Quota: 8, Leases: 2}, {Quota: 9, Leases: 1}}, 8},
		{[]Lot{{Quota: 8, Leases: 1}, {Quota: 8}}, 8}, // one that made nothing yet
		{[]Lot{{Leases: 1}, {Quota: 8}}, 8},
		{[]Lot{{Leases: 1}, {}}, 0},
		{nil, 0},
	} {
		if got := Ordered(v.parts); got != v.want {
			t.Errorf("%+v: %d, want %d", v.parts, got, v.want)
		}
	}
}
