package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/pkcs11"
	"golang.org/x/sys/unix"

	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
)

// destroy removes the objects of a label from the workplace's token, as its
// maker's tool would.
func (w *workplace) destroy(label string) {
	w.t.Helper()
	cfg := hsm.Config{URI: hsm.URI{Token: "line-1", ModulePath: "/usr/lib/softhsm/libsofthsm2.so", PINSource: "file:" + filepath.Join(w.hsm, "pin")}}
	hsmtest.Session(w.t, cfg, func(c *pkcs11.Ctx, s pkcs11.SessionHandle) {
		err := c.FindObjectsInit(s, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_LABEL, label)})
		list, _, findErr := c.FindObjects(s, 10)
		for err = errors.Join(err, findErr, c.FindObjectsFinal(s)); len(list) > 0; list = list[1:] {
			err = errors.Join(err, c.DestroyObject(s, list[0]))
		}
		if err != nil {
			w.t.Fatal(err)
		}
	})
}

// audit holds the problems that hsm status finds against those wanted.
func (w *workplace) audit(want ...string) {
	w.t.Helper()
	code := min(len(want), 1) * exitStation
	out, _ := w.run(code, "hsm", "status")
	if n := strings.Count(out, "PROBLEM"); n != len(want) {
		w.t.Errorf("%d problems, want %d\n%s", n, len(want), out)
	}
	for _, p := range want {
		if !strings.Contains(out, p) {
			w.t.Errorf("hsm status does not say %q\n%s", p, out)
		}
	}
}

// A key that is removed or replaced behind the station's back is found by the
// audit, and accounted for by a person.
func TestKeysBehindTheLedgersBack(t *testing.T) {
	w := newWorkplace(t)
	w.audit()
	w.destroy("station-master")
	w.audit(`key "station-master" (master): the ledger speaks of it`)
	w.run(0, "key", "note", "station-master", "--operator", "eve")
	out, _ := w.run(3, "hsm", "status", "--job", "example/job.toml")
	if !strings.Contains(out, "PROBLEM       master: ") || strings.Contains(out, "the ledger") {
		t.Errorf("hsm status says\n%s", out)
	}
	w.run(0, "hsm", "init", "--operator", "eve")
	w.audit()

	// Replaced: the new one is made while nobody takes notes.
	w.destroy("station-master")
	uri := "pkcs11:token=line-1?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:" + filepath.Join(w.hsm, "pin")
	w.run(0, "hsm", "init", "--hsm", uri, "--station", "nowhere.toml", "--operator", "eve")
	w.audit(`key "station-master" (master): the ledger speaks of another one`)
	w.run(0, "key", "note", "station-master", "--operator", "eve")
	w.audit()

	// A new token has its own notes; those of the lost one are no fault of it.
	w.loseToken()
	w.newToken()
	w.audit()
	entries, _ := w.run(0, "ledger", "export", "--table", "entries", "--format", "jsonl")
	if made, gone := strings.Count(entries, `"kind":"key.imported"`), strings.Count(entries, `"kind":"key.removed"`); made != 6 || gone != 1 {
		t.Errorf("%d keys and %d removals are noted, want 6 and 1\n%s", made, gone, entries)
	}
}

// The ledger takes no note of a key that was just made: the key is there, and
// the command says so. The audit and the ledger's readers work meanwhile.
func TestKeyWithoutItsNote(t *testing.T) {
	w := newWorkplace(t)
	f, err := os.OpenFile(filepath.Join(w.dir, "ledger.db"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil { // as a writer does that takes no notes of others
		t.Fatal(err)
	}
	if _, stderr := w.run(2, "key", "new", "--label", "fleet-8"); !strings.Contains(stderr, "add --operator NAME") {
		t.Errorf("nobody makes a key beside a line: %s", stderr)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "raw.bin"), []byte("0123456789abcdefghijklmnopqrstuv"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, nobody := range [][]string{{"hsm", "init"}, {"key", "new", "--label", "x"}, {"key", "import", "--label", "x", "raw.bin"}} {
		if _, stderr := w.run(2, append(nobody, "--operator", " ")...); !strings.Contains(stderr, strings.Join(nobody[:2], " ")+": --operator is blank") {
			t.Errorf("%v by nobody: %s", nobody, stderr)
		}
	}
	out, stderr := w.run(3, "key", "new", "--label", "fleet-8", "--operator", "eve")
	for _, want := range []string{"E-LEDGER-LOCKED", "made in the token, but not noted in the ledger: fleet-8; when the ledger works again: station key note fleet-8 --operator YOU: "} {
		if !strings.Contains(stderr, want) {
			t.Errorf("standard error lacks %q:\n%s", want, stderr)
		}
	}
	if !strings.Contains(out, "check value") {
		t.Errorf("the key is not shown:\n%s", out)
	}
	w.audit(`key "fleet-8" (shared): the ledger knows nothing of it`)
	// Both at once: the token refuses one key after it made another.
	_, stderr = w.run(3, "hsm", "init", "--policy", "random", "--label", "kek-2", "--signer", strings.Repeat("x", 65), "--operator", "eve")
	for _, want := range []string{"not noted in the ledger: kek-2;", "at most 64 bytes"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("standard error lacks %q:\n%s", want, stderr)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	w.run(0, "key", "note", "fleet-8", "kek-2", "--operator", "eve")
	w.audit()
	w.run(0, "ledger", "verify")
}
