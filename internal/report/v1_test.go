package report

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"station/internal/ledger"
)

const v1Folder = "../../fixtures/ledger/v1/"

func v1File(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(v1Folder + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func v1Key(t *testing.T) *ecdsa.PublicKey {
	t.Helper()
	block, _ := pem.Decode(v1File(t, "signer.pem"))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*ecdsa.PublicKey)
}

// v1Ledger is a ledger of entries of version 1, opened for writing once, so
// that it has this program's projections.
func v1Ledger(t *testing.T) *ledger.Ledger {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger.db")
	if err := os.WriteFile(path, v1File(t, "ledger.db"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(path, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// What a program of version 1 gave out of a ledger is checked as ever, alone
// and against the ledger.
func TestVersion1Files(t *testing.T) {
	l, key := v1Ledger(t), v1Key(t)
	for _, name := range []string{"devices.jsonl", "entries.jsonl", "report.html", "late.jsonl"} {
		p, err := ParseExportProof(v1File(t, name+".proof"))
		if err != nil {
			t.Fatal(name, err)
		}
		if err := p.CheckFile(bytes.NewReader(v1File(t, name))); err != nil {
			t.Error(name, err)
		}
		if err := p.CheckSigned(key); err != nil {
			t.Error(name, err)
		}
		// Devices were visited under another job later. The program of then took
		// them for devices of that job, and said so in its last export.
		if err := p.CheckLedger(l); (err != nil) != (name == "late.jsonl") {
			t.Error(name, err)
		}
	}
	c, err := CheckCertificate(v1File(t, "batch.certificate"), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CheckLedger(l); err != nil {
		t.Error(err)
	}
	if _, _, err := ledger.CheckProof(v1File(t, "device.proof"), key); err != nil {
		t.Error(err)
	}
	for fault := range l.Check(&ledger.Audit{Trusted: []*ecdsa.PublicKey{key}, Kept: [][]byte{v1File(t, "first.checkpoint")}}) {
		t.Error(fault)
	}
}

// Of an entry of a newer version the table has what all versions have, and no guess
// of the rest.
func TestNewerEntryInExports(t *testing.T) {
	row, err := Filter{}.entryRow([]byte(`{"v":3,"index":7,"time":"2026-11-20T08:00:00Z","kind":"x","mac":"24:0a:c4:01:02:03","prev":5,"job":"lamp","seconds":{"run":1}}`))
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	for i, cell := range row {
		if cell != "" {
			told[entryColumns[i].Name] = cell
		}
	}
	if want := map[string]string{"index": "7", "time": "2026-11-20T08:00:00.000Z", "kind": "x", "mac": "24:0a:c4:01:02:03"}; !maps.Equal(told, want) {
		t.Errorf("got %q", told)
	}
}
