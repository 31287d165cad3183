package flow

import (
	"context"
	"errors"
	"fmt"

	"station/internal/chip"
	"station/internal/job"
)

// byRAM has the loader in RAM write the images, where the job wants it, but for
// those that hold secrets of the device. Whatever it leaves, the ROM writes after
// it: any doubt costs time only, and the end of the step says why.
func (s *Session) byRAM(ctx context.Context, all []*content, progress func(done int)) error {
	if s.Job.Flash.Loader != job.LoaderRAM {
		return nil
	}
	work := chip.RAMJob{Key: s.Held.Flash().Secret, Config: s.Job.CryptConfig(), Progress: progress}
	for _, c := range all {
		if !c.PerDevice {
			work.Images = append(work.Images, chip.PlainImage{Addr: c.Address, Plain: c.Data, Encrypted: c.Encrypted, Stored: c})
		}
	}
	stats, err := s.Chip.WriteByRAM(ctx, s.ID, work)
	s.rate.wrote(chip.WriteStats{Sent: stats.Sent, Retries: stats.Retries})
	if err != nil && !errors.Is(err, chip.ErrRAM) {
		return err
	}
	if err != nil {
		s.rate.said = fmt.Sprintf("written by the ROM: %v", err)
	}
	if !stats.Started {
		return nil
	}
	return s.afterRAM(ctx, stats.Wiped)
}

// afterRAM brings the device back into the ROM's loader.
func (s *Session) afterRAM(ctx context.Context, wiped bool) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	if err := s.raise(ctx); err != nil {
		return err
	}
	if !wiped {
		if err := s.Chip.WipeRAM(ctx); err != nil {
			return err
		}
	}
	return s.Chip.SetFlashSize(ctx, s.ID.FlashSize)
}
