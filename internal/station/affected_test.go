package station

import (
	"encoding/json"
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
		id := fmt.Sprintf("derived:master:%016x", i)
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
	eight2 := field(2, record.UpdateResult, 8, "success") // ran 7, which it told late, runs 8
	seven2 := field(2, record.UpdateResult, 7, "success")
	offer3 := field(3, record.UpdateOffered, 7, "") // could not take it
	field(3, record.UpdateResult, 7, "failure")
	for _, v := range []struct {
		name string
		by   Wanted
		want []string
	}{
		{"release", Wanted{Release: 7}, []string{fmt.Sprint("1 runs 7 ", []uint64{seven1}), fmt.Sprint("2 ran 8 ", []uint64{seven2, eight2}), fmt.Sprint("3 offered 0 ", []uint64{offer3})}},
		{"newer release", Wanted{Release: 8}, []string{fmt.Sprint("2 runs 8 ", []uint64{eight2})}},
		{"no release", Wanted{Release: 9}, nil},
		{"key's ID", Wanted{Key: "derived:master:0000000000000003"}, []string{"3 has 0"}},
		{"key's check value", Wanted{Key: "0000000000000000"}, []string{"0 has 0"}},
		{"key's label", Wanted{Key: "master"}, []string{fmt.Sprint("0 has 0 ", sealed[0:1]), fmt.Sprint("1 has 7 ", sealed[1:2]), fmt.Sprint("2 has 8 ", sealed[2:3]), fmt.Sprint("3 has 0 ", sealed[3:4])}},
		{"firmware of the line", Wanted{Firmware: []string{firmware}}, []string{"0 has 0", "1 ran 7", "2 ran 8", "3 has 0"}},
		{"firmware of a release", Wanted{Firmware: []string{fmt.Sprintf("sha256:%064d", 8)}}, []string{"2 runs 8"}},
		{"device", Wanted{MAC: mac(2)}, []string{"2 has 8"}},
		{"both", Wanted{MAC: mac(2), Release: 7}, []string{"2 ran 8"}},
		{"one of two releases", Wanted{Any: []*release.Release{{ID: 7}, {ID: 8}}}, []string{fmt.Sprint("1 runs 7 ", []uint64{seven1}), fmt.Sprint("2 runs 8 ", []uint64{eight2}), fmt.Sprint("3 offered 0 ", []uint64{offer3})}},
		{"a release that they were sealed with", Wanted{Any: []*release.Release{{ID: 9, App: firmware}}}, []string{"0 has 0", "1 ran 7", "2 ran 8", "3 has 0"}},
		{"none of no releases", Wanted{Any: []*release.Release{}}, nil},
		{"neither", Wanted{MAC: mac(0), Release: 7}, nil},
	} {
		list, err := FindAffected(book, v.by)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i, a := range list {
			line := fmt.Sprint(a.MAC[5], " ", a.State, " ", a.Release)
			if i < len(v.want) && strings.Contains(v.want[i], "[") {
				line = fmt.Sprint(line, " ", a.Evidence)
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
