package outbox

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"station/internal/chip"
	"station/internal/record"
	"station/internal/site"
)

// running is a bench that is connected until the test ends.
func (b *bench) running() *bench {
	b.t.Helper()
	told := make(chan Status, 10_000)
	b.Told = func(s Status) { told <- s }
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); b.Run(ctx) }()
	b.t.Cleanup(func() { cancel(); <-ended })
	for s := range told {
		if s.State == Up {
			return b
		}
	}
	return b
}

// settled waits until the site has claimed the names of so many entries.
func (b *bench) settled(n uint64) {
	b.t.Helper()
	p, _ := plant()
	for {
		list, err := p.List(b.t.Context())
		if err != nil {
			b.t.Fatal(err)
		}
		for _, s := range list {
			if s.Bench == b.Pass.Bench && s.Settled >= n {
				return
			}
		}
	}
}

func keyed(mac chip.MAC, key, policy string) record.Entry {
	return record.Entry{Kind: record.KeyAssigned, MAC: mac, Keys: []record.Key{{Purpose: chip.FlashEncryption, ID: key, Policy: policy}}, Simulated: true}
}

// Of two benches that want a name at the same instant one gets it, every time, and may
// ask again; the other hears who has it.
func TestClaims(t *testing.T) {
	a, b := newBench(t).running(), newBench(t2{t, "other"}).running()
	won := [2]int{}
	for n := range 50 {
		serial := record.Entry{Kind: record.SerialBound, Serial: fmt.Sprintf("L:%d/ü", n), Simulated: true}
		answers := make(chan error, 2)
		for i, x := range []*bench{a, b} {
			e := serial
			e.MAC = chip.MAC{2, byte(i), 0, 0, byte(n >> 8), byte(n)} // each has a device of its own
			names, err := site.NamesOf(e)
			if err != nil || len(names.List) != 2 {
				t.Fatal(names, err)
			}
			go func() {
				err := x.Claim(t.Context(), names)
				if err == nil {
					won[i]++
					err = x.Claim(t.Context(), names)
				}
				answers <- err
			}()
		}
		one, two := <-answers, <-answers
		taken := new(site.Taken)
		if (one == nil) == (two == nil) || !errors.As(errors.Join(one, two), &taken) || taken.Kind != site.NameSerial || taken.Value != serial.Serial {
			t.Fatalf("%d: %v, %v", n, one, two)
		}
	}
	t.Logf("won %v", won)
	mac := chip.MAC{2, 9, 9, 9, 9, 9}
	for _, v := range []struct {
		who  *bench
		e    record.Entry
		want string // kind of what is taken
	}{
		{a, keyed(mac, "derived:m:1", "derived"), ""},
		{a, keyed(mac, "derived:m:1", "derived"), ""},
		{b, keyed(mac, "derived:m:1", "derived"), "mac"},
		{a, keyed(chip.MAC{2, 9, 9, 9, 9, 8}, "derived:m:1", "derived"), "key"},
		{b, keyed(chip.MAC{2, 9, 9, 9, 9, 7}, "derived:m:1", "derived"), "key"},
		{a, keyed(chip.MAC{2, 9, 9, 9, 9, 6}, "shared:fleet:1", "shared"), ""},
		{b, keyed(chip.MAC{2, 9, 9, 9, 9, 5}, "shared:fleet:1", "shared"), ""},
		{a, record.Entry{Kind: record.IdentityMade, MAC: mac, About: record.NamesIdentity(record.Identity{ID: "i1", Certificate: &record.Certificate{Serial: "AB", CA: "sha256:1"}}), Simulated: true}, ""},
		{b, record.Entry{Kind: record.IdentityMade, MAC: chip.MAC{2, 9, 9, 9, 9, 4}, About: record.NamesIdentity(record.Identity{ID: "i2", Certificate: &record.Certificate{Serial: "AB", CA: "sha256:1"}}), Simulated: true}, "certificate"},
		{b, record.Entry{Kind: record.IdentityMade, MAC: chip.MAC{2, 9, 9, 9, 9, 4}, About: record.NamesIdentity(record.Identity{ID: "i1"}), Simulated: true}, "identity"},
		{b, record.Entry{Kind: record.IdentityMade, MAC: chip.MAC{2, 9, 9, 9, 9, 4}, About: record.NamesIdentity(record.Identity{ID: "i3", Certificate: &record.Certificate{Serial: "AB", CA: "sha256:2"}}), Simulated: true}, ""},
		{b, record.Entry{Kind: record.DeviceSeen, MAC: mac, Simulated: true}, ""},
	} {
		names, err := site.NamesOf(v.e)
		if err != nil {
			t.Fatal(err)
		}
		err = v.who.Claim(t.Context(), names)
		taken := new(site.Taken)
		if errors.As(err, &taken); string(taken.Kind) != v.want || (err == nil) != (v.want == "") {
			t.Errorf("%s %s: %v, want %q", v.e.Kind, v.e.MAC, err, v.want)
		}
	}
	real := keyed(mac, "derived:m:1", "derived")
	real.Simulated = false // a virtual device's names are no real one's
	names, _ := site.NamesOf(real)
	if err := b.Claim(t.Context(), names); err != nil {
		t.Error(err)
	}
}

// Names that a ledger gave away without asking are claimed when it comes, and who was
// second is told, with the entry.
func TestConflictIsFoundLater(t *testing.T) {
	a, b := newBench(t), newBench(t2{t, "later"})
	mac := chip.MAC{2, 8, 8, 8, 8, 8}
	for _, x := range []*bench{a, b} {
		if _, err := x.Ledger.Append(keyed(mac, "derived:m:8", "derived")); err != nil {
			t.Fatal(err)
		}
		x.push()
		x.settled(2)
	}
	p, _ := plant()
	list, err := p.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		switch {
		case s.Bench == a.Pass.Bench && len(s.Conflicts) > 0:
			t.Errorf("the first has conflicts: %+v", s.Conflicts)
		case s.Bench == b.Pass.Bench:
			if len(s.Conflicts) != 1 || s.Conflicts[0].Bench != a.Pass.Bench || s.Conflicts[0].Device != mac.String() || s.Conflicts[0].Entry != 1 {
				t.Errorf("the second: %+v", s.Conflicts)
			}
		}
	}
}
