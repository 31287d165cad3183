package sim

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
)

// The second-stage bootloader of ESP-IDF, as far as its console and what it
// does to flash and fuses go.

const startMillis = 29 // since reset, when the bootloader speaks first

// secondStage boots the app that table and otadata choose, or resets.
func (c *Chip) secondStage(h header, image []byte) {
	t := &console{c: c, ms: startMillis, quiet: c.opts.Quiet}
	if c.opts.Console != 0 {
		c.baud = float64(c.opts.Console)
	}
	c.announce(t, h, image)
	rows, ok := parseTable(c.plainFlash(tableAt, tableSize), h.flashSize(), func(format string, args ...any) {
		t.fail("flash_parts", format, args...)
	})
	if !ok {
		t.fail("boot", "Failed to verify partition table")
		t.fail("boot", "load partition table error!")
		c.restart(resetSW, c.opts.Times.Watchdog)
		return
	}
	t.info("boot", "Partition Table:")
	t.info("boot", "## Label            Usage          Type ST Offset   Length")
	for i, p := range rows {
		t.info("boot", "%2d %-16s %-16s %02x %02x %08x %08x", i, p.label, p.usage(), p.typ, p.sub, p.offset, p.size)
	}
	t.info("boot", "End of partition table")
	boot := &booting{chip: c, console: t, layout: layoutOf(rows), rows: rows, build: c.built(image), image: image, flashSize: h.flashSize()}
	boot.run()
}

// announce is what the bootloader says of itself, the chip and the flash.
func (c *Chip) announce(t *console, h header, image []byte) {
	version, built := bootloaderText(image)
	rev := c.revision()
	_, speed := h.clock()
	t.info("boot", "ESP-IDF %s 2nd stage bootloader", version)
	t.info("boot", "compile time %s", built)
	switch {
	case c.si.data().cores == 1:
	case c.fuses.fieldOr("DISABLE_APP_CPU", 0) != 0:
		t.info("boot", "Unicore bootloader")
	default:
		t.info("boot", "Multicore bootloader")
	}
	t.info("boot", "chip revision: v%d.%d", rev/100, rev%100)
	tag := "boot." + c.opts.Chip.Name
	t.info(tag, "SPI Speed      : %s", speed)
	t.info(tag, "SPI Mode       : %s", h.modeName())
	t.info(tag, "SPI Flash Size : %dMB", h.flashSize()>>20)
	t.info("boot", "Enabling RNG early entropy source...")
}

// booting is one run of the bootloader past its partition table.
type booting struct {
	chip      *Chip
	console   *console
	layout    layout
	rows      []partition
	build     Bootloader
	image     []byte // of the bootloader
	flashSize int    // by the bootloader's header
	initial   bool   // otadata is to be written with the slot that boots
}

// run tries the chosen app, then those below down to factory, then those above, then test.
func (b *booting) run() {
	first := b.choose()
	for index := first; index >= factoryIndex; index-- {
		if b.try(index) {
			return
		}
	}
	for index := first + 1; index < b.layout.slots; index++ {
		if b.try(index) {
			return
		}
	}
	if b.layout.test != nil {
		if image := b.load(b.layout.test); image != nil {
			b.console.warn("boot", "Falling back to test app as only bootable partition")
			b.enter(image)
			return
		}
	}
	b.console.fail("boot", "No bootable app partitions in the partition table")
	b.chip.restart(resetSW, b.chip.opts.Times.Watchdog)
}

// choose is the index of the app that otadata asks for.
func (b *booting) choose() int {
	l := b.layout
	if l.otadata == nil {
		return factoryIndex
	}
	var e [2]choice
	for i := range e {
		e[i] = choiceOf(b.chip.plainFlash(l.otadata.offset+uint32(i)*sectorSize, 32))
		if b.chip.opts.Rollback && e[i].state == statePending { // it was started once and never said that it works
			e[i].state = stateAborted
			b.markEntry(i, stateAborted)
		}
	}
	switch active := newest(e); {
	case e[0].empty() && e[1].empty() || l.slots == 0:
		if l.factory != nil {
			b.console.info("boot", "Defaulting to factory image")
			return factoryIndex
		}
		b.console.info("boot", "No factory image, trying OTA 0")
		b.initial = !e[0].valid() && !e[1].valid()
		return 0
	case active >= 0:
		if b.chip.opts.Rollback && e[active].state == stateNew {
			b.markEntry(active, statePending)
		}
		return int((e[active].seq - 1) % uint32(l.slots))
	case l.factory != nil:
		b.console.fail("boot", "ota data partition invalid, falling back to factory")
	default:
		b.console.fail("boot", "ota data partition invalid and no factory, will try all partitions")
	}
	return factoryIndex
}

// newest is the valid entry with the larger sequence number, -1 for none.
func newest(e [2]choice) int {
	switch v0, v1 := e[0].valid(), e[1].valid(); {
	case v0 && (!v1 || e[0].seq >= e[1].seq):
		return 0
	case v1:
		return 1
	}
	return -1
}

func (b *booting) load(p *partition) []byte {
	image := b.chip.loadImage(b.console, *p)
	if image != nil && !b.chip.appSigned(b.console, b.image, p.offset, imageEnd(image)) {
		image = nil
	}
	if image != nil {
		b.console.info("boot", "Loaded app from partition at offset 0x%x", p.offset)
		b.chip.app.at = p.offset
	}
	return image
}

// imageEnd is the length of a loaded image with the SHA-256 that follows it.
func imageEnd(image []byte) int {
	if header(image[:headerBytes]).hashed() {
		return len(image) + sha256.Size
	}
	return len(image)
}

// try boots an app; false where there is none that boots.
func (b *booting) try(index int) bool {
	p := b.layout.slot(index)
	if p == nil || p.size == 0 {
		return false
	}
	if image := b.load(p); image != nil {
		if b.initial && index > factoryIndex {
			b.firstEntry(uint32(index + 1))
			b.console.info("boot", "Set actual ota_seq=%d in otadata[0]", index+1)
		}
		if b.enter(image) {
			return true
		}
	}
	if index == factoryIndex {
		b.console.fail("boot", "Factory app partition is not bootable")
	} else {
		b.console.fail("boot", "OTA app partition slot %d is not bootable", index)
	}
	return false
}

// firstEntry is the entry that the bootloader makes itself.
func (b *booting) firstEntry(seq uint32) {
	e := make([]byte, 32)
	fill(e, 0xff)
	binary.LittleEndian.PutUint32(e, seq)
	binary.LittleEndian.PutUint32(e[24:], stateValid)
	binary.LittleEndian.PutUint32(e[28:], seqCRC(seq))
	b.writeEntry(0, e)
}

// markEntry changes the state of an entry and nothing else: its label is the application's.
func (b *booting) markEntry(which int, state uint32) {
	e := bytes.Clone(b.chip.plainFlash(b.layout.otadata.offset+uint32(which)*sectorSize, 32))
	binary.LittleEndian.PutUint32(e[24:], state)
	b.writeEntry(which, e)
}

// writeEntry writes one of the two entries of otadata.
func (b *booting) writeEntry(which int, e []byte) {
	at := b.layout.otadata.offset + uint32(which)*sectorSize
	if b.chip.crypt != nil {
		b.chip.crypt.encrypt(e, at)
	}
	b.chip.eraseFlash(at, 1)
	b.chip.programFlash(e, at)
}

// enter starts an app, after flash encryption has had its say. False where it refuses.
func (b *booting) enter(image []byte) bool {
	switch {
	case b.chip.secureBoot2():
		b.console.info("secure_boot_v2", "secure boot v2 is already enabled, continuing..")
	case b.chip.secureBoot1():
		b.console.info("secure_boot_v1", "bootloader secure boot is already enabled, continuing..")
	}
	if b.build != PlainBuild {
		b.console.info("boot", "Checking flash encryption...")
		switch b.checkEncryption() {
		case encryptionRefused:
			b.console.fail("boot", "Flash encryption check failed (-1).")
			return false
		case encryptionStarted:
			b.console.info("boot", "Resetting with flash encryption enabled...")
			b.chip.restart(resetSW, 0)
			return true
		}
	}
	b.console.info("boot", "Disabling RNG early entropy source...")
	b.chip.startApp(b.console, image, b.flashSize)
	return true
}

// plaintextLeft is how often plaintext may still be flashed.
func (c *Chip) plaintextLeft() int {
	if c.countLocked() {
		return 0
	}
	width := fieldNamed(c.opts.Chip, c.opts.Chip.Seal.Count).Width
	return (width - bits.OnesCount32(c.cryptCount())) / 2
}

func (c *Chip) encryptionLine() string {
	return fmt.Sprintf("flash encryption is enabled (%d plaintext flashes left)", c.plaintextLeft())
}
