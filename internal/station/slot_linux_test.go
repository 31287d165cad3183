package station

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"station/internal/chip"
	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/job"
	"station/internal/port"
	"station/internal/port/porttest"
	"station/internal/sim"
)

// terminalOf serves a chip that waits in its loader on a pseudo-terminal.
func terminalOf(t *testing.T, mac chip.MAC) (path string) {
	t.Helper()
	device := flowtest.NewChip(t, sim.Options{MAC: mac, NoLines: true, InLoader: true, FlashSize: 1 << 20})
	ctx, stop := context.WithCancel(t.Context())
	pty, err := device.ServePTY(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); pty.Wait() })
	return pty.Path
}

// arrival is what a slot's Next came back with.
type arrival struct {
	loader flow.Loader
	err    error
}

type arrivals <-chan arrival

// await runs Next aside.
func await(ctx context.Context, s flow.Slot, removed func()) arrivals {
	c := make(chan arrival, 1)
	go func() {
		l, err := s.Next(ctx, removed)
		c <- arrival{l, err}
	}()
	return c
}

// looks tells when a terminal is opened (true) and let go of (false). What comes
// twice in a row may come once.
func looks(t *testing.T, terminal string) <-chan bool {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err == nil {
		_, err = unix.InotifyAddWatch(fd, terminal, unix.IN_OPEN|unix.IN_CLOSE_WRITE)
	}
	if err != nil {
		t.Fatal(err)
	}
	events, told := os.NewFile(uintptr(fd), "inotify"), make(chan bool)
	ended := make(chan struct{})
	t.Cleanup(func() { events.Close(); close(ended) })
	go func() {
		for buf := make([]byte, 4096); ; {
			n, err := events.Read(buf)
			if err != nil {
				return
			}
			for at := 0; at < n; at += unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(buf[at+12:])) {
				select {
				case told <- binary.NativeEndian.Uint32(buf[at+4:])&unix.IN_OPEN != 0:
				case <-ended:
					return
				}
			}
		}
	}()
	return told
}

// await waits until these have been told, one after the other.
func (a arrivals) await(t *testing.T, told <-chan bool, want ...bool) {
	t.Helper()
	for len(want) > 0 {
		select {
		case got := <-told:
			if got == want[0] {
				want = want[1:]
			}
		case came := <-a:
			t.Fatalf("nobody was to come yet, got %+v", came)
		case <-time.After(time.Minute):
			t.Fatal("nobody looks at the port")
		}
	}
}

func (a arrival) is(t *testing.T, mac chip.MAC) {
	t.Helper()
	if a.err != nil {
		t.Fatal(a.err)
	}
	defer a.loader.Close()
	if err := a.loader.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if id, err := a.loader.Identify(t.Context()); err != nil || id.MAC != mac {
		t.Fatalf("got %v, %v, want %v", id.MAC, err, mac)
	}
}

// A slot waits for its USB socket without asking again and again: only the
// event can bring the device, under whatever name.
func TestSlotOfAUSBSocket(t *testing.T) {
	u := porttest.NewUSB(t)
	first, second := terminalOf(t, VirtualMAC(1)), terminalOf(t, VirtualMAC(2))
	s := RealSlot{Name: "1", Port: "usb:1-2.3:1.0", Reset: "manual", Ports: port.System{Sys: u.Sys, Dev: u.Dev}}.Slot()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	removed := make(chan struct{}, 1)
	coming := await(ctx, s, func() { removed <- struct{}{} })
	u.Plug("1-2.4:1.0", "ttyUSB7", second, nil) // the neighbour's
	u.Plug("1-2.3:1.0", "ttyUSB0", first, nil)
	(<-coming).is(t, VirtualMAC(1))

	coming = await(ctx, s, func() { removed <- struct{}{} })
	u.Unplug("ttyUSB0")
	select {
	case <-removed:
	case a := <-coming:
		t.Fatalf("the device that was there came again: %+v", a)
	}
	u.Unplug("ttyUSB7")
	u.Plug("1-2.3:1.0", "ttyUSB7", second, nil)
	(<-coming).is(t, VirtualMAC(2))

	coming = await(ctx, s, func() {})
	u.Unplug("ttyUSB7")
	stop()
	if a := <-coming; !errors.Is(a.err, context.Canceled) {
		t.Errorf("stopped: got %+v", a)
	}
}

// A device that falls silent behind a port that stays may run its firmware or
// wait for a hand: nobody says that it was taken out, until another one is there.
func TestNobodySaysTakenOutWhereThePortCannotTell(t *testing.T) {
	chip := flowtest.NewChip(t, sim.Options{NoLines: true, FlashSize: 1 << 20}) // it runs, and does not answer
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	quiet, err := chip.ServePTY(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); quiet.Wait() })
	first, second := terminalOf(t, VirtualMAC(1)), terminalOf(t, VirtualMAC(2))
	for _, reset := range []job.Reset{"manual", ""} {
		path := filepath.Join(t.TempDir(), "port")
		wire := func(to string) {
			next := path + ".next"
			if err := errors.Join(os.Symlink(to, next), os.Rename(next, path)); err != nil {
				t.Fatal(err)
			}
		}
		wire(first)
		s := RealSlot{Name: "1", Port: path, Reset: reset}.Slot()
		removed := func() { t.Errorf("reset %q: the device was said to be taken out", reset) }
		(<-await(ctx, s, removed)).is(t, VirtualMAC(1))
		coming := await(ctx, s, removed)
		told := looks(t, quiet.Path)
		wire(quiet.Path)
		coming.await(t, told, true, false, true) // a look, to its end
		wire(second)
		(<-coming).is(t, VirtualMAC(2))
	}
}

// Once the port itself is gone, so is the device that had fallen silent behind it.
func TestTakenOutWithItsPort(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	s := &slot{RealSlot: RealSlot{Port: filepath.Join(t.TempDir(), "none"), Ports: port.Host}, last: VirtualMAC(1), here: true, empty: true, dumb: true}
	told := 0
	_, _ = s.next(ctx, func() { told++; stop() })
	if told != 1 {
		t.Errorf("told %d times", told)
	}
}

// A port that is pulled while it is being opened gives any error. It is told when
// the port is still there at the next look.
func TestPulledWhileItIsOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "port")
	s := &slot{RealSlot: RealSlot{Port: path, Ports: port.Host}}
	look := func(want bool) {
		t.Helper()
		if l, err := s.find(t.Context()); l != nil || (err != nil) != want {
			t.Errorf("got %v, %v", l, err)
		}
	}
	for range 2 {
		if err := os.Symlink(os.DevNull, path); err != nil { // no terminal
			t.Fatal(err)
		}
		look(false)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		look(false)
	}
	if err := os.Symlink(os.DevNull, path); err != nil {
		t.Fatal(err)
	}
	look(false)
	look(true)
}

// A device that cannot be identified is told, also where it sits in its slot
// when the line starts; and once.
func TestSlotWithAStrangerFromTheStart(t *testing.T) {
	o := sim.Options{Revision: 3, FlashSize: 1 << 20}
	words := sim.FactoryWords(o)
	sim.SetField(&words, "UART_DOWNLOAD_DIS", 1)
	o.Words = &words
	device := flowtest.NewChip(t, o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	counted := &countedListener{Listener: l, clients: make(chan struct{})}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	counted.ctx = ctx
	served := make(chan error, 1)
	go func() { served <- device.ServeRFC2217(ctx, counted) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	s := RealSlot{Name: "1", Port: "rfc2217://" + l.Addr().String()}.Slot()
	coming := await(ctx, s, func() {})
	<-counted.clients
	a := <-coming
	if a.err != nil || a.loader == nil {
		t.Fatalf("got %+v, want the device as it is", a)
	}
	if err := a.loader.Connect(ctx); !errors.Is(err, chip.ErrDownloadDisabled) {
		t.Errorf("got %v, want ErrDownloadDisabled", err)
	}
	a.loader.Close()
	looking, enough := context.WithCancel(ctx)
	defer enough()
	coming = await(looking, s, func() { t.Error("it was not taken out") })
	for range 2 { // when the second look begins, the first has told nobody
		select {
		case <-counted.clients:
		case a := <-coming:
			t.Fatalf("told twice: %+v", a)
		}
	}
	enough()
	if a := <-coming; a.loader != nil || !errors.Is(a.err, context.Canceled) {
		t.Errorf("told twice: %+v", a)
	}
}

// countedListener tells of each client before it is served.
type countedListener struct {
	net.Listener
	ctx     context.Context
	clients chan struct{}
}

func (l *countedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		select {
		case l.clients <- struct{}{}:
		case <-l.ctx.Done():
		}
	}
	return conn, err
}

// Another program that looks at a new port first is given its moment; one that
// has it from the start is told of.
func TestSlotOfAPortThatIsTaken(t *testing.T) {
	u := porttest.NewUSB(t)
	path := terminalOf(t, VirtualMAC(1))
	other, err := port.Host.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	real := RealSlot{Name: "1", Port: "usb:1-2.3:1.0", Reset: "manual", Ports: port.System{Sys: u.Sys, Dev: u.Dev}}
	waiting := real.Slot()
	once, enough := context.WithCancel(t.Context())
	enough()
	if a := <-await(once, waiting, func() {}); !errors.Is(a.err, context.Canceled) {
		t.Fatalf("got %+v, want one look at a port that is not there yet", a)
	}
	coming := await(t.Context(), waiting, func() {})
	told := looks(t, path)
	u.Plug("1-2.3:1.0", "ttyUSB0", path, nil)
	coming.await(t, told, true, false) // it has tried
	other.Close()
	(<-coming).is(t, VirtualMAC(1))

	holder, err := port.Host.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	if a := <-await(t.Context(), real.Slot(), func() {}); !errors.Is(a.err, chip.ErrPortBusy) {
		t.Errorf("got %+v, want ErrPortBusy", a)
	}
}

func TestSettling(t *testing.T) {
	denied := fmt.Errorf("port: %w", fs.ErrPermission)
	for _, c := range []struct {
		ago  time.Duration
		err  error
		want bool
	}{
		{0, denied, true},
		{0, chip.ErrPortBusy, true},
		{0, errors.New("not a serial port"), false},
		{0, nil, false},
		{2 * settleIn, denied, false},
	} {
		s := &slot{came: time.Now().Add(-c.ago)}
		if got := s.settling(c.err); got != c.want {
			t.Errorf("%v after %v: got %v", c.err, c.ago, got)
		}
	}
	if (&slot{}).settling(denied) {
		t.Error("a port that was always there settles")
	}
}

// A port that nobody has seen for long settles from when it has come.
func TestSettlingAfterALongAbsence(t *testing.T) {
	path := terminalOf(t, VirtualMAC(1))
	other, err := port.Host.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	s := &slot{RealSlot: RealSlot{Port: path, Ports: port.Host}, absent: true, came: time.Now().Add(-time.Hour)}
	if l, err := s.find(t.Context()); l != nil || err != nil {
		t.Errorf("got %v, %v; it is to be waited for", l, err)
	}
}

// A port without DTR and RTS is told of once, and works.
func TestSlotWithoutLines(t *testing.T) {
	var warnings []string
	path := terminalOf(t, VirtualMAC(1))
	s := RealSlot{Name: "left", Port: path, Reset: "classic", Once: true, Warn: func(w string) { warnings = append(warnings, w) }}.Slot()
	for range 2 {
		(<-await(t.Context(), s, func() {})).is(t, VirtualMAC(1))
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "slot left: port "+path) {
		t.Errorf("got %q", warnings)
	}
	manual := RealSlot{Port: path, Reset: "manual", Once: true, Warn: func(w string) { t.Errorf("warned: %s", w) }}.Slot()
	(<-await(t.Context(), manual, func() {})).is(t, VirtualMAC(1))
}
