package station

import (
	"errors"
	"sync"
	"time"

	"station/internal/chip"
	"station/internal/flow"
)

// labelPatience is how long a printer may take for a label.
const labelPatience = 15 * time.Second

// Labels print the label of each device that passes, beside the line: a printer
// that is slow, stuck or broken holds up no device and changes no verdict.
type Labels struct {
	// Print prints the label of a device that has none yet.
	Print    func(chip.MAC) error
	Patience time.Duration // with one label; zero is 15 seconds

	mu   sync.Mutex // held while somebody is told
	tell func(flow.Event)
	todo chan flow.Event // devices that passed
	done chan struct{}   // closed when all is printed or told
}

var errPrinterStuck = errors.New("the printer takes no labels")

// Watch is emit with labels, for one line: it prints what passes, and tells of
// each label that was not printed (flow.LabelFailed), always before line.done.
func (l *Labels) Watch(emit func(flow.Event)) func(flow.Event) {
	if l.Patience == 0 {
		l.Patience = labelPatience
	}
	l.tell, l.todo, l.done = emit, make(chan flow.Event, 1024), make(chan struct{})
	go l.work()
	return func(e flow.Event) {
		if e.Event == flow.LineDone {
			close(l.todo)
			<-l.done
		}
		l.mu.Lock()
		emit(e)
		l.mu.Unlock()
		if e.Event != flow.DevicePassed {
			return
		}
		select {
		case l.todo <- e:
		default: // a thousand labels behind
			l.failed(e, errPrinterStuck)
		}
	}
}

// work prints one label after the other, in the order in which devices passed.
func (l *Labels) work() {
	defer close(l.done)
	for e := range l.todo {
		printed := make(chan error, 1)
		go func() { printed <- l.Print(e.MAC) }()
		select {
		case err := <-printed:
			if err != nil {
				l.failed(e, err)
			}
		case <-time.After(l.Patience):
			l.failed(e, errPrinterStuck)
			l.stuck(printed)
		}
	}
}

// stuck tells of every device that passes, until the printer has come back from
// its label: nobody shall wait for one that does not come.
func (l *Labels) stuck(printed <-chan error) {
	for {
		select {
		case <-printed:
			return
		case e, more := <-l.todo:
			if !more {
				return
			}
			l.failed(e, errPrinterStuck)
		}
	}
}

func (l *Labels) failed(passed flow.Event, err error) {
	kind := flow.FailureOf(flow.LabelMissing)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tell(flow.Event{Time: time.Now(), Event: flow.LabelFailed, Slot: passed.Slot, Port: passed.Port, MAC: passed.MAC, Serial: passed.Serial,
		KeyID: passed.KeyID, Code: kind.Code, Message: kind.Sentence, Action: kind.Action, Detail: err.Error()})
}
