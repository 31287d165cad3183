package station

import (
	"errors"
	"fmt"

	"station/internal/record"
	"station/internal/site"
)

// notice writes down what the site tells of a device, once. What is told of devices that
// this ledger cannot hold, real ones of a virtual station, is no matter of it.
func (s *Site) notice(n site.Notice) error {
	d, _, err := s.Ledger.Device(n.MAC)
	if err != nil {
		return err
	}
	e := record.Entry{Kind: record.ConflictFound, MAC: n.MAC, Simulated: n.Simulated, Message: n.Reason, About: record.AboutOf(record.Conflict{ID: n.ID})}
	if n.Settled != nil {
		e.Kind, e.Operator, e.Message = record.ConflictSettled, n.Settled.Operator, n.Settled.Reason
	}
	if n.Freed != "" {
		e.Message = fmt.Sprintf("taken from %s, which comes no more: %s", n.Freed, n.Settled.Reason)
	}
	if d.Conflict == n.ID && d.Conflicted == (n.Settled == nil) || n.Settled != nil && !d.Conflicted && n.Freed == "" {
		return nil
	}
	if _, err = s.Ledger.Append(e); errors.Is(err, record.ErrMixed) {
		return nil
	}
	if err == nil {
		s.tell(fmt.Sprintf("site %s: device %s: %s", s.Pass.Site, n.MAC, e.Message))
	}
	return err
}
