package sim

import (
	"errors"
	"sync"
	"time"
)

// consoleBaud is the speed of the ROM's and the application's console.
const consoleBaud = 115200

var (
	// ErrUnplugged: the cable is pulled or the adapter is gone.
	ErrUnplugged = errors.New("the cable is unplugged")
	// ErrBusy: the chip's port is open already.
	ErrBusy = errors.New("the port is in use")
)

// mode is what the chip does at the moment.
type mode int

const (
	off       mode = iota
	inReset        // EN is low
	running        // the application, or a boot that goes round: hears nothing
	loading        // the ROM loader
	hung           // dead until reset
	executing      // code in RAM
	inBasic        // the ROM's command interpreter
)

// Chip is a virtual ESP32, or one of its kin, with its flash.
type Chip struct {
	mu    sync.Mutex
	opts  Options
	si    silicon
	store *store

	fuses fuses
	flash flash
	spi   [64]uint32
	ram   map[uint32]uint32 // registers and memory without a meaning of their own
	crypt flashCipher       // latched at reset; nil: encryption is off

	app    application
	mode   mode
	straps byte
	jumper bool // GPIO0 held low by hand or fixture
	dtr    bool
	rts    bool
	toLoad bool // the flag of USB-Serial-JTAG that sends a reset into the loader
	usb    ownUSB
	rising time.Time // when EN's capacitor lets the chip start; zero: it is not waiting

	core      *core        // while code in RAM runs
	memory    *internalRAM // nil: nothing was loaded into it
	codeFault error        // why code could not go on

	loader   loader
	basic    []byte
	baud     float64 // of the chip's UART, on the wire
	divider  uint32  // as set by CHANGE_BAUDRATE; 0: by autobaud
	autobaud bool
	again    func() // the next round of a boot that goes round
	againAt  time.Time
	rounds   int

	wire   wire
	port   *Port
	gone   bool // adapter or cable
	faults []*armed
	meter  Meter
}

// MAC is the address in the chip's fuses.
func (c *Chip) MAC() [6]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fuses.mac()
}

// New makes a chip and switches it on. With Options.State set, it is the chip
// of that folder.
func New(o Options) (*Chip, error) {
	state := o.State
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	si, err := siliconOf(o.Chip)
	if err != nil {
		return nil, err
	}
	c := &Chip{opts: o, si: si, fuses: fuses{about: si.data()}, meter: Meter{Commands: map[string]int{}, times: o.Times}}
	if c.fuses.words = FactoryWords(o); o.Words != nil {
		c.fuses.words = *o.Words
	}
	c.fuses.encode()
	c.flash = blankFlash(o.FlashSize, o.FlashID, o.Flash)
	if state != "" {
		if c.store, err = c.openState(state); err != nil {
			return nil, err
		}
	}
	c.opts.Flash, c.opts.Words = nil, nil
	c.jumper = o.InLoader
	c.inject(o.Faults)
	c.start(resetPowerOn)
	return c, nil
}

// Close ends the chip: the port dies, the state folder is released. What is
// burned and flashed is on disk already.
func (c *Chip) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.powerOff()
	c.vanish()
	err := c.store.close()
	c.store = nil
	return err
}

// Fuses are all fuse words as stored.
func (c *Chip) Fuses() Words {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fuses.words
}

// Flash is a copy of the raw flash.
func (c *Chip) Flash() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]byte(nil), c.flash.mem...)
}

// FlashAt is a copy of n bytes of the flash from addr on.
func (c *Chip) FlashAt(addr uint32, n int) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := make([]byte, n)
	c.readFlash(p, addr)
	return p
}

// Meter reads the counters.
func (c *Chip) Meter() Meter {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.meter.clone()
	m.HostTime += c.wire.waited(time.Now())
	return m
}

// PressReset is a hand on the EN button, with GPIO0 held low or not; GPIO0
// stays so. A chip without power stays off.
func (c *Chip) PressReset(loader bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jumper = loader
	if c.mode != off {
		c.start(resetPowerOn)
	}
}

// PowerOff cuts the supply; the wire stays plugged and is silent.
func (c *Chip) PowerOff() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.powerOff()
}

// PowerOn switches the supply on, if it is off.
func (c *Chip) PowerOn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.powerOn()
}

// Powered reports whether the chip has power: a cut-before fault, for one, takes it.
func (c *Chip) Powered() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mode != off
}

// Unplug pulls the cable: the port fails at once and for good, the chip loses its power.
func (c *Chip) Unplug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.powerOff()
	c.vanish()
}

// Vanish takes the adapter away and leaves the chip its power.
func (c *Chip) Vanish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.vanish()
}

// Replug puts the cable back, with power: the chip can be opened again.
func (c *Chip) Replug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = false
	c.powerOn()
}

func (c *Chip) powerOff() {
	c.hold()
	c.mode, c.memory, c.usb = off, nil, ownUSB{}
}

func (c *Chip) powerOn() {
	if c.mode != off {
		return
	}
	if c.mode = inReset; !c.enLow() {
		c.start(resetPowerOn)
	}
}

func (c *Chip) vanish() {
	c.gone = true
	if c.port != nil {
		c.setLines(false, false) // nothing holds them any more
		c.port.release(ErrUnplugged)
	}
	c.wire.wake()
}

// hold is the state of a chip whose EN is low: nothing runs, nothing is remembered.
func (c *Chip) hold() {
	c.leaveCode()
	c.mode = inReset
	c.app.now = false
	c.rising, c.again, c.rounds = time.Time{}, nil, 0
	c.loader.stop()
	c.wire.cutOff(time.Now())
}

func (c *Chip) enLow() bool { return c.rts && !c.dtr }

func (c *Chip) gpio0Low() bool {
	if c.opts.USBJTAG {
		return c.jumper || c.toLoad || c.usb.forced
	}
	return c.jumper || c.dtr && !c.rts
}

// setLines moves DTR and RTS at once. The two transistors pull EN down by RTS
// alone and GPIO0 by DTR alone: both together, or none, do nothing.
func (c *Chip) setLines(dtr, rts bool) {
	now := time.Now()
	c.settle(now) // with the straps as they were
	wasLow := c.enLow()
	c.dtr, c.rts = dtr, rts
	if c.opts.USBJTAG && !rts && (dtr || !wasLow) { // the end of a reset does not clear what it acts on
		c.toLoad = dtr
	}
	switch {
	case c.mode == off:
	case c.enLow():
		c.hostActs(now)
		c.hold()
	case wasLow:
		c.rising = now.Add(c.opts.Rise)
	}
	c.wire.wake()
}

// settle does what is due by now: a start after reset, the next round of a
// boot that goes round once the last was read.
func (c *Chip) settle(now time.Time) {
	if !c.rising.IsZero() && !now.Before(c.rising) {
		c.start(resetPowerOn)
	}
	if c.core != nil {
		c.core.settle(now)
	}
	if c.again != nil && len(c.wire.out) == 0 && !now.Before(c.againAt) {
		again := c.again
		c.again = nil
		again()
	}
}

// nextEvent is when settle will have something to do; zero for never.
func (c *Chip) nextEvent() time.Time {
	if !c.rising.IsZero() {
		return c.rising
	}
	if c.again != nil && len(c.wire.out) == 0 {
		return c.againAt
	}
	if c.core != nil {
		return c.core.nextLook(time.Now())
	}
	return time.Time{}
}

// CodeFault is why code that was loaded into RAM could not go on: an instruction
// that is not known, an address where nothing is. Nil: it never happened.
func (c *Chip) CodeFault() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.codeFault
}

// Field is a fuse field of BLOCK0 (or the low word of another) as the chip
// itself sees it. It panics for a name that the chip does not have.
func (c *Chip) Field(name string) uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fuses.field(name)
}
