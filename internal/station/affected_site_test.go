package station

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
)

// plant are the ledgers of benches.
type plant struct {
	t     *testing.T
	books []Book
}

// say appends an entry to the ledger of a bench, and tells where it is.
func (p *plant) say(bench string, e record.Entry) string {
	p.t.Helper()
	at := slices.IndexFunc(p.books, func(b Book) bool { return b.Bench == bench })
	if at < 0 {
		path := filepath.Join(p.t.TempDir(), "ledger.db")
		if err := ledger.Create(path, record.Entry{Operator: "anna", Station: bench}); err != nil {
			p.t.Fatal(err)
		}
		l, err := ledger.Open(path, ledger.Options{Station: bench})
		if err != nil {
			p.t.Fatal(err)
		}
		p.t.Cleanup(func() { l.Close() })
		at, p.books = len(p.books), append(p.books, Book{bench, l})
	}
	e.Operator = "anna"
	e, err := p.books[at].Ledger.Append(e)
	if err != nil {
		p.t.Fatal(err)
	}
	return fmt.Sprint(bench, ":", e.Index)
}

// seals makes a device at a bench; it returns where its flash was verified, and where it was sealed.
func (p *plant) seals(bench string, n byte, app string) (flashed, sealed string) {
	p.t.Helper()
	id := fmt.Sprintf("derived:master:a%015x", n)
	for _, e := range []record.Entry{
		{Kind: record.DeviceSeen, Identity: &chip.Identity{MAC: lamp(n)}},
		{Kind: record.KeyAssigned, Keys: []record.Key{{Purpose: chip.FlashEncryption, ID: id, Policy: "derived"}}},
		{Kind: record.FlashVerified, Keys: record.FlashKey(id), Images: []record.Image{{Name: "app", Slot: "ota_0", Plain: app, Version: "1.0.0"}}},
		{Kind: record.Sealed, Keys: record.FlashKey(id), Verdict: record.Pass},
	} {
		e.MAC, e.Job, e.Batch = lamp(n), "lamp", "b1"
		flashed, sealed = sealed, p.say(bench, e)
	}
	return flashed, sealed
}

// tells is the word of an update server of a release.
func (p *plant) tells(server string, kind record.Kind, n byte, f record.Field) string {
	p.t.Helper()
	about, err := json.Marshal(f)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.say(server, record.Entry{Kind: kind, MAC: lamp(n), About: about})
}

func lamp(n byte) chip.MAC { return chip.MAC{0x24, 0x0a, 0xc4, 0, 0, n} }

// Of all benches and servers together, each device is listed once, with the bench whose it is; what one
// ledger says of it counts whichever other one made it, and each entry is named with its ledger.
func TestAffectedAtSite(t *testing.T) {
	p := &plant{t: t}
	old, app7 := "sha256:"+strings.Repeat("a", 64), "sha256:"+strings.Repeat("7", 64)
	flashed1, sealed1 := p.seals("bench-1", 1, old)
	flashed2, _ := p.seals("bench-2", 2, old)
	flashed3, _ := p.seals("bench-1", 3, old)
	p.say("bench-1", record.Entry{Kind: record.DeviceSeen, MAC: lamp(2), Job: "lamp", Identity: &chip.Identity{MAC: lamp(2)}}) // a second visit, elsewhere
	offer1 := p.tells("a-server", record.UpdateOffered, 1, record.Field{Product: "lamp", Release: 7})
	took2 := p.tells("a-server", record.UpdateResult, 2, record.Field{Product: "lamp", Release: 7, State: "success"})
	runs2 := p.tells("server-2", record.UpdateResult, 2, record.Field{Product: "lamp", Release: 8, Version: "2.8", State: "success"})
	p.tells("the-office", record.ReleaseMade, 0, record.Field{Product: "lamp", Release: 7, App: app7}) // read behind those that name it
	slices.SortFunc(p.books, func(a, b Book) int { return strings.Compare(a.Bench, b.Bench) })
	for _, v := range []struct {
		name string
		by   Wanted
		want []string
	}{
		{"release", Wanted{Release: 7}, []string{"1 bench-1 offered 0 " + offer1, "2 bench-2 ran 8 " + took2 + " " + runs2}},
		{"newest word", Wanted{Release: 8}, []string{"2 bench-2 runs 8 " + runs2}},
		{"app of a release that another ledger has", Wanted{Firmware: []string{app7}}, []string{"1 bench-1 offered 0 " + offer1, "2 bench-2 ran 8 " + took2 + " " + runs2}},
		{"firmware of the line", Wanted{Firmware: []string{old}}, []string{"1 bench-1 has 0 " + flashed1, "2 bench-2 ran 8 " + flashed2 + " " + runs2, "3 bench-1 has 0 " + flashed3}},
		{"key", Wanted{Key: "a000000000000001"}, []string{"1 bench-1 has 0 " + sealed1}},
	} {
		list, err := FindAffected(v.by, p.books...)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range list {
			line := fmt.Sprint(a.MAC[5], " ", a.Bench, " ", a.State, " ", a.Release)
			for i, n := range a.Evidence {
				line += fmt.Sprint(" ", a.Where[i], ":", n)
			}
			got = append(got, line)
		}
		if !slices.Equal(got, v.want) {
			t.Errorf("%s:\n got %q\nwant %q", v.name, got, v.want)
		}
	}
}

// What another bench alone knows of a device, its keys, its images and that it was revoked, is told with it.
func TestDeviceOfTwoBenches(t *testing.T) {
	began := device{record.Device{MAC: lamp(1), Flashed: 5, Keys: record.FlashKey("k"), Images: []record.Image{{Name: "app"}}}, "bench-1", "bench-1", time.Unix(7, 0)}
	sealed := device{record.Device{MAC: lamp(1), Sealed: true}, "bench-2", "bench-2", time.Time{}}
	d := joined([]device{began, sealed})
	if d.bench != "bench-2" || d.line != "bench-1" || d.Flashed != 5 || len(d.Images) != 1 || len(d.Keys) != 1 || d.revoked.Unix() != 7 {
		t.Errorf("got %+v", d)
	}
}
