package ledger

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"station/internal/record"
)

// host is a ledger with its door open, as a line holds it.
func host(t testing.TB, path string) *Ledger {
	t.Helper()
	l := reopen(t, path, bench)
	if err := l.OpenDoor(); err != nil {
		t.Fatal(err)
	}
	return l
}

func ledgerPath(t testing.TB) string { return filepath.Join(t.TempDir(), "ledger.db") }

var visitor = Options{Station: "office-1", Software: "station v2"}

// asGuest is a second opening of a ledger, as another process has it.
func asGuest(t testing.TB, path string) *Ledger {
	t.Helper()
	l, err := OpenGuest(t.Context(), path, visitor)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// knockAt is a guest that can say anything.
func knockAt(t testing.TB, path string) *net.UnixConn {
	t.Helper()
	c, err := dialDoor(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.UnixConn)
}

func TestGuestWritesBesideTheLine(t *testing.T) {
	l := host(t, ledgerPath(t))
	add(t, l, run(1)...)
	g := asGuest(t, l.Path())
	for _, e := range remarks() {
		stored := add(t, g, e)[0]
		size, _, err := l.Head()
		if err != nil || stored.Index != size-1 || stored.Time.IsZero() || stored.Version != record.Version {
			t.Errorf("%s: stamped %+v, %d entries, %v", e.Kind, stored, size, err)
		}
		if stored.Station != "office-1" || stored.Software != "station v2" || stored.Operator != e.Operator || stored.Message != e.Message {
			t.Errorf("who wrote it: got %+v", stored)
		}
		if e.MAC == mac(1) && stored.Prev == 0 {
			t.Errorf("%s is not in the device's chain", e.Kind)
		}
		read, err := g.Entry(stored.Index)
		if err != nil || !reflect.DeepEqual(read, stored) {
			t.Errorf("read back: %+v, %v, want %+v", read, err, stored)
		}
	}
	if list, err := g.AppendAll(remarks()[:4]); err != nil || len(list) != 4 || list[3].Index != list[0].Index+3 {
		t.Errorf("four at once: %v, %v", list, err)
	}
	add(t, l, run(2)...) // the line goes on
	if lot, _, err := l.Lot("batch:b1"); err != nil || lot.Closed.IsZero() {
		t.Errorf("the batch: %+v, %v", lot, err)
	}
	// A guest that says nothing of itself is not taken for the host.
	silent, err := OpenGuest(t.Context(), l.Path(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if e := add(t, silent, remarks()[0])[0]; e.Station != "" || e.Software != "" {
		t.Errorf("signed as %q, %q", e.Station, e.Software)
	}
}

// What the log does not allow, it does not allow a guest.
func TestGuestsAreRefusedAsEverybodyIs(t *testing.T) {
	l := host(t, ledgerPath(t))
	g := asGuest(t, l.Path())
	open := remarks()[5]
	add(t, g, open)
	_, want := l.Append(open)
	_, err := g.Append(open)
	if !errors.Is(err, record.ErrBatch) || err.Error() != want.Error() {
		t.Errorf("opened twice: got %v, want %v", err, want)
	}
	before, _, _ := l.Head()
	if _, err := g.AppendAll([]record.Entry{remarks()[0], open}); !errors.Is(err, record.ErrBatch) {
		t.Errorf("got %v, want ErrBatch", err)
	}
	virtual := remarks()[0]
	virtual.Simulated = true
	if _, err := g.Append(virtual); !errors.Is(err, record.ErrMixed) {
		t.Errorf("simulated: got %v, want ErrMixed", err)
	}
	o := visitor
	o.Simulated = true
	if _, err := OpenGuest(t.Context(), l.Path(), o); !errors.Is(err, record.ErrMixed) {
		t.Errorf("opened as simulated: got %v, want ErrMixed", err)
	}
	if _, err := g.Append(run(1)[0]); err == nil || !strings.Contains(err.Error(), "only the process that has the devices") {
		t.Errorf("a device seen: got %v", err)
	}
	if _, err := g.Reserve(record.Entry{MAC: mac(1), Batch: "b1"}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("a number: got %v, want ErrReadOnly", err)
	}
	if err := g.OpenDoor(); !errors.Is(err, ErrReadOnly) {
		t.Errorf("a guest's own door: got %v, want ErrReadOnly", err)
	}
	long := remarks()[0]
	long.Message = strings.Repeat("x", maxRequest)
	if _, err := g.Append(long); err == nil {
		t.Error("an endless remark was taken")
	}
	if after, _, _ := l.Head(); after != before {
		t.Errorf("what was refused left %d entries", after-before)
	}
	if list, err := g.AppendAll(nil); list != nil || err != nil {
		t.Errorf("nothing to append: %v, %v", list, err)
	}
	g.Close()
	if _, err := g.Append(remarks()[0]); !errors.Is(err, ErrClosed) {
		t.Errorf("a guest that has left: got %v, want ErrClosed", err)
	}
}

// The other side checks too: what a guest sends is not believed.
func TestHostBelievesNothing(t *testing.T) {
	l := host(t, ledgerPath(t))
	for _, e := range run(1) {
		line, _ := json.Marshal(request{Append: []record.Entry{e}})
		if r := l.answer(line); r.Error == "" || len(r.Entries) > 0 {
			t.Errorf("%s: got %+v", e.Kind, r)
		}
	}
	other := start(t, bench)
	add(t, other, run(1)...)
	add(t, l, run(2)...)
	k, stranger := newKey(t), newKey(t)
	good := sign(t, l, k)
	der, _ := marshalKey(k.Public())
	strange, _ := marshalKey(stranger.Public())
	reader := reopen(t, l.Path(), Options{ReadOnly: true})
	ahead := Checkpoint{Origin: l.Origin(), Size: 1000}
	for _, c := range []struct {
		name        string
		der, signed []byte
		want        string
	}{
		{"of a key that the log does not know", strange, sign(t, reader, stranger), "not signed by a trusted key"},
		{"of another key", strange, good, "not signed by a trusted key"},
		{"of another ledger", der, sign(t, other, k), "not of this log"},
		{"of entries that are not there", der, signedBy(t, k, ahead), "not of this log"},
		{"of nothing", der, signedBy(t, k, Checkpoint{Origin: l.Origin()}), "not of this log"},
		{"rubbish", der, []byte("rubbish"), "checkpoint"},
		{"good", der, good, ""},
	} {
		line, _ := json.Marshal(request{Public: c.der, Checkpoint: c.signed})
		if r := l.answer(line); (r.Error == "") != (c.want == "") || !strings.Contains(r.Error, c.want) {
			t.Errorf("a checkpoint %s: got %+v, want %q", c.name, r, c.want)
		}
	}
	if last, err := l.LastCheckpoint(); err != nil || !bytes.Equal(last, good) {
		t.Errorf("the last checkpoint is %q, %v", last, err)
	}
}

// signedBy signs whatever the checkpoint says.
func signedBy(t testing.TB, k *ecdsa.PrivateKey, c Checkpoint) []byte {
	t.Helper()
	v, err := newVerifier(c.Origin, &k.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: c.text()}, &signer{v, k})
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestGuestSigns(t *testing.T) {
	l := host(t, ledgerPath(t))
	add(t, l, run(1)...)
	g := asGuest(t, l.Path())
	k := newKey(t)
	for range 2 { // the second time its key is known
		signed := sign(t, g, k)
		c, err := OpenCheckpoint(signed, &k.PublicKey)
		if err != nil || c.Size != 14 {
			t.Errorf("got %+v, %v", c, err)
		}
		if kept, err := l.LastCheckpoint(); err != nil || !bytes.Equal(kept, signed) {
			t.Errorf("kept: %q, %v", kept, err)
		}
	}
}

func TestGuestAlone(t *testing.T) {
	l := start(t, bench)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	g := asGuest(t, l.Path())
	add(t, g, run(1)...) // with the ledger to itself it may do what it wants
	if got := names(t, filepath.Dir(l.Path())); got != "ledger.db" {
		t.Errorf("the folder holds %s", got)
	}
	if _, err := OpenGuest(t.Context(), ledgerPath(t), visitor); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no ledger: got %v", err)
	}
}

// A short command that holds the ledger for a moment is waited for.
func TestGuestsTakeTurns(t *testing.T) {
	l := start(t, bench)
	closeWhenRefused(t, l)
	add(t, asGuest(t, l.Path()), remarks()[0])
}

// Whoever holds the ledger without a door keeps guests out, as always.
func TestNoDoor(t *testing.T) {
	l := start(t, bench)
	begun := time.Now()
	_, err := OpenGuest(t.Context(), l.Path(), visitor)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "stop the line for a moment") {
		t.Errorf("got %v, want ErrLocked and what to do", err)
	}
	if errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v: reads as if there were no ledger", err)
	}
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestDoorIsShut(t *testing.T) {
	l := host(t, ledgerPath(t))
	info, err := os.Lstat(l.Path() + ".door")
	if err != nil || info.Mode() != fs.ModeSocket|doorMode {
		t.Fatalf("got %v, %v", info.Mode(), err)
	}
	if err := l.OpenDoor(); err != nil {
		t.Errorf("opened twice: %v", err)
	}
	g := asGuest(t, l.Path())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := names(t, filepath.Dir(l.Path())); got != "ledger.db" {
		t.Errorf("the folder holds %s", got)
	}
	if _, err := g.Append(remarks()[0]); err == nil || !strings.Contains(err.Error(), "nothing was written") {
		t.Errorf("the host has ended: got %v", err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

// A process that was killed leaves its socket behind.
func TestStaleDoor(t *testing.T) {
	path := ledgerPath(t)
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path + ".door"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	l := reopen(t, path, bench)
	if _, err := OpenGuest(t.Context(), path, visitor); !errors.Is(err, ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
	if err := l.OpenDoor(); err != nil {
		t.Fatal(err)
	}
	add(t, asGuest(t, path), remarks()[0])
	// What is there and no socket is somebody's.
	other := ledgerPath(t)
	write(t, other+".door", "mine")
	if err := reopen(t, other, bench).OpenDoor(); err == nil {
		t.Error("a file of that name was taken for a door")
	}
	if b, err := os.ReadFile(other + ".door"); string(b) != "mine" {
		t.Errorf("got %q, %v", b, err)
	}
	// A socket that took the door's name since stays.
	if err := os.Remove(path + ".door"); err != nil {
		t.Fatal(err)
	}
	next, err := net.Listen("unix", path+".door")
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path + ".door"); err != nil {
		t.Errorf("another one's door: %v", err)
	}
}

// A backup that was put in place of the file while a line had it open is
// another ledger, although it has the same origin.
func TestDoorOfAnotherFile(t *testing.T) {
	path := ledgerPath(t)
	l := host(t, path)
	if err := errors.Join(l.BackupTo(path+".copy"), os.Rename(path, path+".old"), os.Rename(path+".copy", path)); err != nil {
		t.Fatal(err)
	}
	holder := reopen(t, path, bench) // without a door
	_, err := OpenGuest(t.Context(), path, visitor)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "another file open") {
		t.Errorf("got %v, want ErrLocked and that it is another file", err)
	}
	if err := holder.Close(); err != nil {
		t.Fatal(err)
	}
	add(t, asGuest(t, path), remarks()[0]) // under its own lock
	if size, _, err := l.Head(); size != 1 || err != nil {
		t.Errorf("the line's ledger has %d entries, %v", size, err)
	}
	if err := os.Rename(path+".old", path+".gone"); err != nil {
		t.Fatal(err)
	}
}

// The kernel takes 107 bytes of a socket's name.
func TestDoorAtALongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 40))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "ledger.db")
	host(t, path)
	add(t, asGuest(t, path), remarks()[0])
	// By another name it is the same door.
	link := ledgerPath(t)
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	add(t, asGuest(t, link), remarks()[0])
	if err := reopen(t, filepath.Join(t.TempDir(), strings.Repeat("n", 120)), bench).OpenDoor(); err == nil {
		t.Error("a door whose own name is too long was opened")
	}
}

// The end of a command ends its waiting for a host that says nothing, at the
// door and behind it.
func TestGuestEndsWithItsCommand(t *testing.T) {
	l := start(t, bench)
	hung, err := net.Listen("unix", l.Path()+".door")
	if err != nil {
		t.Fatal(err)
	}
	defer hung.Close()
	for visits, greet := range []bool{false, true} { // with a greeting it comes twice: it knocks, then asks
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			for range visits + 1 {
				c, err := hung.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				if greet {
					_ = json.NewEncoder(c).Encode(l.greeting())
					if line, _ := readLine(c, maxRequest); len(line) == 0 {
						continue // it only knocked
					}
				}
				cancel()
			}
		}()
		g, err := OpenGuest(ctx, l.Path(), visitor)
		if !greet {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("at the door: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Append(remarks()[0]); err == nil || !strings.Contains(err.Error(), "may have been written or not") {
			t.Errorf("behind the door: %v", err)
		}
		_ = g.Close()
	}
}
