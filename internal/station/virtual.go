package station

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"station/internal/chip"
	"station/internal/esploader"
	"station/internal/flow"
	"station/internal/sim"
)

// Virtual is a fixture full of virtual chips: each slot gets a new one as soon
// as the last one is done.
type Virtual struct {
	Slots int
	Count int // chips in all; 0 is one a slot
	Pace  bool
	Model sim.Options // what all chips have in common
	// Chip, where set, changes the n-th chip (from 0) before it is made.
	Chip func(n int, o *sim.Options)
	// Swap is how long a person takes to change a device; 0 is no time.
	Swap time.Duration

	mu   sync.Mutex
	made int
}

// FlowSlots are the slots of the fixture, named "1", "2" and so on.
func (v *Virtual) FlowSlots() []flow.Slot {
	var slots []flow.Slot
	for i := range max(v.Slots, 1) {
		slots = append(slots, flow.Slot{Name: fmt.Sprint(i + 1), Port: fmt.Sprintf("sim://%d", i+1), Next: v.next()})
	}
	return slots
}

// next plugs one new chip after the other into a slot.
func (v *Virtual) next() func(ctx context.Context, removed func()) (flow.Loader, error) {
	used := false
	return func(ctx context.Context, removed func()) (flow.Loader, error) {
		n, ok := v.take()
		if !ok {
			return nil, io.EOF
		}
		if used && v.Swap > 0 && !v.swap(ctx, removed) {
			return nil, io.EOF
		}
		used = true
		return v.plug(n)
	}
}

// swap is a person who looks at the verdict, takes the device out and puts the
// next one in.
func (v *Virtual) swap(ctx context.Context, removed func()) bool {
	for _, then := range []func(){removed, func() {}} {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(v.Swap):
			then()
		}
	}
	return true
}

func (v *Virtual) plug(n int) (flow.Loader, error) {
	o := v.Model
	o.MAC, o.Pace = VirtualMAC(n), v.Pace
	if v.Chip != nil {
		v.Chip(n, &o)
	}
	chip, err := sim.New(o)
	if err != nil {
		return nil, fmt.Errorf("virtual chip %d: %w", n, err)
	}
	wire, err := chip.Open()
	if err != nil {
		return nil, err
	}
	return &virtualLoader{esploader.New(wire, esploader.Options{}), chip}, nil
}

func (v *Virtual) take() (int, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.made >= cmp.Or(v.Count, max(v.Slots, 1)) {
		return 0, false
	}
	v.made++
	return v.made - 1, true
}

// VirtualMAC is the MAC of the n-th virtual chip: locally administered, so
// that no real chip has it.
func VirtualMAC(n int) chip.MAC {
	return chip.MAC{0x02, 0x00, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}

// virtualLoader throws its chip away when the device is done.
type virtualLoader struct {
	*esploader.Loader
	chip *sim.Chip
}

func (l *virtualLoader) Close() error {
	err := l.Loader.Close()
	if chipErr := l.chip.Close(); err == nil {
		err = chipErr
	}
	return err
}

// Instructive makes some chips of a demonstration fail, each in a way that an
// operator will meet.
func Instructive(n int, o *sim.Options) {
	f := chip.Known(o.Chip)
	switch n % 11 {
	case 2: // started before the supply was steady: put it back
		o.Faults = []sim.Fault{{Kind: sim.Brownout}}
	case 4: // somebody else's device: for an engineer
		words := sim.FactoryWords(*o)
		use := f.Seal.Keys[chip.FlashEncryption]
		block := f.Efuse.Blocks[f.Efuse.Block(use.Blocks[0])]
		sim.SetFieldOf(f, &words, "RD_DIS", 1<<block.ReadDisable)
		sim.SetFieldOf(f, &words, "WR_DIS", 1<<block.WriteDisable)
		if block.Purpose != "" {
			sim.SetFieldOf(f, &words, block.Purpose, use.Value)
		}
		o.Words = &words
	case 7: // a bad contact
		o.Faults = []sim.Fault{{Kind: sim.Vanish, Op: 0x03, At: 40}}
	case 9: // a fuse that does not burn: scrap
		o.Faults = []sim.Fault{{Kind: sim.DeadFuse, Field: f.Seal.Count, Bit: 2}}
	}
}
