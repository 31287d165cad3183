package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"station/internal/record"
)

// ErrHostEnded: the process that had the ledger open for writing, and through which a
// guest wrote, has ended. Opened anew, the ledger takes entries itself.
var ErrHostEnded = errors.New("the station that had this ledger open has ended")

// errNoDoor: nobody answers there.
var errNoDoor = errors.New("it lets nobody write beside it")

// guest is a process that has the ledger open for reading, and asks the one that
// has it open for writing, its host, to append for it.
type guest struct {
	ctx    context.Context // of the command that is the guest: its end ends the waiting
	ledger *Ledger
}

// knockOnce asks whether the ledger has a door.
func (g *guest) knockOnce() error {
	c, err := g.knock()
	if err == nil {
		err = c.Close()
	}
	return err
}

// knock goes to the door and makes sure that it is this ledger's.
func (g *guest) knock() (net.Conn, error) {
	door, err := dialDoor(g.ctx, g.ledger.path)
	if err != nil {
		return nil, fmt.Errorf("%w (%v)", errNoDoor, err) // that there is no socket does not mean that there is no ledger
	}
	_ = door.SetDeadline(time.Now().Add(hostTime))
	c := visit{door, context.AfterFunc(g.ctx, func() { _ = door.SetDeadline(time.Unix(1, 0)) })}
	if err := g.meet(c); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// visit is a connection whose waiting ends with the guest's context.
type visit struct {
	net.Conn
	stop func() bool
}

func (v visit) Close() error {
	v.stop()
	return v.Conn.Close()
}

func (g *guest) meet(c net.Conn) error {
	l := g.ledger
	line, err := readLine(c, maxRequest)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("it does not answer: %w", err)
	}
	if err != nil {
		return errNoDoor // it has just ended
	}
	var host greeting
	if err := json.Unmarshal(line, &host); err != nil {
		return fmt.Errorf("its greeting: %w", err)
	}
	switch {
	case host.Error != "":
		return errors.New(host.Error)
	case host.Door != doorVersion || host.Version != record.Version:
		return errors.New("it is another version of this program: use the same")
	case host.Origin != l.Origin() || host.File != fileID(l.read.f):
		return errors.New("it has another file open, which had this name before")
	}
	return nil
}

// ask lets the host do what the guest wants.
func (g *guest) ask(q request) ([]record.Entry, error) {
	frame, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	if frame = append(frame, '\n'); len(frame) > maxRequest {
		return nil, fmt.Errorf("%d bytes are too much to write beside a line", len(frame))
	}
	read := g.ledger.read
	if err := read.enter(); err != nil {
		return nil, err
	}
	defer read.leave()
	c, err := g.knock()
	if errors.Is(err, errNoDoor) {
		return nil, fmt.Errorf("nothing was written: %w; try again: %w", ErrHostEnded, err)
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
	switch {
	case err == nil:
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, fmt.Errorf("the station that has this ledger open did not answer (%w): it may have been written or not; look into the ledger before you try again", err)
	default:
		return nil, fmt.Errorf("%w before it answered (%w): it may have been written or not; look into the ledger before you try again", ErrHostEnded, err)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	if len(r.Entries) != len(q.Append) {
		return nil, fmt.Errorf("the station answered with %d entries for %d", len(r.Entries), len(q.Append))
	}
	return r.Entries, nil
}

// append is AppendAll for a guest.
func (g *guest) append(list []record.Entry) ([]record.Entry, error) {
	if len(list) == 0 {
		return nil, nil
	}
	list = slices.Clone(list)
	for i := range list {
		e := &list[i]
		if e.Station == "" {
			e.Station = g.ledger.opt.Station
		}
		if e.Software == "" {
			e.Software = g.ledger.opt.Software
		}
		// The host would say the same.
		if _, err := guestEntry(*e); err != nil {
			return nil, fmt.Errorf("append: %w", err)
		}
	}
	return g.ask(request{Append: list})
}
