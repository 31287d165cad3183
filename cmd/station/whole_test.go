package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
)

// A device's verdict that was changed in the indexes, checksums and all, is
// found before anything is signed or called right.
func TestTamperedLedgerIsNotSigned(t *testing.T) {
	w := filePlace(t)
	w.run(0, "ledger", "export", "--sign", "--out", "good.csv")
	path := filepath.Join(w.dir, "ledger.db")
	lie(t, path, `"verdict":"PASS"`, `"verdict":"FAIL"`)
	if out, _ := w.run(exitStation, "ledger", "verify"); !strings.Contains(out, "is not what its entries say") {
		t.Errorf("verify: %s", out)
	}
	for _, args := range []string{"ledger export --sign --out bad.csv", "ledger report --sign --out bad.html", "batch close b1 --operator anna --anyway test",
		"ledger check good.csv --key signer.pem --ledger ledger.db"} {
		if _, said := w.run(exitStation, strings.Fields(args)...); !strings.Contains(said, "not whole") {
			t.Errorf("%s: %s", args, said)
		}
	}
	for _, name := range []string{"bad.csv", "bad.html", "b1.certificate"} {
		if _, err := os.Stat(filepath.Join(w.dir, name)); err == nil {
			t.Errorf("%s was written", name)
		}
	}
}

// A device that is set aside and was made PASS in the indexes: no command that
// lists, shows, counts, prints or exports tells the lie.
func TestTamperedLedgerTellsNoLie(t *testing.T) {
	w := filePlace(t)
	path := filepath.Join(w.dir, "ledger.db")
	appended(t, path, record.Entry{Kind: record.Failed, Verdict: record.Quarantine, Code: "E-FOREIGN-KEY"})
	if out, _ := w.run(0, "ledger", "list"); !strings.Contains(out, "QUARANTINE") || strings.Contains(out, "PASS") {
		t.Fatalf("ledger list:\n%s", out)
	}
	lie(t, path, `"setAside":true`, `"setAside":null`)
	for _, args := range []string{"ledger list", "ledger show " + fileMAC, "ledger export", "ledger export --format jsonl", "ledger export --out lie.xlsx",
		"ledger report", "ledger prove " + fileMAC, "label --operator anna " + fileMAC, "batch show", "batch show b1", "batch close b1 --operator anna",
		"batch open b9 --devices 1 --operator anna", "batch amend b1 --quota 9 --operator anna --reason test", "affected --mac " + fileMAC, "ledger release --operator anna --reason test " + fileMAC,
		"key recover --operator eve --reason test --job example/job.toml --out images " + fileMAC, "identity revoke --operator anna --reason test " + fileMAC} {
		out, said := w.run(exitStation, strings.Fields(args)...)
		if strings.Contains(out, "PASS") || !strings.Contains(said, "station ledger verify") {
			t.Errorf("%s: %s%s", args, out, said)
		}
	}
	c := w.sim("--mac", fileMAC)
	if out, said := w.run(exitStation, "probe", "--port", c.address); strings.Contains(out, "PASS") || !strings.Contains(said, "station ledger verify") {
		t.Errorf("probe: %s%s", out, said)
	}
	another := w.sim("--mac", "02:00:00:00:00:77")
	if out, said := w.run(exitStation, "run", "--headless", "--once", "--job", "example/job.toml", "--port", another.address,
		"--approve", w.approval(), "--operator", "anna"); out != "" || !strings.Contains(said, "E-LEDGER-DAMAGED") || !strings.Contains(said, "station ledger verify") {
		t.Errorf("a line works with it: %s%s", out, said)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "lie.xlsx")); err == nil {
		t.Error("lie.xlsx was written")
	}
}

// An entry that the indexes do not know any more: whoever acts by the device's
// record, or tells it, notices.
func TestForgottenEntryIsMissed(t *testing.T) {
	w := filePlace(t)
	path := filepath.Join(w.dir, "ledger.db")
	seen := record.Entry{Kind: record.DeviceSeen}
	appended(t, path, seen, seen)
	w.run(0, "ledger", "show", fileMAC)
	forget(t, path)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"ledger show", "ledger prove", "ledger release --operator anna --reason test", "label --operator anna --reprint",
		"key recover --operator eve --reason test --job example/job.toml --out images", "identity show", "identity revoke --operator anna --reason test",
		"affected --mac", "ledger export --mac"} {
		if out, said := w.run(exitStation, append(strings.Fields(args), fileMAC)...); !strings.Contains(said, "station ledger verify") {
			t.Errorf("%s: %s%s", args, out, said)
		}
	}
	c := w.sim("--mac", fileMAC)
	if out, said := w.run(exitStation, "probe", "--port", c.address); !strings.Contains(said, "station ledger verify") {
		t.Errorf("probe: %s%s", out, said)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the ledger was written: %v", err)
	}
}

// forget takes the last entry of the device out of what the bucket of recent
// devices says: its index, and how many entries the projection lacks.
func forget(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	mac := []byte{0x24, 0x0a, 0xc4, 0x01, 0x02, 0x03}
	table := crc32.MakeTable(crc32.Castagnoli)
	key := crc32.Update(crc32.Update(0, table, []byte("recent")), table, mac)
	found := 0
	for at := range len(b) - 19 { // key, checksum, index, number
		tail := b[at+10 : at+19]
		if !bytes.HasPrefix(b[at:], mac) || crc32.Update(key, table, tail) != binary.BigEndian.Uint32(b[at+6:]) || tail[8] < 2 {
			continue
		}
		binary.BigEndian.PutUint64(tail, binary.BigEndian.Uint64(tail)-1)
		tail[8]--
		binary.BigEndian.PutUint32(b[at+6:], crc32.Update(key, table, tail))
		found++
	}
	if found == 0 {
		t.Fatal("the device is no recent one")
	}
	if err := os.WriteFile(path, b, 0o640); err != nil {
		t.Fatal(err)
	}
}

// lie changes text of the device's projection, and its checksum.
func lie(t *testing.T, path, old, new string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	mac := []byte{0x24, 0x0a, 0xc4, 0x01, 0x02, 0x03}
	table := crc32.MakeTable(crc32.Castagnoli)
	lies := 0
	// In a leaf of bbolt a value lies right behind its key: MAC, checksum,
	// payload. Where the payload ends is tried: its checksum is right there.
	for from := 0; ; {
		at := bytes.Index(b[from:], mac)
		if at < 0 {
			break
		}
		at += from
		from = at + 1
		sum, rest := b[at+6:], b[min(at+10, len(b)):]
		for n := range min(len(rest), 8000) {
			part := rest[:n]
			if !bytes.Contains(part, []byte(old)) || part[n-1] != '}' {
				continue
			}
			key := crc32.Update(crc32.Update(0, table, []byte("devices")), table, mac)
			if crc32.Update(key, table, part) != binary.BigEndian.Uint32(sum) {
				continue
			}
			copy(part, bytes.ReplaceAll(part, []byte(old), []byte(new)))
			binary.BigEndian.PutUint32(sum, crc32.Update(key, table, part))
			lies++
		}
	}
	if lies == 0 {
		t.Fatal("no projection was found")
	}
	if err := os.WriteFile(path, b, 0o640); err != nil {
		t.Fatal(err)
	}
}

// appended writes entries about the device of filePlace.
func appended(t *testing.T, path string, list ...record.Entry) {
	t.Helper()
	book, err := ledger.Open(path, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	mac, err := chip.ParseMAC(fileMAC)
	for _, e := range list {
		if e.MAC = mac; err == nil {
			_, err = book.Append(e)
		}
	}
	if err = errors.Join(err, book.Close()); err != nil {
		t.Fatal(err)
	}
}
