package sim

import (
	"fmt"
	"time"
)

// GPIO_STRAP bits.
const (
	strapGPIO0 = 1 << 4
	strapGPIO2 = 1 << 3
	strapGPIO5 = 1 << 0
	strapMTDO  = 1 << 1
)

// Reset reasons as the ROM prints them.
const (
	resetPowerOn  = 0x01
	resetSW       = 0x03
	resetSWCPU    = 0x0c
	resetBrownOut = 0x0f
	resetRTCWDT   = 0x10
)

var resetNames = map[int]string{
	resetPowerOn:  "POWERON_RESET",
	resetSW:       "SW_RESET",
	resetSWCPU:    "SW_CPU_RESET",
	resetBrownOut: "RTCWDT_BROWN_OUT_RESET",
	resetRTCWDT:   "RTCWDT_RTC_RESET",
}

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
	c.meter.Resets++
	c.app.now = false
	c.rising, c.again = time.Time{}, nil
	if reason == resetPowerOn {
		c.rounds = 0
		c.straps = c.opts.BootStraps
		if c.gpio0Low() {
			c.straps = c.opts.LoaderStraps
		}
	}
	c.baud, c.divider, c.autobaud = consoleBaud, 0, false
	c.spi, c.ram, c.basic = [64]uint32{}, nil, nil
	c.loader.reset()
	c.loader.frameFaults = c.hasByteFaults()
	c.resetFuses()
	c.latchCipher()

	c.print(c.banner() + "\r\n\r\n")
	c.print(fmt.Sprintf("rst:0x%x (%s),boot:0x%x (%s)\r\n", reason, resetNames[reason], c.straps, strapMode(c.straps)))
	switch {
	case c.straps&strapGPIO0 != 0:
		c.mode = running
		c.bootFlash()
	case c.opts.major() == 3 && c.fuses.field("UART_DOWNLOAD_DIS") != 0:
		c.mode = hung
		c.print("Download mode is disabled. Restart with GPIO0 high.\r\n")
	default:
		c.mode, c.autobaud = loading, true
		if c.straps&strapGPIO2 == 0 {
			c.print("waiting for download\r\n")
		}
	}
}

func (c *Chip) banner() string {
	if c.opts.major() == 3 {
		return "ets Jul 29 2019 12:21:46"
	}
	return "ets Jun  8 2016 00:22:57"
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
// of FLASH_CRYPT_CNT bits is set, with the key as BLOCK1 holds it.
func (c *Chip) latchCipher() {
	c.crypt = nil
	if c.cryptOn() {
		c.crypt = newFlashCipher(c.storedKey(), c.fuses.field("FLASH_CRYPT_CONFIG"))
	}
}

func (c *Chip) cryptOn() bool {
	odd := false
	for n := c.fuses.field("FLASH_CRYPT_CNT"); n != 0; n &= n - 1 {
		odd = !odd
	}
	return odd
}

// storedKey is the key in BLOCK1 in key-file order, read protection or not.
func (c *Chip) storedKey() [32]byte {
	scheme := c.fuses.coding()
	shown, _ := decodeBlock([8]uint32(c.fuses.words[blockStart[1]:blockStart[2]]), scheme)
	return blockKey(shown, scheme)
}
