package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"station/internal/record"
	"station/internal/site"
)

// leaser is a bench's ledger, as far as numbers go.
type leaser struct {
	name    string
	lot     record.Lot
	entries []record.Entry
}

func (b *leaser) append(t *testing.T, e record.Entry) {
	t.Helper()
	e.Index = uint64(len(b.entries))
	if err := b.lot.CheckLease(e); err != nil {
		t.Fatalf("%s: %v", b.name, err)
	}
	b.lot.Apply(e)
	b.entries = append(b.entries, e)
}

func (b *leaser) wants(size, most int) site.LeaseWanted {
	w := site.LeaseWanted{Lot: "batch:b", Turn: b.lot.Leases + 1, Size: size, Quota: most}
	if b.lot.Leases == 0 {
		w.Before = b.lot.Reserved
	}
	return w
}

// Whatever gets lost between site and benches, and though the site forgets all and reads
// it again from the ledgers, no number is taken twice, and never more than the quota.
func TestNoNumberTwice(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		most := 3 + r.IntN(60)
		q := quota{}
		benches := []*leaser{{name: "a"}, {name: "b"}, {name: "c"}}
		benches[2].lot.Reserved = 2 // made without a site before
		taken := map[int]string{}
		if first, err := q.lease("c", benches[2].wants(1, most)); err == nil {
			benches[2].append(t, record.Entry{Kind: record.NumbersLeased, About: record.AboutOf(first)})
		}
		for range 400 {
			b := benches[r.IntN(3)]
			switch r.IntN(8) {
			case 0, 1:
				if !b.lot.Room() {
					break
				}
				got, err := q.lease(b.name, b.wants(1+r.IntN(12), most))
				if errors.Is(err, site.ErrFull) || err == nil && r.IntN(3) == 0 { // the answer is lost
					break
				}
				if err != nil {
					t.Fatal(seed, err)
				}
				b.append(t, record.Entry{Kind: record.NumbersLeased, About: record.AboutOf(got)})
			case 2:
				if list := b.lot.Unused(); len(list) > 0 {
					b.append(t, record.Entry{Kind: record.NumbersReturned, About: record.AboutOf(record.Returned{Blocks: list})})
				}
			case 3: // the site reads, more than once
				for _, e := range b.entries {
					if err := q.read(b.name, e); err != nil {
						t.Fatal(seed, err)
					}
				}
			case 4: // what is kept is what was known
				data, err := json.Marshal(q)
				q = quota{}
				if err = errors.Join(err, json.Unmarshal(data, &q)); err != nil {
					t.Fatal(err)
				}
			case 5:
				if r.IntN(20) > 0 {
					break
				}
				q = quota{} // its records are lost
				for _, i := range r.Perm(3) {
					q.of(benches[i].name).Quota = most
					for _, e := range benches[i].entries {
						if err := q.read(benches[i].name, e); err != nil {
							t.Fatal(seed, err)
						}
					}
				}
			default:
				n, err := b.lot.NextNumber()
				if err != nil || n == 0 {
					break
				}
				if whose, twice := taken[n]; twice {
					t.Fatalf("seed %d: %s takes %d, which %s has: %v", seed, b.name, n, whose, q)
				}
				taken[n] = b.name
				b.lot.Apply(record.Entry{Kind: record.NumberTaken, Number: b.lot.Reserved + 1})
			}
			if len(taken)+2 > most {
				t.Fatalf("seed %d: %d and %d devices of %d", seed, len(taken), 2, most)
			}
		}
	}
}

// The smallest quota counts, towards its end blocks become small, and numbers that were
// given back go to whoever needs them.
func TestBlocks(t *testing.T) {
	q := quota{}
	want := func(bench string, turn, size, most int, want string) {
		t.Helper()
		got, err := q.lease(bench, site.LeaseWanted{Lot: "batch:b", Turn: turn, Size: size, Quota: most})
		if text := fmt.Sprint(got); err != nil && text != "" {
			t.Logf("%s: %v", bench, err)
		}
		if text := got.Numbers.String(); err != nil && want != "full" || err == nil && text != want || want == "full" && !errors.Is(err, site.ErrFull) {
			t.Fatalf("%s, lease %d: got %s, %v, want %s; %v", bench, turn, text, err, want, q)
		}
	}
	want("a", 1, 40, 100, "1 to 40")
	want("a", 1, 40, 100, "1 to 40") // once more: the answer was lost
	want("b", 1, 40, 90, "41 to 52") // a quarter of what is left of 90
	want("a", 2, 40, 100, "53 to 61")
	if err := q.read("a", record.Entry{Kind: record.NumbersReturned, Index: 7, About: record.AboutOf(record.Returned{Blocks: []record.Numbers{{First: 31, Count: 10}, {First: 53, Count: 9}}})}); err != nil {
		t.Fatal(err)
	}
	want("b", 2, 5, 90, "31 to 35")
	want("b", 3, 40, 0, "36 to 40") // it knows no quota, and the other's holds
	want("b", 4, 40, 54, "53")
	want("b", 5, 40, 53, "full")
	if _, err := q.lease("a", site.LeaseWanted{Lot: "batch:b", Turn: 1, Size: 1}); err == nil || errors.Is(err, site.ErrFull) {
		t.Errorf("a ledger that lacks a lease: %v", err)
	}
	if _, err := q.lease("a", site.LeaseWanted{Lot: "batch:b", Turn: 9, Size: 1}); !errors.Is(err, site.ErrBehind) {
		t.Errorf("a lease that the site does not know: %v", err)
	}
}
