package ledger

import (
	"errors"
	"testing"
	"time"

	"station/internal/record"
)

// No ID and no certificate twice, no device with two; Check agrees (in start's
// cleanup), also after the projections were made anew.
func TestIdentities(t *testing.T) {
	l := start(t, bench)
	certificate := func(serial string) *record.Certificate {
		return &record.Certificate{Serial: serial, SHA256: "sha256:1", Issuer: "CN=CA", Until: time.Date(2036, 1, 2, 3, 4, 5, 0, time.UTC), DER: []byte("certificate " + serial)}
	}
	put := func(kind record.Kind, n int, i record.Identity) error {
		_, err := l.Append(record.Entry{Kind: kind, MAC: mac(n), Operator: "eve", About: record.NamesIdentity(i)})
		return err
	}
	made := func(n int, id string, c *record.Certificate) error {
		return put(record.IdentityMade, n, record.Identity{ID: id, Label: "master", Token: true, Certificate: c})
	}
	revoke := func(n int, id string) error { return put(record.IdentityRevoked, n, record.Identity{ID: id}) }
	add(t, l, run(5)...)
	for _, c := range []struct {
		name string
		err  error
		want error
	}{
		{"without a certificate", made(1, "aa", nil), nil},
		{"once more", made(1, "aa", nil), nil},
		{"with a certificate", made(1, "aa", certificate("01")), nil},
		{"another ID", made(1, "bb", certificate("01")), record.ErrIdentity},
		{"another certificate", made(1, "aa", certificate("02")), record.ErrIdentity},
		{"without the certificate it has", made(1, "aa", nil), record.ErrIdentity},
		{"the ID of another device", made(2, "aa", nil), record.ErrIdentity},
		{"the certificate of another device", made(2, "bb", certificate("01")), record.ErrIdentity},
		{"its own", made(2, "bb", certificate("02")), nil},
		{"revoked", put(record.IdentityRevoked, 2, record.Identity{ID: "bb", Certificate: certificate("02")}), nil},
		{"revoked twice", put(record.IdentityRevoked, 2, record.Identity{ID: "bb", Certificate: certificate("02")}), record.ErrIdentity},
		{"nothing to revoke", revoke(3, "cc"), record.ErrIdentity},
		{"never sealed", revoke(3, ""), record.ErrIdentity},
		{"without the ID that it has", revoke(1, ""), record.ErrIdentity},
		{"sealed, but of another ID", revoke(5, "cc"), record.ErrIdentity},
		{"sealed without an identity", revoke(5, ""), nil},
		{"that one twice", revoke(5, ""), record.ErrIdentity},
		{"an identity later", made(5, "ee", nil), nil},
		{"and once more by it", revoke(5, "ee"), record.ErrIdentity},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, c.err, c.want)
		}
	}
	if err := put(record.IdentityMade, 4, record.Identity{}); err == nil {
		t.Error("an identity without an ID is taken")
	}
	add(t, l, run(6)...)
	if err := put(record.IdentityRevoked, 6, record.Identity{Certificate: certificate("03")}); err == nil {
		t.Error("a certificate without an ID is revoked")
	}
	look := func() {
		for name, want := range map[string]int{"aa": 1, "01": 1, "bb": 2, "BB": 2, "02": 2, mac(2).String(): 2} {
			if got, known, err := l.Named(name); err != nil || !known || got != mac(want) {
				t.Errorf("%s: got %v, %t, %v", name, got, known, err)
			}
		}
		if _, known, err := l.Named("cc"); known || err != nil {
			t.Errorf("cc: %t, %v", known, err)
		}
		one, _, _ := l.Device(mac(1))
		two, _, err := l.Device(mac(2))
		if five, _, err := l.Device(mac(5)); err != nil || five.Revoked().IsZero() || five.Identity.ID != "ee" {
			t.Errorf("%+v, %v", five.Identity, err)
		}
		if err != nil || one.Identity.CertificateSerial() != "01" || !one.Identity.Revoked.IsZero() || two.Identity.Revoked.IsZero() || string(two.Identity.Certificate.DER) != "certificate 02" {
			t.Errorf("%+v, %+v, %v", one.Identity, two.Identity, err)
		}
	}
	look()
	if err := l.Rebuild(); err != nil {
		t.Fatal(err)
	}
	look()
}
