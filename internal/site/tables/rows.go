package tables

import (
	"time"

	"station/internal/chip"
	"station/internal/record"
)

// text is a value that is absent where it is empty. PostgreSQL holds no NUL.
func text[T ~string](s T) *string {
	if s == "" {
		return nil
	}
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		if s[i] != 0 {
			out = append(out, s[i])
		}
	}
	t := string(out)
	return &t
}

func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (s *step) device(mac chip.MAC) error {
	d, known, err := s.l.Device(mac)
	if err != nil || !known {
		return err
	}
	verdict, code := d.State()
	var id, certificate string
	if d.Identity.Known() {
		id, certificate = d.Identity.ID, d.Identity.CertificateSerial()
	}
	s.rows.Queue(`INSERT INTO station.devices (bench, mac, serial, verdict, code, job, revision, batch, id, certificate, chip, keyed, sealed, visits, seen, updated, simulated, moves, revoked)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
		ON CONFLICT (bench, mac) DO UPDATE SET (serial, verdict, code, job, revision, batch, id, certificate, chip, keyed, sealed, visits, seen, updated, simulated, moves, revoked) =
		(EXCLUDED.serial, EXCLUDED.verdict, EXCLUDED.code, EXCLUDED.job, EXCLUDED.revision, EXCLUDED.batch, EXCLUDED.id, EXCLUDED.certificate, EXCLUDED.chip, EXCLUDED.keyed, EXCLUDED.sealed, EXCLUDED.visits, EXCLUDED.seen, EXCLUDED.updated, EXCLUDED.simulated, EXCLUDED.moves, EXCLUDED.revoked)`,
		s.bench, mac.String(), text(d.Serial), string(verdict), text(code), text(d.Job), text(d.Revision), text(d.Batch), text(id), text(certificate), text(d.Chip),
		len(d.Keys) > 0, d.Sealed, d.Runs, d.Seen, d.Updated, d.Simulated, d.Moves, when(d.Revoked()))
	return nil
}

func (s *step) visit(v *record.Visit) {
	var mac *string
	if !v.MAC.IsZero() {
		mac = text(v.MAC.String())
	}
	var seconds *float64
	if v.Seconds > 0 {
		seconds = &v.Seconds
	}
	s.rows.Queue(`INSERT INTO station.visits (bench, run, mac, slot, operator, begun, ended, verdict, code, already, seconds, simulated)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT (bench, run) DO UPDATE SET (ended, verdict, code, already, seconds) = (EXCLUDED.ended, EXCLUDED.verdict, EXCLUDED.code, EXCLUDED.already, EXCLUDED.seconds)`,
		s.bench, v.Run, mac, text(v.Slot), text(v.Operator), v.Begin, v.End, string(v.Verdict), text(v.Code), v.Already, seconds, v.Virtual)
}

// batches are few: all are written each time.
func (s *step) batches() error {
	for lot, err := range s.l.Lots() {
		if err != nil {
			return err
		}
		for _, simulated := range []bool{false, true} {
			name, is := lot.BatchName(simulated)
			if !is {
				continue
			}
			s.rows.Queue(`INSERT INTO station.batches (bench, batch, simulated, job, opened, closed, ordered, numbers, refused, started, passed, scrapped, quarantined)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
				ON CONFLICT (bench, batch, simulated) DO UPDATE SET (job, opened, closed, ordered, numbers, refused, started, passed, scrapped, quarantined) =
				(EXCLUDED.job, EXCLUDED.opened, EXCLUDED.closed, EXCLUDED.ordered, EXCLUDED.numbers, EXCLUDED.refused, EXCLUDED.started, EXCLUDED.passed, EXCLUDED.scrapped, EXCLUDED.quarantined)`,
				s.bench, name, simulated, text(lot.Job), when(lot.Opened), when(lot.Closed), lot.Quota, lot.Reserved, lot.Refused, lot.Devices, lot.Passed, lot.Scrapped, lot.Quarantined)
		}
	}
	return nil
}
