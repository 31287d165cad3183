package station

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/release"
)

// Devices are found by what they run, ran or were offered, by key and by
// firmware; each with the entries that say so.
func TestAffected(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	if err := ledger.Create(path, record.Entry{Operator: "anna", Station: "bench-1"}); err != nil {
		t.Fatal(err)
	}
	book, err := ledger.Open(path, ledger.Options{Station: "bench-1"})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	mac := func(i int) chip.MAC { return chip.MAC{0x24, 0x0a, 0xc4, 0, 0, byte(i)} }
	firmware := "sha256:" + strings.Repeat("a", 64)
	var sealed [4]uint64
	for i := range 4 {
		id := fmt.Sprintf("derived:master:a%015x", i)
		for _, e := range []record.Entry{
			{Kind: record.DeviceSeen, Identity: &chip.Identity{MAC: mac(i)}},
			{Kind: record.KeyAssigned, Keys: []record.Key{{Purpose: chip.FlashEncryption, ID: id, Policy: "derived"}}},
			{Kind: record.FlashVerified, Keys: record.FlashKey(id), Images: []record.Image{{Name: "app", Slot: "factory", Plain: firmware, Version: "1.0.0"}}},
			{Kind: record.Sealed, Keys: record.FlashKey(id), Verdict: record.Pass},
		} {
			e.MAC, e.Job, e.Batch, e.Operator = mac(i), "lamp", "b1", "anna"
			e, err := book.Append(e)
			if err != nil {
				t.Fatal(err)
			}
			sealed[i] = e.Index
		}
	}
	field := func(i int, kind record.Kind, release int64, state string) uint64 {
		about, err := json.Marshal(record.Field{Product: "lamp", Release: release, Version: fmt.Sprintf("2.%d", release), App: fmt.Sprintf("sha256:%064d", release), State: state})
		if err != nil {
			t.Fatal(err)
		}
		e, err := book.Append(record.Entry{Kind: kind, MAC: mac(i), Operator: "serve", About: about})
		if err != nil {
			t.Fatal(err)
		}
		return e.Index
	}
	seven1 := field(1, record.UpdateResult, 7, "success") // runs 7
	eight2 := field(2, record.UpdateResult, 8, "success") // ran 7, which it word late, runs 8
	seven2 := field(2, record.UpdateResult, 7, "success")
	if _, err := book.Append(record.Entry{Kind: record.IdentityRevoked, MAC: mac(2), Operator: "eve", Message: "stolen", About: record.NamesIdentity(record.Identity{})}); err != nil {
		t.Fatal(err)
	}
	offer3 := field(3, record.UpdateOffered, 7, "") // could not take it
	field(3, record.UpdateResult, 7, "failure")
	for _, v := range []struct {
		name string
		by   Wanted
		want []string
	}{
		{"release", Wanted{Release: 7}, []string{fmt.Sprint("1 runs 7 ", []uint64{seven1}), fmt.Sprint("2 ran 8 ", []uint64{seven2, eight2}), fmt.Sprint("3 offered 0 ", []uint64{offer3})}},
		{"newer release", Wanted{Release: 8}, []string{fmt.Sprint("2 runs 8 ", []uint64{eight2})}},
		{"a release that nobody has", Wanted{Release: 9, Known: []*release.Release{{ID: 9}}}, nil},
		{"key's ID", Wanted{Key: "derived:master:a000000000000003"}, []string{"3 has 0"}},
		{"key's check value in upper case", Wanted{Key: "A000000000000003"}, []string{"3 has 0"}},
		{"key's ID in upper case", Wanted{Key: "derived:master:A000000000000003"}, []string{"3 has 0"}},
		{"key's check value", Wanted{Key: "a000000000000000"}, []string{"0 has 0"}},
		{"key's label", Wanted{Key: "master"}, []string{fmt.Sprint("0 has 0 ", sealed[0:1]), fmt.Sprint("1 has 7 ", sealed[1:2]), fmt.Sprint("2 has 8 ", sealed[2:3]), fmt.Sprint("3 has 0 ", sealed[3:4])}},
		{"firmware of the line", Wanted{Firmware: []string{firmware}}, []string{"0 has 0", "1 ran 7", "2 ran 8", "3 has 0"}},
		{"firmware of a release", Wanted{Firmware: []string{fmt.Sprintf("sha256:%064d", 8)}}, []string{"2 runs 8"}},
		{"firmware in the other slot", Wanted{Firmware: []string{fmt.Sprintf("sha256:%064d", 7)}}, []string{fmt.Sprint("1 runs 7 ", []uint64{seven1}), fmt.Sprint("2 ran 8 ", []uint64{seven2, eight2}), fmt.Sprint("3 offered 0 ", []uint64{offer3})}},
		{"device", Wanted{MAC: mac(2)}, []string{"2 has 8"}},
		{"both", Wanted{MAC: mac(2), Release: 7}, []string{"2 ran 8"}},
		{"one of two releases", Wanted{Any: []*release.Release{{ID: 7}, {ID: 8}}}, []string{fmt.Sprint("1 runs 7 ", []uint64{seven1}), fmt.Sprint("2 runs 8 ", []uint64{eight2}), fmt.Sprint("3 offered 0 ", []uint64{offer3})}},
		{"a release that they were sealed with", Wanted{Any: []*release.Release{{ID: 9, App: firmware}}}, []string{"0 has 0", "1 ran 7", "2 ran 8", "3 has 0"}},
		{"none of no releases", Wanted{Any: []*release.Release{}}, nil},
		{"neither", Wanted{MAC: mac(0), Release: 7}, nil},
	} {
		list, err := FindAffected(v.by, Book{Ledger: book})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i, a := range list {
			line := fmt.Sprint(a.MAC[5], " ", a.State, " ", a.Release)
			if i < len(v.want) && strings.Contains(v.want[i], "[") {
				line = fmt.Sprint(line, " ", a.Evidence)
			}
			if a.Revoked.IsZero() == (a.MAC == mac(2)) {
				t.Errorf("%s: %s was revoked at %v", v.name, a.MAC, a.Revoked)
			}
			if len(a.Evidence) == 0 {
				t.Errorf("%s: %s has no evidence", v.name, a.MAC)
			}
			got = append(got, line)
		}
		if !slices.Equal(got, v.want) {
			t.Errorf("%s:\n got %q\nwant %q", v.name, got, v.want)
		}
	}
}

// A release or a key that there is none of is told, with those that there are; that nobody has one
// is no fault.
func TestAffectedUnknown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	if err := ledger.Create(path, record.Entry{Operator: "anna", Station: "bench-1"}); err != nil {
		t.Fatal(err)
	}
	book, err := ledger.Open(path, ledger.Options{Station: "bench-1"})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	for _, v := range []struct {
		by   Wanted
		want string
	}{
		{Wanted{Release: 99}, "there is no release 99, nor any other"},
		{Wanted{Release: 99, Known: []*release.Release{{ID: 7}, {ID: 12}}}, "there is no release 99; there is 12, 7"},
		{Wanted{Key: "nokey"}, `there is no key "nokey", nor any other`},
		{Wanted{Release: 7, Known: []*release.Release{{ID: 7}}}, ""},
	} {
		_, err := FindAffected(v.by, Book{Ledger: book})
		if unknown := (*UnknownError)(nil); errors.As(err, &unknown) != (v.want != "") || err != nil && !strings.Contains(err.Error(), v.want) {
			t.Errorf("%+v: %v, want %q", v.by, err, v.want)
		}
	}
	many := &UnknownError{"release 99", make([]string, mostKnown+3)}
	if got := many.Error(); !strings.HasSuffix(got, "and 3 more") {
		t.Error(got)
	}
}

// Where an app stands after updates: what ran before is in the other slot, until one more update may
// have been written over it.
func TestStanding(t *testing.T) {
	line := func(slots ...string) (list []record.Image) {
		for _, slot := range slots {
			list = append(list, record.Image{Slot: slot, Plain: "made in " + slot})
		}
		return append(list, record.Image{Name: "bootloader", Plain: "boot"})
	}
	same := []record.Image{{Slot: "ota_0", Plain: "same"}, {Slot: "ota_1", Plain: "same"}}
	ids := func(app string, ids ...int64) map[int64]word {
		m := map[int64]word{}
		for _, id := range ids {
			m[id] = word{place{index: uint64(id)}, fmt.Sprint(app, id)}
		}
		return m
	}
	for _, v := range []struct {
		wanted        string
		images        []record.Image
		took, offered []int64
		want          string
	}{
		{"made in factory", line("factory"), nil, nil, "has factory true [100]"},
		{"made in ota_0", line("ota_0"), nil, []int64{7}, "has ota_0 true [100]"},
		{"made in ota_1", line("ota_0", "ota_1"), nil, []int64{7}, "has ota_1 false [100]"},
		{"made in ota_1", line("ota_0", "ota_1"), nil, nil, "has ota_1 true [100]"},
		{"made in ota_0", line("ota_0"), []int64{7}, []int64{7}, "ran ota_0 true [100 7]"},
		{"made in ota_0", line("ota_0"), []int64{7}, []int64{7, 8}, "ran ota_0 false [100 7]"},
		{"made in ota_0", line("ota_0"), []int64{7, 8}, nil, "ran ota_0 false [100 8]"},
		{"made in ota_0", line("ota_0", "ota_1"), []int64{7}, nil, "ran ota_0 false [100 7]"},
		{"same", same, []int64{7}, nil, "ran ota_0 true [100 7]"},
		{"made in factory", line("ota_0", "factory"), []int64{7, 8, 9}, []int64{10}, "ran factory true [100 9]"},
		{"boot", line("ota_0"), []int64{7, 8}, []int64{9}, "has  true [100]"},
		{"app8", line("factory"), []int64{7, 8}, []int64{7, 8}, "runs running true [8]"},
		{"app7", line("factory"), []int64{7, 8}, []int64{7, 8}, "ran other true [7 8]"},
		{"app7", line("factory"), []int64{7, 8}, []int64{9}, "ran other false [7 8]"},
		{"app7", line("factory"), []int64{7, 8, 9}, nil, "ran other false [7 9]"},
		{"app9", line("factory"), []int64{7}, []int64{9}, "offered other false [9]"},
		{"app9", line("factory"), []int64{7}, []int64{8}, "none"},
	} {
		p := &past{results: ids("app", v.took...), offers: ids("app", v.offered...)}
		p.runs.Release = slices.Max(append(v.took, 0))
		a, got := Affected{}, "none"
		if (Wanted{Firmware: []string{v.wanted}}).holds(&a, device{Device: record.Device{Images: v.images, Flashed: 100}}, p) {
			got = fmt.Sprint(a.State, " ", a.Slot, " ", a.Certain, " ", a.Evidence)
		}
		if got != v.want {
			t.Errorf("%q of %v, took %v, offered %v: got %s, want %s", v.wanted, v.images, v.took, v.offered, got, v.want)
		}
	}
	// What the line wrote and what an update brought may be one app: what is certain is told.
	a := Affected{}
	p := &past{results: ids("app", 7, 8, 9)}
	p.runs.Release = 9
	if (Wanted{Firmware: []string{"app7", "made in factory"}}).holds(&a, device{Device: record.Device{Images: line("factory"), Flashed: 100}}, p); a.Slot != "factory" || !a.Certain {
		t.Errorf("got %+v", a)
	}
}
