package outbox

import (
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// limitFiles lets this process write no file beyond n bytes from its beginning, as a full
// disk does, until the function is called.
func limitFiles(t *testing.T, n uint64) (lift func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
			t.Error(err)
		}
	}
}

// A bench that the site cannot store hears why, and what to do, and so does who asks the site:
// while the disk is full, and when there is room again, until the site is started anew.
func TestSiteWithAFullDiskSaysSo(t *testing.T) {
	b := newBench(t)
	b.about = strings.Repeat("x", 2000)
	b.work(2200)
	b.push()
	defer func(was time.Duration) { commitTime = was }(commitTime)
	commitTime = time.Second // the disk never takes what comes now
	p, _ := plant()
	defer func() { _, _ = anew() }() // others need one that stores
	b.work(10)
	stuck := func(what string) {
		t.Helper()
		_, err := b.Push(t.Context())
		if err == nil || !strings.Contains(err.Error(), "make room there") {
			t.Errorf("%s, the bench hears %v", what, err)
		}
		list, err := p.List(t.Context())
		for _, s := range list {
			if s.Bench == b.Pass.Bench && !strings.Contains(s.Stuck, "make room there") {
				t.Errorf("%s, the site says %q", what, s.Stuck)
			}
		}
		if err != nil {
			t.Error(err)
		}
	}
	lift := limitFiles(t, 4<<20) // smaller is the log that go test writes
	stuck("while it is full")
	lift()
	stuck("when there is room")
}
