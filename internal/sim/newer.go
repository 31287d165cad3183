package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"

	"station/internal/chip"
)

// newer is the silicon of the chips after the ESP32. What their loader does is
// known from traces of the mask ROM of the C3 (fixtures/rom-c3).
type newer struct {
	*about
	newerROM
}

// newerROM is what differs between these chips.
type newerROM struct {
	name, built  string            // as the banner has them
	words        map[uint32]uint32 // what is known of the mask ROM
	minor        int               // of the usual revision
	strapReg     uint32
	rom          []span
	mapped       []span          // a load elsewhere kills the loader
	straps       map[byte]string // boot modes
	strap        byte
	inLoader     byte
	inFlash      byte
	controlsFrom uint32 // the fuse controller's first register
}

// c3 is the ROM of the ESP32-C3. The rest of the straps' names is not known.
var c3 = newerROM{
	name: "esp32c3-api1-20210207", built: "Feb  7 2021",
	words: map[uint32]uint32{regMagic: 0x1b31506f, regMagic + 4: 0x6f},
	minor: 3, strapReg: 0x60004038, controlsFrom: 0x60008800,
	rom:    []span{{0x3ff00000, 0x3ff20000}, {0x40000000, 0x40060000}},
	mapped: []span{{0x3c000000, 0x44000000}, {0x50000000, 0x50200000}, {0x60000000, 0x60100000}},
	straps: map[byte]string{0x2: "UART0_BOOT", 0x8: "SPI_FAST_FLASH_BOOT"}, strap: 1 << 3, inLoader: 0x2, inFlash: 0x8,
}

func newNewer(f *chip.Family, rom newerROM) newer {
	start, size := wordsOf(f)
	at, mac := f.Loader.SPI, fieldNamed(f, "MAC")
	return newer{newerROM: rom, about: &about{
		family: f, size: size, start: start, mac: start[mac.Block] + mac.Word, minor: rom.minor, revision: Rev0, cores: 1, blocks: f.Trusts(2), forgiving: true,
		strap: rom.strap, inLoader: rom.inLoader, inFlash: rom.inFlash, rom: rom.rom, memory: spansOf(f.Load), cached: spansOf(f.Mapped),
		resets: map[int]string{
			resetPowerOn:  "POWERON",
			resetSW:       "RTC_SW_SYS_RST",
			resetSWCPU:    "RTC_SW_CPU_RST",
			resetBrownOut: "BROWNOUT_RST",
			resetRTCWDT:   "RTCWDT_RTC_RST",
		},
		spi: spiRegisters{base: at.Cmd, user: at.User - at.Cmd, user1: at.User - at.Cmd + 4, user2: at.User2 - at.Cmd, mosi: at.MISOLen - at.Cmd - 4,
			miso: at.MISOLen - at.Cmd, w0: at.W0 - at.Cmd, addrLow: true, userReset: 1 << 31},
		mapped: rom.mapped,
	}}
}

func (l newer) data() *about { return l.about }

func (l newer) readWord(c *Chip, addr uint32) uint32 {
	switch {
	case inside(l.newerROM.rom, addr):
		return l.words[addr]
	case addr >= l.controlsFrom && addr < l.controlsFrom+fuseEnd-fuseBase:
		return l.readFuseReg(c, addr)
	case addr == l.strapReg && addr != 0:
		return uint32(c.straps)
	case addr == l.family.Loader.Clkdiv:
		return c.uartDivider() &^ 0xf00000
	}
	if v, mine := c.usb.read(c, addr); mine {
		return v
	}
	return c.ram[addr]
}

func (l newer) writeWord(c *Chip, addr, v uint32) {
	switch {
	case inside(l.newerROM.rom, addr):
	case addr >= l.controlsFrom && addr < l.controlsFrom+fuseEnd-fuseBase:
		l.writeFuseReg(c, addr, v)
	case addr == l.strapReg || addr == l.family.Loader.Clkdiv:
	case c.usb.write(c, addr, v):
	default:
		c.setRAM(addr, v)
	}
}

func (l newer) banner(c *Chip, reason int) {
	mode := l.newerROM.straps[c.straps]
	c.print(fmt.Sprintf("ESP-ROM:%s\r\nBuild:%s\r\nrst:0x%x (%s),boot:0x%x (%s)\r\n", l.name, l.built, reason, l.resets[reason], c.straps, mode))
}

func (newer) waits(*Chip) string { return "wait uart0 download\r\n" }

// closed: what the ROM says then is not known, so it says what the ESP32's does.
func (newer) closed(c *Chip) bool { return c.fuses.field("DIS_DOWNLOAD_MODE") != 0 }

// end leaves the loader: 0 by a reset, anything else into code that is not there.
func (newer) end(c *Chip, stay bool, a answer) answer {
	c.loader.stop()
	if stay {
		a.trailer = "user code done\r\n" + panicText("Instruction access fault")
		c.mode = hung
		return a
	}
	a.trailer = "\xc0\xc0"
	a.then = func() { c.start(resetSW) }
	return a
}

// panicText is what the ROM says of a fault, up to the numbers.
func panicText(why string) string {
	return "Guru Meditation Error: Core 0 panic'ed (" + why + ")\r\nCore 0 register dump:\r\n"
}

// keyBlocks are the blocks whose purpose is one of these, in order.
func (l newer) keyBlocks(c *Chip, purposes ...uint32) (blocks []int) {
	for _, want := range purposes {
		for i, b := range l.family.Efuse.Blocks {
			if b.Purpose != "" && c.fuses.field(b.Purpose) == want {
				blocks = append(blocks, i)
			}
		}
	}
	return blocks
}

// Purposes of key blocks.
const (
	purposeXTS256First  = 2
	purposeXTS256Second = 3
	purposeXTS128       = 4
	purposeHMACUp       = 8
	purposeDigest0      = 9
)

// cipher is XTS-AES with the key of the block that is for it: the bits that are
// burned, protected or not; all zero where there is none.
func (l newer) cipher(c *Chip) flashCipher {
	key := make([]byte, 32)
	if block := l.family.Efuse.Blocks[len(l.family.Efuse.Blocks)-1]; block.ReadHalves {
		key = c.keyOfHalves(len(l.family.Efuse.Blocks) - 1)
	} else if both := l.keyBlocks(c, purposeXTS256First, purposeXTS256Second); len(both) == 2 {
		key = append(c.xtsKey(both[0]), c.xtsKey(both[1])...)
	} else if one := l.keyBlocks(c, purposeXTS128); len(one) > 0 {
		key = c.xtsKey(one[0])
	}
	return newXTS(key)
}

// keyIn are the bytes of a block.
func (c *Chip) keyIn(block int) []byte {
	data, _, _ := c.fuses.decoded(&c.fuses.words, block)
	b := make([]byte, 32)
	for i, w := range data[:8] {
		binary.LittleEndian.PutUint32(b[4*i:], w)
	}
	return b
}

// xtsKey is a block as a key file has it: its bytes in reverse.
func (c *Chip) xtsKey(block int) []byte {
	b := c.keyIn(block)
	slices.Reverse(b)
	return b
}

// keyOfHalves is the one key block of the C2: all of it, or what the chip makes of its
// low half.
func (c *Chip) keyOfHalves(block int) []byte {
	key := c.xtsKey(block)
	if c.fuses.field("XTS_KEY_LENGTH_256") == 0 {
		made := sha256.Sum256(key[16:])
		return made[:]
	}
	return key
}

// trusted are the digests that are not revoked; of the C2 the first half of one, in the
// upper half of its key block.
func (l newer) trusted(c *Chip) (digests [][]byte) {
	if last := len(l.family.Efuse.Blocks) - 1; l.family.Efuse.Blocks[last].ReadHalves {
		return [][]byte{c.readDigest(last)[16:]}
	}
	for n := range uint32(3) {
		if c.fuses.fieldOr(fmt.Sprint("SECURE_BOOT_KEY_REVOKE", n), 1) != 0 {
			continue
		}
		for _, block := range l.keyBlocks(c, purposeDigest0+n) {
			digests = append(digests, c.readDigest(block))
		}
	}
	return digests
}

// securityInfo answers GET_SECURITY_INFO: flags, crypt count, purposes of the key blocks and
// one byte more, chip ID, version of the ROM's interface.
func (c *Chip) securityInfo() answer {
	b := c.loader.answer[:20]
	clear(b)
	var flags uint32
	for bit, name := range []string{"SECURE_BOOT_EN", "SECURE_BOOT_AGGRESSIVE_REVOKE", "ENABLE_SECURITY_DOWNLOAD",
		"SECURE_BOOT_KEY_REVOKE0", "SECURE_BOOT_KEY_REVOKE1", "SECURE_BOOT_KEY_REVOKE2", "SOFT_DIS_JTAG", "DIS_PAD_JTAG", "DIS_USB_SERIAL_JTAG",
		"DIS_DOWNLOAD_DCACHE", "DIS_DOWNLOAD_ICACHE"} {
		if c.fuses.fieldOr(name, 0) != 0 {
			flags |= 1 << bit
		}
	}
	binary.LittleEndian.PutUint32(b, flags)
	b[4] = byte(bits.OnesCount32(c.cryptCount()))
	at := 5
	for _, block := range c.opts.Chip.Efuse.Blocks {
		if block.Purpose != "" {
			b[at] = byte(c.fuses.field(block.Purpose))
			at++
		}
	}
	b[11] = 0x0c
	binary.LittleEndian.PutUint32(b[12:], uint32(c.opts.Chip.ImageID))
	binary.LittleEndian.PutUint32(b[16:], 3)
	if c.opts.Chip.Loader.Magic != 0 { // it is known by that, and does not tell its ID
		return answer{size: 12}
	}
	return answer{size: 20}
}
