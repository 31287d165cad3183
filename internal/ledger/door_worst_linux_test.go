package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"station/internal/record"
)

// Guests that hang, send rubbish or go away cost the host nothing.
func TestBadGuests(t *testing.T) {
	l := host(t, ledgerPath(t))
	l.door.mu.Lock()
	l.door.within = 300 * time.Millisecond
	l.door.mu.Unlock()
	for i := range 3 * doorRoom {
		c := knockAt(t, l.Path())
		switch i % 5 {
		case 0: // says nothing
		case 1:
			fmt.Fprintln(c, "GET / HTTP/1.1")
		case 2:
			fmt.Fprint(c, `{"append":[{"kind":"label.pr`)
		case 3:
			fmt.Fprintln(c, `{"append":[{"kind":"label.printed"}]}`)
			c.Close() // does not wait for the answer
		case 4:
			_, _ = c.Write(bytes.Repeat([]byte("x"), 2*maxRequest)) // as much as is taken
		}
	}
	add(t, l, run(1)...)
	add(t, asGuest(t, l.Path()), remarks()[0])
}

// Whoever says nothing is told so, and does not hold up the end.
func TestDoorDoesNotWaitForSilence(t *testing.T) {
	path := ledgerPath(t)
	before := runtime.NumGoroutine()
	l := host(t, path)
	l.door.mu.Lock()
	l.door.within = time.Minute
	l.door.mu.Unlock()
	c := knockAt(t, path)
	var g greeting
	if line, err := readLine(c, maxRequest); err != nil || json.Unmarshal(line, &g) != nil || g.Origin != l.Origin() {
		t.Fatalf("greeted with %+v, %v", g, err)
	}
	begun := time.Now()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("closed after %v", took)
	}
	if line, err := readLine(c, maxReply); err != nil || !strings.Contains(string(line), "did not come whole") {
		t.Errorf("told %q, %v", line, err)
	}
	for range 6000 { // the test's own goroutines of other connections
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines are left of %d", runtime.NumGoroutine(), before)
}

// Whoever keeps silent is closed after two seconds, however many there are, and
// a guest with something to say is served.
func TestSilentGuestsAreClosed(t *testing.T) {
	l := host(t, ledgerPath(t))
	begun := time.Now()
	var silent []net.Conn
	for range 2 * doorRoom {
		silent = append(silent, knockAt(t, l.Path()))
	}
	add(t, asGuest(t, l.Path()), remarks()[0])
	for i, c := range silent {
		_ = c.SetReadDeadline(begun.Add(time.Minute))
		said, err := io.ReadAll(c)
		if err != nil || i < doorRoom && !strings.Contains(string(said), "did not come whole") {
			t.Fatalf("guest %d: %q, %v", i, said, err)
		}
	}
	// One that is let in last has waited for all the others before it.
	if took := time.Since(begun); guestTime > 2*time.Second || took < guestTime {
		t.Errorf("a guest may be silent for %v; they were closed after %v", guestTime, took)
	}
}

// fakeHost greets as the ledger's host, and leaves the rest to then.
func fakeHost(t *testing.T, then func(c net.Conn)) *Ledger {
	t.Helper()
	l := start(t, bench)
	door, err := net.Listen("unix", l.Path()+".door")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { door.Close() })
	go func() {
		for {
			c, err := door.Accept()
			if err != nil {
				return
			}
			_ = json.NewEncoder(c).Encode(l.greeting())
			then(c)
			c.Close()
		}
	}()
	return asGuest(t, l.Path())
}

// A guest whose host dies says what it knows and what it does not.
func TestHostDies(t *testing.T) {
	read := func(c net.Conn) { _, _ = readLine(c, maxRequest) }
	for name, then := range map[string]func(net.Conn){
		"before it answers": read,
		"in the middle of the answer": func(c net.Conn) {
			read(c)
			fmt.Fprint(c, `{"entries":[{"v":1,`)
		},
	} {
		_, err := fakeHost(t, then).Append(remarks()[0])
		if err == nil || !strings.Contains(err.Error(), "may have been written or not") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	_, err := fakeHost(t, func(c net.Conn) {
		read(c)
		fmt.Fprintln(c, `{}`)
	}).Append(remarks()[0])
	if err == nil {
		t.Error("an answer without the entry was taken for one")
	}
}

func TestWhoMayEnter(t *testing.T) {
	for _, c := range []struct {
		guest, host uint32
		want        bool
	}{{1000, 1000, true}, {0, 1000, true}, {0, 0, true}, {1001, 1000, false}, {1000, 0, false}} {
		if got := mayEnter(c.guest, c.host); got != c.want {
			t.Errorf("user %d at the door of %d: got %v, want %v", c.guest, c.host, got, c.want)
		}
	}
	c := knockAt(t, host(t, ledgerPath(t)).Path())
	if uid, err := peer(c); uid != uint32(os.Getuid()) || err != nil {
		t.Errorf("got user %d, %v", uid, err)
	}
}

// All at once: every entry is in the log, once.
func TestManyGuests(t *testing.T) {
	l := host(t, ledgerPath(t))
	var all sync.WaitGroup
	const guests, each = 6, 5
	for n := range guests {
		all.Go(func() {
			g, err := OpenGuest(t.Context(), l.Path(), visitor)
			if err != nil {
				t.Error(err)
				return
			}
			defer g.Close()
			for i := range each {
				e := remarks()[0]
				e.MAC, e.Message = mac(n), fmt.Sprint(n, " ", i)
				if stored, err := g.Append(e); err != nil || stored.Message != e.Message {
					t.Errorf("got %+v, %v", stored, err)
				}
			}
		})
	}
	all.Go(func() {
		for _, e := range run(50) {
			if _, err := l.Append(e); err != nil {
				t.Error(err)
			}
		}
	})
	all.Wait()
	seen := map[string]int{}
	for e, err := range l.Entries(0) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == record.LabelPrinted {
			seen[e.Message]++
		}
	}
	if len(seen) != guests*each {
		t.Errorf("%d of %d remarks are in the log", len(seen), guests*each)
	}
	for message, n := range seen {
		if n != 1 {
			t.Errorf("%q is there %d times", message, n)
		}
	}
}
