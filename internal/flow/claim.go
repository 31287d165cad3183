package flow

import (
	"sync"

	"station/internal/chip"
	"station/internal/record"
)

// claims are the devices that are being worked on now. Two chips with one MAC
// would get one key and one record: the second visit ends before it begins.
type claims struct {
	mu   sync.Mutex
	slot map[chip.MAC]string
}

// take claims a device for a slot until its visit ends.
func (c *claims) take(mac chip.MAC, slot string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if other, taken := c.slot[mac]; taken {
		return failf(record.SameMAC, "%s is being worked on in slot %s, and answers in slot %s too", mac, other, slot)
	}
	if c.slot == nil {
		c.slot = map[chip.MAC]string{}
	}
	c.slot[mac] = slot
	return nil
}

func (c *claims) release(mac chip.MAC) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.slot, mac)
}

// claim makes sure that no other slot works on this MAC.
func (v *visit) claim() error {
	err := v.claims.take(v.s.ID.MAC, v.slot)
	v.claimed = err == nil
	return err
}

func (v *visit) release() {
	if v.claimed {
		v.claims.release(v.s.ID.MAC)
	}
}
