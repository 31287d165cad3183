package flow

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"

	"station/internal/esp32"
	"station/internal/record"
)

// JobSerial demands a serial number for each device.
type JobSerial struct {
	Pattern string `toml:"pattern"` // regular expression that all of it must match
}

// maxPattern is more than any pattern of serial numbers needs, in bytes, and
// maxSerial more than any serial number has.
const (
	maxPattern = 1024
	maxSerial  = 128
)

func (s JobSerial) regexp() (*regexp.Regexp, error) {
	if s.Pattern == "" {
		return nil, errors.New("is missing")
	}
	if len(s.Pattern) > maxPattern {
		return nil, fmt.Errorf("has %d bytes; at most %d are read", len(s.Pattern), maxPattern)
	}
	return regexp.Compile("^(?:" + s.Pattern + ")$")
}

// Serials are the serial numbers of a line that runs the job; nil where it
// demands none. owner looks one up in the ledger.
func (j *Job) Serials(owner func(serial string) (esp32.MAC, bool, error)) *Serials {
	if j.Serial == nil {
		return nil
	}
	pattern, _ := j.Serial.regexp() // checked when the job was read
	return &Serials{Pattern: pattern, Owner: owner}
}

// ErrSerial means that a scanned serial number cannot be used.
var ErrSerial = errors.New("this serial number cannot be used")

// Serials hands scanned serial numbers to devices, before or after they are
// plugged in.
type Serials struct {
	Pattern *regexp.Regexp
	Owner   func(serial string) (esp32.MAC, bool, error) // in the ledger

	mu      sync.Mutex
	next    string                 // for the next device, whatever its slot
	waiting map[string]chan string // slots whose device wants one
	given   map[string]bool        // in this run: no serial twice
}

// Scan takes a serial number for the device in the slot, or with slot "" for
// the next device that wants one.
func (s *Serials) Scan(slot, serial string) error {
	if len(serial) > maxSerial || !s.Pattern.MatchString(serial) {
		return fmt.Errorf("%w: %q does not look like one (%s)", ErrSerial, serial, s.Pattern)
	}
	owner, taken, err := s.Owner(serial)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case taken:
		return fmt.Errorf("%w: %s belongs to %s already", ErrSerial, serial, owner)
	case s.given[serial]:
		return fmt.Errorf("%w: %s was scanned for another device", ErrSerial, serial)
	}
	if s.given == nil {
		s.given = map[string]bool{}
	}
	s.given[serial] = true
	if wait := s.waiting[slot]; wait != nil {
		wait <- serial // has room: one slot waits for one serial
		delete(s.waiting, slot)
		return nil
	}
	if s.next != "" {
		delete(s.given, s.next) // scanned again: the newest counts
	}
	s.next = serial
	return nil
}

// take gives the device in the slot its serial number, waiting for the scan.
func (s *Serials) take(ctx context.Context, slot string) (string, error) {
	s.mu.Lock()
	if serial := s.next; serial != "" {
		s.next = ""
		s.mu.Unlock()
		return serial, nil
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
