package sim

// What a reset through the chip's own USB port leaves behind. No trace shows it: it is
// what the makers' tools undo. The watchdog of the RTC runs on in the loader, and bites here
// after so many commands, which is the only time that a virtual chip has for itself; on some
// chips a flag sends every later reset into the loader too, until it is cleared or the power goes.

const bitesAfter = 40 // commands

type ownUSB struct {
	ticking, unlocked bool
	commands          int // since it was fed
	forced            bool
}

// entered is a reset into the loader through that port.
func (u *ownUSB) entered(c *Chip) {
	at := c.opts.Chip.Loader.USB
	*u = ownUSB{ticking: at.Watchdog != 0, forced: at.Force != 0}
}

// tick is a command of the loader.
func (u *ownUSB) tick(c *Chip) {
	if !u.ticking || c.mode != loading {
		return
	}
	if u.commands++; u.commands >= bitesAfter {
		*u = ownUSB{forced: u.forced}
		if !u.forced {
			c.straps = c.opts.BootStraps
		}
		c.start(resetRTCWDT)
	}
}

// read and write are accesses to its registers; false for any other.
func (u *ownUSB) read(c *Chip, addr uint32) (v uint32, mine bool) {
	at := c.opts.Chip.Loader.USB
	switch {
	case at.Watchdog == 0:
	case addr == at.Watchdog && u.ticking:
		return dogEnable, true
	case addr == at.Force && u.forced:
		return 1, true
	}
	return 0, false
}

func (u *ownUSB) write(c *Chip, addr, v uint32) bool {
	at := c.opts.Chip.Loader.USB
	switch {
	case at.Watchdog == 0:
		return false
	case addr == at.Protect:
		u.unlocked = v == dogKey
	case addr == at.Watchdog && u.unlocked:
		u.ticking, u.commands = v&dogEnable != 0, 0
	case addr == at.Watchdog:
	case addr == at.Force && at.Force != 0:
		u.forced = v&1 != 0
	default:
		return false
	}
	return true
}
