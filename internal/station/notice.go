package station

import (
	"errors"
	"fmt"

	"station/internal/ledger"
	"station/internal/record"
	"station/internal/site"
)

// notice writes down what the site tells of a device, once. What is told of devices that
// this ledger cannot hold, real ones of a virtual station, is no matter of it.
func (s *Site) notice(n site.Notice) error { return s.noticeIn(s.Ledger, n, s.tell) }

func (s *Site) noticeIn(book *ledger.Ledger, n site.Notice, tell func(string)) error {
	e, err := unheard(book, n)
	if err != nil || e == nil {
		return err
	}
	if _, err = book.Append(*e); errors.Is(err, record.ErrMixed) {
		return nil
	}
	if err == nil {
		said := e.Message
		if n.Settled != nil {
			said = fmt.Sprintf("settled by %s: %s", n.Settled.Operator, said)
		}
		tell(fmt.Sprintf("site %s: device %s: %s", s.Pass.Site, n.MAC, said))
	}
	return err
}

// unheard is the entry that a ledger lacks of a notice; nil where it lacks none.
func unheard(book *ledger.Ledger, n site.Notice) (*record.Entry, error) {
	d, _, err := book.Device(n.MAC)
	if err != nil {
		return nil, err
	}
	e := record.Entry{Kind: record.ConflictFound, MAC: n.MAC, Simulated: n.Simulated, Message: n.Reason, About: record.AboutOf(record.Conflict{ID: n.ID})}
	if n.Settled != nil {
		e.Kind, e.Operator, e.Message = record.ConflictSettled, n.Settled.Operator, n.Settled.Reason
	}
	if n.Freed != "" {
		e.Message = fmt.Sprintf("taken from %s, which comes no more: %s", n.Freed, n.Settled.Reason)
	}
	if d.Conflict == n.ID && d.Conflicted == (n.Settled == nil) || n.Settled != nil && !d.Conflicted && n.Freed == "" {
		return nil, nil
	}
	return &e, nil
}
