package flow

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"

	"station/internal/chip"
	"station/internal/job"
	"station/internal/record"
)

// maxSerial is more than any serial number has, in bytes.
const maxSerial = 128

// NewSerials are the serial numbers of a line that runs the job; nil where it
// demands none. owner looks one up in the ledger.
func NewSerials(j *job.Job, owner func(serial string) (chip.MAC, bool, error)) *Serials {
	if j.Serial == nil {
		return nil
	}
	pattern, _ := j.Serial.Regexp() // checked when the job was read
	return &Serials{Pattern: pattern, Owner: owner}
}

// ErrSerial means that a scanned serial number cannot be used.
var ErrSerial = errors.New("this serial number cannot be used")

// SerialError says why, so that a screen can say it in its language. The job's
// pattern is an engineer's and is not repeated.
type SerialError struct {
	Why    SerialFault
	Serial string
	Slot   string   // of SerialUnasked
	Owner  chip.MAC // of SerialTaken
	Other  string   // of SerialPending: the one that waits
}

// SerialFault is what is wrong with a scanned serial number.
type SerialFault int

// The faults.
const (
	SerialShape   SerialFault = iota // no serial number of this job
	SerialTaken                      // a device of the ledger has it
	SerialGiven                      // scanned before
	SerialPending                    // another one waits for the next device
	SerialUnasked                    // the slot does not wait for one
)

func (e *SerialError) Error() string {
	switch e.Why {
	case SerialTaken:
		return fmt.Sprintf("%v: %s belongs to %s already", ErrSerial, e.Serial, e.Owner)
	case SerialGiven:
		return fmt.Sprintf("%v: %s was scanned for another device", ErrSerial, e.Serial)
	case SerialPending:
		return fmt.Sprintf("%v: %s waits for the next device; plug it in or take the number back first", ErrSerial, e.Other)
	case SerialUnasked:
		return fmt.Sprintf("%v: slot %s does not wait for one; scan %s again", ErrSerial, e.Slot, e.Serial)
	}
	return fmt.Sprintf("%v: %q is no serial number of this job", ErrSerial, e.Serial)
}

// Is makes every SerialError an ErrSerial.
func (e *SerialError) Is(target error) bool { return target == ErrSerial }

// Serials hands scanned serial numbers to devices, before or after they are
// plugged in.
type Serials struct {
	Pattern *regexp.Regexp
	Owner   func(serial string) (chip.MAC, bool, error) // in the ledger
	// MadeUp, where set, gives a number to a device for which none was scanned:
	// in a rehearsal without anybody who scans.
	MadeUp func() (string, error)

	mu      sync.Mutex
	next    string                 // for the next device, whatever its slot
	waiting map[string]chan string // slots whose device wants one
	given   map[string]bool        // in this run: no serial twice
}

// Scan takes a serial number for the device in the slot, or with slot "" for
// the next device that wants one. It replaces no other one.
func (s *Serials) Scan(slot, serial string) error {
	if len(serial) > maxSerial || !s.Pattern.MatchString(serial) {
		return &SerialError{Why: SerialShape, Serial: serial}
	}
	owner, taken, err := s.Owner(serial)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	wait := s.waiting[slot]
	switch {
	case taken:
		return &SerialError{Why: SerialTaken, Serial: serial, Owner: owner}
	case s.given[serial]:
		return &SerialError{Why: SerialGiven, Serial: serial}
	case slot == "" && s.next != "":
		return &SerialError{Why: SerialPending, Serial: serial, Other: s.next}
	case slot != "" && wait == nil, slot == "" && len(s.waiting) > 0:
		return &SerialError{Why: SerialUnasked, Serial: serial, Slot: slot}
	}
	if s.given == nil {
		s.given = map[string]bool{}
	}
	s.given[serial] = true
	if wait != nil {
		wait <- serial // has room: one slot waits for one serial
		delete(s.waiting, slot)
		return nil
	}
	s.next = serial
	return nil
}

// TakeBack lets the serial number that waits be scanned again.
func (s *Serials) TakeBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.given, s.next)
	s.next = ""
}

// take gives the device in the slot its serial number, waiting for the scan.
func (s *Serials) take(ctx context.Context, slot string) (string, error) {
	s.mu.Lock()
	if serial := s.next; serial != "" {
		s.next = ""
		s.mu.Unlock()
		return serial, nil
	}
	if s.MadeUp != nil {
		defer s.mu.Unlock()
		return s.MadeUp()
	}
	if s.waiting == nil {
		s.waiting = map[string]chan string{}
	}
	wait := make(chan string, 1)
	s.waiting[slot] = wait
	s.mu.Unlock()
	select {
	case serial := <-wait:
		return serial, nil
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.waiting, slot)
		return "", ctx.Err()
	}
}

// bind gives a device its serial number, once and for ever.
func bind(ctx context.Context, s *Session) error {
	if s.Device.Serial != "" {
		s.Serial = s.Device.Serial
		return nil
	}
	if s.serial == nil {
		return failf("E-SERIAL", "the job demands a serial number, but nobody can scan one here")
	}
	serial, err := s.serial(ctx)
	if err != nil {
		return err
	}
	s.Serial = serial
	return s.note(record.Entry{Kind: record.SerialBound, Serial: serial})
}
