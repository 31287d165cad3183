package report

import (
	"slices"
	"testing"
	"time"

	"station/internal/record"
)

// Exports and labels tell what a device is known by, also as it was before it
// was revoked; and that a device without an identity was.
func TestIdentityIsTold(t *testing.T) {
	x := recorded(t, false)
	made := record.Identity{ID: "00112233445566778899aabbccddeeff", Label: "station-identity", Token: true,
		Certificate: &record.Certificate{Serial: "4A0B", SHA256: "sha256:77", Issuer: "CN=Plant CA", Until: time.Date(2036, 1, 1, 0, 0, 0, 0, time.UTC), DER: []byte("der")}}
	put := func(kind record.Kind) {
		t.Helper()
		if _, err := x.l.Append(record.Entry{Kind: kind, MAC: mac(1), Operator: "eve", Message: "stolen", About: record.NamesIdentity(made)}); err != nil {
			t.Fatal(err)
		}
	}
	put(record.IdentityMade)
	before, _, err := x.l.Head()
	if err != nil {
		t.Fatal(err)
	}
	put(record.IdentityRevoked)
	if _, err := x.l.Append(record.Entry{Kind: record.IdentityRevoked, MAC: mac(7), Operator: "eve", Message: "lost", About: record.NamesIdentity(record.Identity{})}); err != nil {
		t.Fatal(err)
	}
	after, _, err := x.l.Head()
	if err != nil {
		t.Fatal(err)
	}
	for _, then := range []struct {
		size    uint64
		revoked bool
	}{{before, false}, {after, true}} {
		told := false
		for cells, err := range deviceRows(x.l, then.size, Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			cell := func(name string) string {
				return cells[slices.IndexFunc(deviceColumns, func(c column[*deviceRow]) bool { return c.Name == name })]
			}
			mine := cell("mac") == mac(1).String()
			if got := []string{cell("id"), cell("certificate"), cell("certificateDigest"), cell("issuer")}; mine != slices.Equal(got, []string{made.ID, "4A0B", "sha256:77", "CN=Plant CA"}) {
				t.Errorf("%s: got %q", cell("mac"), got)
			}
			if (cell("revokedAt") != "") != ((mine || cell("mac") == mac(7).String()) && then.revoked) {
				t.Errorf("%s at %d: revoked %q", cell("mac"), then.size, cell("revokedAt"))
			}
			told = told || mine
		}
		if !told {
			t.Error("the device is not exported")
		}
	}
	if b := labelOf(t, x, 1); b.ID != made.ID {
		t.Errorf("the label has the ID %q", b.ID)
	}
}
