package flow_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"station/internal/flow/flowtest"
	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
	"station/internal/ledger"
	"station/internal/sim"
)

// lab is a station on which many devices are interrupted: a real token, a real
// ledger, a clock that jumps over every wait.
type lab struct {
	ctx    context.Context
	config hsm.Config
	token  *hsm.Token
	dir    string
	ledger *ledger.Ledger
	ca     *x509.Certificate // stands for that of every job
	made   atomic.Int32
	alike  *ways // each device is the same one, in a ledger of its own; nil: all are others, in one ledger
}

// inLab opens the station, with the clock of its own, for as long as f runs.
func inLab(t *testing.T, f func(*lab)) {
	t.Helper()
	l := &lab{config: hsmtest.Known(t, hsmtest.Known(t, hsmtest.Token(t), flowtest.Master, hsmtest.Master), flowtest.IdentityMaster, hsmtest.Master)}
	l.token = hsmtest.Open(t, l.config)
	l.ca = flowtest.TokenCA(t, l.token)
	if _, err := l.token.Init(t.Context(), hsm.KEK, "kek"); err != nil {
		t.Fatal(err)
	}
	importFleetKey(t, l.token)
	l.dir = t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l.ctx = t.Context()
		var err error
		if l.ledger, err = l.openLedger("ledger.db"); err != nil {
			t.Fatal(err)
		}
		f(l)
		if err := closeLedger(l.ledger); err != nil {
			t.Error(err)
		}
	})
}

func (l *lab) openLedger(name string) (*ledger.Ledger, error) {
	return ledger.Open(filepath.Join(l.dir, name), ledger.Options{Create: true, Simulated: true, Station: "test"})
}

// closeLedger says what is wrong with it.
func closeLedger(l *ledger.Ledger) (err error) {
	for f := range l.Check(nil) {
		err = errors.Join(err, fmt.Errorf("ledger: %v", f))
	}
	return errors.Join(err, l.Close())
}

// parallel runs what feed gives it in a few goroutines, and waits for all.
func parallel(feed func(do func(func()))) {
	work := make(chan func())
	var wg sync.WaitGroup
	for range 2 * runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for f := range work {
				f()
			}
		})
	}
	feed(func(f func()) { work <- f })
	close(work)
	wg.Wait()
}

// inMemory puts the test's folders into memory, where the system has one for
// that: each entry of the ledger is synced, and a disk is not what is asked here.
func inMemory(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "station")
	if err != nil {
		return
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("TMPDIR", dir)
}

// run is what an undisturbed device took.
type run struct {
	sent  []sent
	burns []sim.Words // the bits of each fuse programming
	took  time.Duration
}

// sent is one command on the wire, without its framing.
type sent struct {
	op   byte
	size int
}

// writes reports a command that changes something in the chip. To chip and
// station a cut after any other one is the same as a cut before it: nothing has
// changed, and no reply comes.
func (c sent) writes() bool { return slices.Contains(writing, c.op) }

const (
	flashBegin = 0x02
	writeReg   = 0x09
)

// And FLASH_DATA, SPI_SET_PARAMS, SPI_ATTACH, CHANGE_BAUDRATE.
var writing = []byte{flashBegin, writeReg, 0x03, 0x0b, 0x0d, 0x0f}

// undisturbed seals one device of the product.
func (l *lab) undisturbed(p product) (run, error) {
	tr := l.trial(p)
	var r run
	tr.options.Trace = func(dir byte, frame []byte) {
		if dir == '>' {
			r.sent = append(r.sent, sent{frame[1], len(frame)})
		}
	}
	begin := time.Now()
	out := tr.visit()
	r.took, r.burns, tr.options.Trace = time.Since(begin), tr.burns, nil
	heard := 0
	for _, n := range tr.chip.Meter().Commands {
		heard += n
	}
	if end := tr.finish(); end != "sealed" || len(tr.wrong) > 0 || heard != len(r.sent) {
		return r, fmt.Errorf("%s undisturbed: %s %v %v, %d commands sent, %d heard", p.name, end, out.Failure, tr.wrong, len(r.sent), heard)
	}
	return r, nil
}
