package sim

import (
	"fmt"

	"station/internal/chip"
)

// esp32 is the silicon of the ESP32: its mask ROMs of 2016 and 2019.
type esp32 struct{}

var esp32About = &about{
	family: chip.ESP32, size: 31, start: blockStart[:], mac: 1,
	strap: strapGPIO0, inLoader: 0x03, inFlash: 0x13, revision: 3, cores: 2, blocks: 1,
	resets: map[int]string{
		resetPowerOn:  "POWERON_RESET",
		resetSW:       "SW_RESET",
		resetSWCPU:    "SW_CPU_RESET",
		resetBrownOut: "RTCWDT_BROWN_OUT_RESET",
		resetRTCWDT:   "RTCWDT_RTC_RESET",
	},
	spi: spiRegisters{base: spiBase, user: spiUSER, user1: spiUSER1, user2: spiUSER2, mosi: spiMOSI, miso: spiMISO, w0: spiW0},
	mapped: []span{
		{0x3ff00000, 0x40000000}, // peripherals, RTC memory, data RAM
		{0x40000000, 0x400c2000}, // ROM, instruction RAM
		{0x50000000, 0x50002000}, // RTC slow memory
		{ahbBase, ahbBase + 0x80000},
	},
	rom:    []span{{0x40000000, 0x40070000}, {0x3ff90000, 0x3ffa0000}}, // code, and the data of ROM 1
	memory: []span{{0x3ff80000, 0x40000000}, {0x40070000, 0x400c2000}, {0x50000000, 0x50002000}},
	cached: []span{{0x3f400000, 0x3f800000}, {0x400d0000, 0x40400000}},
}

// Registers of SPI1.
const (
	spiUSER  = 0x1c
	spiUSER1 = 0x20
	spiUSER2 = 0x24
	spiMOSI  = 0x28
	spiMISO  = 0x2c
	spiW0    = 0x80
)

func (esp32) data() *about { return esp32About }

func (esp32) banner(c *Chip, reason int) {
	rom := "ets Jun  8 2016 00:22:57"
	if c.opts.major() == 3 {
		rom = "ets Jul 29 2019 12:21:46"
	}
	c.print(fmt.Sprintf("%s\r\n\r\nrst:0x%x (%s),boot:0x%x (%s)\r\n", rom, reason, esp32About.resets[reason], c.straps, strapMode(c.straps)))
}

func (esp32) waits(c *Chip) string {
	if c.straps&strapGPIO2 == 0 {
		return "waiting for download\r\n"
	}
	return ""
}

func (esp32) closed(c *Chip) bool {
	return c.opts.major() == 3 && c.fuses.field("UART_DOWNLOAD_DIS") != 0
}

func (esp32) cipher(c *Chip) flashCipher {
	return newFlashCipher(c.storedKey(), c.fuses.field("FLASH_CRYPT_CONFIG"))
}

func (esp32) bootFlash(c *Chip) { c.bootFlash() }

// end leaves the loader: 0 by a reset that never comes back to the loader,
// anything else into the command interpreter.
func (esp32) end(c *Chip, stay bool, a answer) answer {
	if !stay {
		c.mode = hung
		a.trailer = "\xc0\xc0"
		return a
	}
	c.loader.stop()
	a.trailer = "flash read err, 631\r\n" + c.fallback()
	return a
}
