package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"station/internal/record"
)

// errNoDoor: nobody answers there.
var errNoDoor = errors.New("it lets nobody write beside it")

// knockOnce asks whether this ledger has a door.
func (l *Ledger) knockOnce() error {
	c, err := l.knock()
	if err == nil {
		err = c.Close()
	}
	return err
}

// knock goes to the door and makes sure that it is this ledger's.
func (l *Ledger) knock() (net.Conn, error) {
	c, err := dialDoor(l.path)
	if err != nil {
		return nil, fmt.Errorf("%w (%v)", errNoDoor, err) // that there is no socket does not mean that there is no ledger
	}
	if err := l.meet(c); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (l *Ledger) meet(c net.Conn) error {
	_ = c.SetDeadline(time.Now().Add(hostTime))
	line, err := readLine(c, maxRequest)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("it does not answer: %w", err)
	}
	if err != nil {
		return errNoDoor // it has just ended
	}
	var g greeting
	if err := json.Unmarshal(line, &g); err != nil {
		return fmt.Errorf("its greeting: %w", err)
	}
	switch {
	case g.Error != "":
		return errors.New(g.Error)
	case g.Door != doorVersion || g.Version != record.Version:
		return errors.New("it is another version of this program: use the same")
	case g.Origin != l.Origin() || g.File != fileID(l.read.f):
		return errors.New("it has another file open, which had this name before")
	}
	return nil
}

// ask lets the host do what the guest wants.
func (l *Ledger) ask(q request) ([]record.Entry, error) {
	frame, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	if frame = append(frame, '\n'); len(frame) > maxRequest {
		return nil, fmt.Errorf("%d bytes are too much to write beside a line", len(frame))
	}
	if err := l.read.enter(); err != nil {
		return nil, err
	}
	defer l.read.leave()
	c, err := l.knock()
	if errors.Is(err, errNoDoor) {
		return nil, fmt.Errorf("nothing was written: the station that had this ledger open has ended; try again: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("nothing was written: %w", err)
	}
	defer c.Close()
	if _, err := c.Write(frame); err != nil { // not all of it, so the host acts on none of it
		return nil, fmt.Errorf("nothing was written: %w", err)
	}
	var r reply
	line, err := readLine(c, maxReply)
	if err == nil {
		err = json.Unmarshal(line, &r)
	}
	if err != nil {
		return nil, fmt.Errorf("the station that has this ledger open did not answer (%w): it may have been written or not; look into the ledger before you try again", err)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	if len(r.Entries) != len(q.Append) {
		return nil, fmt.Errorf("the station answered with %d entries for %d", len(r.Entries), len(q.Append))
	}
	return r.Entries, nil
}

// appendAtDoor is AppendAll for a guest.
func (l *Ledger) appendAtDoor(list []record.Entry) ([]record.Entry, error) {
	if len(list) == 0 {
		return nil, nil
	}
	list = slices.Clone(list)
	for i := range list {
		e := &list[i]
		if e.Station == "" {
			e.Station = l.opt.Station
		}
		if e.Software == "" {
			e.Software = l.opt.Software
		}
		// The host would say the same.
		if _, err := guestEntry(*e); err != nil {
			return nil, fmt.Errorf("append: %w", err)
		}
	}
	return l.ask(request{Append: list})
}
