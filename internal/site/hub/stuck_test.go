package hub

import (
	"slices"
	"testing"

	"github.com/nats-io/nats.go"

	"station/internal/site"
)

// A site whose disk is full says so once, takes no bench, and takes it when there is room again.
func TestFullDisk(t *testing.T) {
	f, s := started(t)
	defer s.Close()
	b := newShop(t, f, "bench-1")
	b.push(s)
	var told []string
	s.hub.Tell = func(text string) { told = append(told, text) }
	defer func(was int64) { leastFree = was }(leastFree)
	hears := func(want string) {
		t.Helper()
		list, err := s.hub.listed(t.Context())
		if err != nil || len(list) != 1 || list[0].Stuck != want {
			t.Errorf("who asks the site hears %+v, %v", list, err)
		}
		m, err := s.hub.of("bench-1")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if a := m.answer(t.Context(), site.Meet, &nats.Msg{Data: []byte(`{}`)}); (a.Error == fullDisk) != (want != "") {
				t.Errorf("the bench hears %q", a.Error)
			}
		}
		if seen := s.hub.Benches()[0].Stuck; seen != want {
			t.Errorf("the page hears %q", seen)
		}
	}
	hears("")
	told, leastFree = nil, 1<<62
	hears(fullDisk)
	if !slices.Equal(told, []string{fullDisk}) {
		t.Errorf("it told %q", told)
	}
	leastFree = 0
	hears("")
}
