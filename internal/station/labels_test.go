package station

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"station/internal/chip"
	"station/internal/flow"
)

// told collects what a line with labels tells; the devices are named by the
// last byte of their MAC.
type told struct {
	mu   sync.Mutex
	list []string
}

func (h *told) emit(e flow.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = append(h.list, fmt.Sprint(e.Event, " ", e.MAC[5]))
}

func (h *told) want(t *testing.T, want ...string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(h.list, want) {
		t.Errorf("got  %q\nwant %q", h.list, want)
	}
}

func passed(n int) flow.Event {
	return flow.Event{Event: flow.DevicePassed, Slot: "1", MAC: chip.MAC{2, 0, 0, 0, 0, byte(n)}}
}

// Labels come in the order of the devices; one that fails is told before the
// line is done, and those after it are printed.
func TestLabelsOfALine(t *testing.T) {
	var printed []byte
	var h told
	l := Labels{Print: func(mac chip.MAC) error {
		if mac[5] == 2 {
			return errors.New("out of paper")
		}
		printed = append(printed, mac[5])
		return nil
	}}
	var missing flow.Event
	emit := l.Watch(func(e flow.Event) {
		if e.Event == flow.LabelFailed {
			missing = e
			return // it comes at any time
		}
		h.emit(e)
	})
	for n := range 4 {
		emit(passed(n))
	}
	emit(flow.Event{Event: flow.DeviceFailed, MAC: chip.MAC{5: 9}})
	emit(flow.Event{Event: flow.LineDone})
	h.want(t, "device.passed 0", "device.passed 1", "device.passed 2", "device.passed 3", "device.failed 9", "line.done 0")
	if !slices.Equal(printed, []byte{0, 1, 3}) {
		t.Errorf("printed %v", printed)
	}
	if missing.MAC[5] != 2 || missing.Slot != "1" || missing.Code != "E-LABEL" || missing.Verdict != "" || missing.Detail != "out of paper" || missing.Message == "" || missing.Action == "" {
		t.Errorf("told %+v", missing)
	}
}

// A printer that hangs holds up neither the line nor its end. Nobody waits for
// a label in vain, and when it comes back it prints again.
func TestStuckPrinter(t *testing.T) {
	release, printed := make(chan bool), make(chan byte)
	var h told
	l := Labels{Patience: 20 * time.Millisecond, Print: func(mac chip.MAC) error {
		if mac[5] == 1 || mac[5] == 4 {
			<-release
			return errors.New("too late")
		}
		printed <- mac[5]
		return nil
	}}
	failures := make(chan byte, 10)
	emit := l.Watch(func(e flow.Event) {
		h.emit(e)
		if e.Event == flow.LabelFailed {
			failures <- e.MAC[5]
		}
	})
	emit(passed(1))
	emit(passed(2))
	for _, want := range []byte{1, 2} {
		if got := <-failures; got != want {
			t.Errorf("told that %d has no label, want %d", got, want)
		}
	}
	release <- true
	for { // until it is seen that the printer is back
		emit(passed(3))
		select {
		case <-printed:
		case <-failures:
			continue
		}
		break
	}
	emit(passed(4))
	emit(passed(5))
	emit(flow.Event{Event: flow.LineDone})
	h.mu.Lock()
	end := h.list[len(h.list)-5:]
	slices.Sort(end[:4])
	h.list = end
	h.mu.Unlock()
	h.want(t, "device.passed 4", "device.passed 5", "label.failed 4", "label.failed 5", "line.done 0")
	close(release)
}
