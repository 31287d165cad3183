package sim

import (
	"math/bits"
	"time"
)

// GPIO_STRAP bits of the ESP32.
const (
	strapGPIO0 = 1 << 4
	strapGPIO2 = 1 << 3
	strapGPIO5 = 1 << 0
	strapMTDO  = 1 << 1
)

// Reset reasons.
const (
	resetPowerOn  = 0x01
	resetSW       = 0x03
	resetSWCPU    = 0x0c
	resetBrownOut = 0x0f
	resetRTCWDT   = 0x10
)

// strapMode is the ROM's name for a strap value.
func strapMode(straps byte) string {
	switch {
	case straps&strapGPIO0 != 0:
		return "SPI_FAST_FLASH_BOOT"
	case straps&strapGPIO2 != 0:
		return "UART_BOOT(UART0)"
	}
	edges := [4]string{"FEI_FEO", "FEI_REO", "REI_FEO", "REI_REO"}
	return "DOWNLOAD_BOOT(UART0/UART1/SDIO_" + edges[straps&(strapMTDO|strapGPIO5)] + "_V2)"
}

// start is the ROM's first step out of a reset: straps, fuses, banner, mode.
func (c *Chip) start(reason int) {
	c.leaveCode()
	c.meter.Resets++
	c.app.now = false
	c.rising, c.again = time.Time{}, nil
	if reason == resetPowerOn {
		c.rounds = 0
		c.straps = c.opts.BootStraps
		if c.gpio0Low() {
			c.straps = c.opts.LoaderStraps
		}
		if c.toLoad {
			c.usb.entered(c)
		}
		c.toLoad = false // the lines are released by now
	}
	c.baud, c.divider, c.autobaud = consoleBaud, 0, false
	c.spi, c.ram, c.basic = [64]uint32{}, nil, nil
	c.spi[c.si.data().spi.user/4] = c.si.data().spi.userReset
	c.loader.reset(c.si.data().forgiving)
	c.loader.frameFaults = c.hasByteFaults()
	c.resetFuses()
	c.latchCipher()

	c.si.banner(c, reason)
	switch {
	case c.straps&c.si.data().strap != 0:
		c.mode = running
		c.si.bootFlash(c)
	case c.si.closed(c):
		c.mode = hung
		c.print("Download mode is disabled. Restart with GPIO0 high.\r\n")
	default:
		c.mode, c.autobaud = loading, true
		c.loader.secure = c.fuses.fieldOr("ENABLE_SECURITY_DOWNLOAD", 0) != 0
		c.print(c.si.waits(c))
	}
}

// goRound runs the next round of a boot that goes round: the first few at once,
// then slowly, so that a reader sees a loop and no flood.
func (c *Chip) goRound(after time.Duration, next func()) {
	c.rounds++
	pause := time.Duration(0)
	switch {
	case c.opts.Pace:
		pause = after
	case c.rounds > freeRounds:
		pause = roundPause
	}
	c.again, c.againAt = next, time.Now().Add(pause)
}

// restart goes round through a reset.
func (c *Chip) restart(reason int, after time.Duration) {
	c.goRound(after, func() { c.start(reason) })
}

// latchCipher sets up the flash decryptor for this run: on while an odd number
// of the counter's bits is set, with the key as its block holds it.
func (c *Chip) latchCipher() {
	c.crypt = nil
	if bits.OnesCount32(c.cryptCount())%2 == 1 {
		c.crypt = c.si.cipher(c)
	}
}

// cryptCount is the field that switches encryption on.
func (c *Chip) cryptCount() uint32 { return c.fuses.field(c.opts.Chip.Seal.Count) }

// countLocked reports that the counter is write-protected.
func (c *Chip) countLocked() bool {
	field := fieldNamed(c.opts.Chip, c.opts.Chip.Seal.Count)
	return c.fuses.field("WR_DIS")>>field.WriteDisable&1 != 0
}

// storedKey is the key in BLOCK1 in key-file order, read protection or not.
func (c *Chip) storedKey() [32]byte {
	scheme := c.fuses.coding()
	shown, _ := decodeBlock([8]uint32(c.fuses.words[blockStart[1]:blockStart[2]]), scheme)
	return blockKey(shown, scheme)
}
