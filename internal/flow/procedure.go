package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"station/internal/chip"
	"station/internal/efuse"
	"station/internal/job"
	"station/internal/record"
)

// steps are all that a job can have, in order. Everything that can be undone
// comes first: no fuse is burned before the flash has been verified. What is
// special about a step stands in its row; nothing else goes by its name.
var steps = []Step{
	{ID: "connect", Title: "Connect", Run: connect, AtDoor: true},
	{ID: "admit", Title: "Admit", Run: admit, AtDoor: true},
	{ID: "bind", Title: "Scan serial", Run: bind, Scans: true, For: wantsSerial},
	{ID: "key", Title: "Key", Run: key},
	{ID: "flash", Title: "Write flash", Run: flash},
	{ID: "burn-key", Title: "Burn key", Burn: burnKey, LastUseOfKey: true},
	{ID: "burn-crypt", Title: "Burn encryption", Burn: burnCrypt, For: (*job.Job).Encrypts},
	{ID: "burn-boot", Title: "Burn secure boot", Burn: burnCrypt, For: plain},
	{ID: "boot", Title: "Start firmware", Run: boot},
	{ID: "lock", Title: "Lock", Burn: burnLock, For: (*job.Job).Locks},
	{ID: "last-boot", Title: "Last start", Run: lastBoot, For: (*job.Job).Locks},
	{ID: "seal", Title: "Seal", Run: seal},
}

// giveUpStep is the last one of a device that is given up for want of a block for its key.
var giveUpStep = Step{ID: "give-up", Title: "Hide the rest of a key", Burn: hideLost}

// Procedure is the list of steps for a job, in order.
func Procedure(job *job.Job) []Step {
	return slices.DeleteFunc(slices.Clone(steps), func(s Step) bool { return s.For != nil && !s.For(job) })
}

func wantsSerial(job *job.Job) bool { return job.Serial != nil }

func plain(job *job.Job) bool { return !job.Encrypts() }

// connectAndRead resets the chip into the loader, identifies it and reads its fuses.
func connectAndRead(ctx context.Context, s *Session) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	if err := s.raise(ctx); err != nil {
		return err
	}
	image, err := s.survey(ctx)
	if err != nil {
		return err
	}
	s.Fuses.Wipe()
	s.Fuses = image
	s.inLoader = true
	return nil
}

// How long a device may take to answer in its loader. A person who resets it by
// hand needs longer than a line.
const (
	answerWithin       = 15 * time.Second
	answerWithinByHand = 60 * time.Second
)

// reach waits for the loader to answer.
func (s *Session) reach(ctx context.Context) error {
	within := answerWithin
	if s.Job.Device.Reset == "manual" {
		within = answerWithinByHand
	}
	bounded, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := s.Chip.Connect(bounded)
	if err != nil && ctx.Err() == nil && bounded.Err() != nil {
		return fmt.Errorf("%w within %v: %w", chip.ErrNoAnswer, within, err)
	}
	return err
}

func connect(ctx context.Context, s *Session) error {
	if err := connectAndRead(ctx, s); err != nil {
		return err
	}
	if err := s.honest(); err != nil {
		return err
	}
	id := s.ID
	if err := s.note(record.Entry{Kind: record.DeviceSeen, Identity: &id, Fuses: efuse.Redact(s.Fuses), Message: unproved(id)}); err != nil {
		return err
	}
	if s.virtual != nil && !s.simulated() {
		return Fail("E-HSM-SOFTWARE", s.virtual)
	}
	return fits(s.Job, id, s.Fuses)
}

func burnKey(s *Session) (efuse.Plan, error) { return s.planFor().Of(job.KeyStages...), nil }

func burnCrypt(s *Session) (efuse.Plan, error) { return s.planFor().Of(job.CryptStages...), nil }

func burnLock(s *Session) (efuse.Plan, error) { return s.planFor().Of(job.LockStages...), nil }

func seal(_ context.Context, s *Session) error {
	now, _, err := s.device(s.ID.MAC)
	if err != nil {
		return Fail("E-LEDGER", err)
	}
	if err := s.conflicted(now); err != nil { // found since the device was admitted
		return err
	}
	return s.note(record.Entry{Kind: record.Sealed, Keys: s.Held.named(), Verdict: record.Pass, Fuses: efuse.Redact(s.Fuses), Boot: &s.lastBoot, Message: unproved(s.ID)})
}

// unproved marks what was done with a chip that was never held against a ROM.
func unproved(id chip.Identity) string {
	if id.Of().Proved {
		return ""
	}
	return "the " + id.Of().Title + " is tabled: it was held against known answers alone"
}

// fits checks what the chip is against what the job needs.
func fits(j *job.Job, id chip.Identity, fuses efuse.Image) error {
	switch {
	case id.Of() != j.Chip():
		return failf("E-CHIP", "the chip is an %s, the job is for the %s", id.Of().Title, j.Chip().Title)
	case !j.Target.AllowTabled && !j.Chip().Proved && !id.Simulated:
		return Fail("E-CHIP", j.TabledFault())
	case id.Coding == chip.CodingRepeat:
		return failf("E-CODING", "coding scheme 2 (repeat) leaves no room for a key")
	case id.FlashSize < uint32(j.Flash.Size):
		return failf("E-FLASH-SIZE", "the flash holds %d bytes, the job needs %d", id.FlashSize, uint32(j.Flash.Size))
	}
	if _, err := j.Plan.Diff(fuses); errors.Is(err, efuse.ErrUnfit) {
		return Fail("E-CHIP-REVISION", err)
	}
	return Fail("E-CHIP-REVISION", j.RunsOn(id.Revision))
}

// planFor is the plan of one device: its keys, each in its block.
func (s *Session) planFor() efuse.Plan {
	plan := s.Job.Plan
	places := s.places()
	for _, stage := range slices.Backward(plan) { // a key moves up, into a block that the next one has left
		if stage.Key == nil {
			continue
		}
		k := *stage.Key
		if held, ours := s.Held[s.Job.Chip().WholeOf(k.For())]; ours {
			k.Check, k.Secret = held.Check, held.Secret
		}
		k.Block, k.Compared = places[k.For()], s.settled(stage.Name)
		plan = plan.WithKey(&k)
	}
	return s.hidingLeftovers(plan, places)
}
