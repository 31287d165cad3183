package report

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"station/internal/ledger"
	"station/internal/record"
)

const v1Folder = "../../fixtures/ledger/v1/"

func v1File(t *testing.T, name string) []byte { return oldFile(t, v1Folder+name) }

func oldFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func v1Key(t *testing.T) *ecdsa.PublicKey { return oldKey(t, v1Folder) }

func oldKey(t *testing.T, folder string) *ecdsa.PublicKey {
	t.Helper()
	block, _ := pem.Decode(oldFile(t, folder+"signer.pem"))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*ecdsa.PublicKey)
}

// v1Ledger is a ledger of entries of version 1, opened for writing once, so
// that it has this program's projections.
func v1Ledger(t *testing.T) *ledger.Ledger { return oldLedger(t, v1Folder, ledger.Options{}) }

func oldLedger(t *testing.T, folder string, opt ledger.Options) *ledger.Ledger {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger.db")
	if err := os.WriteFile(path, oldFile(t, folder+"ledger.db"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(path, opt)
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

// What a program of version 2 exported is what is in its ledger by now too, also when that has been
// written on.
func TestVersion2Files(t *testing.T) {
	const folder, name = "../../fixtures/ledger/v2/", "devices.jsonl"
	l, key := oldLedger(t, folder, ledger.Options{}), oldKey(t, folder)
	p, err := ParseExportProof(oldFile(t, folder+name+".proof"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(record.Entry{Kind: record.LineHalted}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.CheckFile(bytes.NewReader(oldFile(t, folder+name))), p.CheckSigned(key), p.CheckLedger(l)); err != nil {
		t.Error(err)
	}
	for fault := range l.Check(&ledger.Audit{Trusted: []*ecdsa.PublicKey{key}}) {
		t.Error(fault)
	}
}

// Of an entry of a newer version the table has what all versions have, and no guess
// of the rest.
func TestNewerEntryInExports(t *testing.T) {
	row, err := Filter{}.entryRow([]byte(`{"v":4,"index":7,"time":"2026-11-20T08:00:00Z","kind":"x","mac":"24:0a:c4:01:02:03","prev":5,"job":"lamp","seconds":{"run":1}}`))
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
