package station

import (
	"errors"
	"runtime"
	"slices"
	"testing"
	"time"

	"station/internal/chip"
	"station/internal/esploader"
	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/record"
	"station/internal/sim"
	"station/internal/site/outbox"
)

// siteLine is a bench of a site with a job and a token: it makes devices of batch b.
type siteLine struct {
	*siteBench
	t    *testing.T
	st   *flowtest.Bench
	site *Site
}

// lines are benches of one site, of which each has opened the batch.
func lines(t *testing.T, offline Offline, numbers, quota int, ids ...string) (list []*siteLine) {
	t.Helper()
	first := newSiteBench(t)
	first.file.Site.Offline, first.file.Site.Numbers = offline, numbers
	st := flowtest.NewSmall(t, tokenKeys)
	for i, id := range ids {
		b := &siteLine{siteBench: first, t: t, st: st}
		if i > 0 {
			b.siteBench = first.another(t, id)
		}
		b.start()
		if quota > 0 {
			b.note(record.Entry{Kind: record.BatchOpened, Batch: "b", Quota: quota, Operator: "anna"})
		}
		list = append(list, b)
	}
	return list
}

func (b *siteLine) note(e record.Entry) {
	b.t.Helper()
	e.Simulated = true
	if _, err := b.site.Ledger.Append(e); err != nil {
		b.t.Fatal(err)
	}
}

// start opens the bench, as the program does.
func (b *siteLine) start() {
	b.t.Helper()
	b.site = b.open(b.t)
	b.site.Again = time.Millisecond
	b.site.numbers.lot(record.Entry{Batch: "b", Simulated: true})
	b.site.Start()
	<-b.site.word
	b.t.Cleanup(b.stop)
}

// stop ends the bench where it stands.
func (b *siteLine) stop() {
	b.t.Helper()
	if b.site == nil {
		return
	}
	for f := range b.site.Ledger.Check(nil) {
		b.t.Errorf("%s: ledger: %v", b.file.ID, f)
	}
	if err := errors.Join(b.site.Close(), b.site.Ledger.Close()); err != nil {
		b.t.Error(err)
	}
	b.site = nil
}

func (b *siteLine) restart() { b.stop(); b.start() }

// up waits until the site is there, or is not.
func (b *siteLine) up(is bool) {
	for (b.site.Status().State == outbox.Up) != is {
		runtime.Gosched()
	}
}

// visit puts a chip into the slot once.
func (b *siteLine) visit(chip *sim.Chip) flow.Outcome {
	b.t.Helper()
	wire, err := chip.Open()
	if err != nil {
		b.t.Fatal(err)
	}
	r := b.st.Runner()
	r.Ledger, r.Batch, r.Numbered, r.Station = claims{b.site.Ledger, b.site}, "b", b.site.offline == OfflineLease, b.file.ID
	return r.Device(b.t.Context(), "1", "sim://1", esploader.New(wire, esploader.Options{}))
}

func (b *siteLine) chip(n int) *sim.Chip {
	return flowtest.NewChip(b.t, sim.Options{MAC: VirtualMAC(n)})
}

// taken are the site's numbers that the bench has given to devices.
func (b *siteLine) taken() (list []int) {
	b.t.Helper()
	for e, err := range b.site.Ledger.Entries(0) {
		if err != nil {
			b.t.Fatal(err)
		}
		if e.Kind != record.NumberTaken {
			continue
		}
		n, err := record.ReadAbout[record.Numbered](e)
		if err != nil {
			b.t.Fatal(err)
		}
		list = append(list, n.Site)
	}
	return list
}

// different fails where a number was given twice, and counts them.
func different(t *testing.T, benches ...*siteLine) int {
	t.Helper()
	var all []int
	for _, b := range benches {
		all = append(all, b.taken()...)
	}
	slices.Sort(all)
	if len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Errorf("numbers were given twice: %v", all)
	}
	return len(all)
}

// siteBack starts the site again at the address that it had.
func siteBack(t *testing.T, benches ...*siteLine) {
	t.Helper()
	first := benches[0].siteBench
	first.folder.Listen = first.folder.URL[len("tls://"):]
	server, err := first.folder.Start(t.Context(), func(text string) { t.Log(text) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	for _, b := range benches {
		b.server = server
	}
}

// take takes a number for device n, as the step key does.
func (b *siteLine) take(n int) (flow.Code, error) {
	_, err := (claims{b.site.Ledger, b.site}).Reserve(record.Entry{Batch: "b", MAC: VirtualMAC(n), JobHash: b.st.Job.Digest(), Simulated: true})
	if err != nil {
		return flow.FailureFrom(err).Code, err
	}
	return "", nil
}

// settled waits until the site has read all that the bench's ledger has.
func (b *siteLine) settled() {
	b.t.Helper()
	for {
		size, _, err := b.site.Ledger.Head()
		list, listErr := b.folder.List(b.t.Context())
		if err = errors.Join(err, listErr); err != nil {
			b.t.Fatal(err)
		}
		for _, s := range list {
			if s.Bench == b.file.ID && s.Settled >= size {
				return
			}
		}
	}
}

// key gives device n a key without a word to the site.
func (b *siteLine) key(n int, id string) {
	b.t.Helper()
	b.note(record.Entry{Kind: record.KeyAssigned, MAC: VirtualMAC(n), Keys: []record.Key{{Purpose: chip.FlashEncryption, ID: id, Policy: "derived"}}})
}
