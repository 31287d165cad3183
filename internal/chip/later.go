package chip

import (
	"fmt"
	"slices"
)

// laterChip is what differs between the families after the ESP32. They share
// the shape of their fuses: a BLOCK0 that is stored four times over and may be
// burned bit by bit, and ten blocks with check words that are programmed once.
type laterChip struct {
	name, title string
	imageID     uint16
	bootloader  uint32
	crystals    []int
	proved      bool
	revisions   []Revision

	load, mapped []Span // memories
	speeds       map[byte]string
	ownPage      bool

	magic       uint32 // of a ROM that does not tell its ID
	clkdiv, spi uint32 // registers: the UART's divider, the first of SPI1
	packages    map[uint32]string
	usb         OwnUSB

	base, cmd uint32
	errors    uint32 // the first of two registers that tell of coding faults
	// burns is what the controller is told before it programs, by crystal in MHz;
	// without the chip's, nothing is burned.
	burns     map[int][]RegWrite
	xts256    bool // two key blocks may hold one key of 512 bits
	xtsInKey5 bool // the last key block may hold a key for flash encryption
	hmac      bool
	signs     []SigningKey // for secure boot
	faults    [][]Bits     // of BLOCK1 to BLOCK10
	fields    []Field
}

// The key purposes of the fuses KEY_PURPOSE_n.
const (
	purposeXTS256  = 2 // the first half of its key; 3 is the second
	purposeXTS128  = 4
	purposeHMACUp  = 8
	purposeDigest0 = 9
)

const (
	keyBlocks = 6
	firstKey  = 4 // index of BLOCK_KEY0
)

// later makes the family of a laterChip.
func later(c laterChip) Family {
	f := Family{Name: c.name, Title: c.title, ImageID: c.imageID, Proved: c.proved, Bootloader: c.bootloader, Crystals: c.crystals, Revisions: c.revisions, Load: c.load, Mapped: c.mapped, Speeds: c.speeds, OwnPage: c.ownPage, Cipher: XTS128}
	f.Loader = Loader{Magic: c.magic, BeginWords: 5, Clkdiv: c.clkdiv, Packages: c.packages, USB: c.usb,
		SPI:   spiAt(c.spi),
		Major: c.has("WAFER_VERSION_MAJOR", "WAFER_VERSION_MAJOR_LO", "WAFER_VERSION_MAJOR_HI"),
		Minor: c.has("WAFER_VERSION_MINOR", "WAFER_VERSION_MINOR_LO", "WAFER_VERSION_MINOR_HI")}
	f.Efuse = Efuse{Blocks: c.blocks(), Fields: c.fields, Conf: c.base + 0x1cc, Cmd: c.cmd, Check: c.base + 0x20, Named: true,
		Timing: c.burns, Status: []uint32{c.errors, c.errors + 4}}
	f.Seal = c.seal()
	return f
}

// usualSpeeds are the codes of most chips, newerSpeeds those of chips without 26m.
var (
	usualSpeeds = map[byte]string{0: "40m", 1: "26m", 2: "20m", 0xf: "80m"}
	newerSpeeds = map[byte]string{0: "40m", 2: "20m", 0xf: "80m"}
)

// spiAt is the controller of all of them, by its first register.
func spiAt(base uint32) SPI {
	return SPI{Cmd: base, User: base + 0x18, User2: base + 0x20, MISOLen: base + 0x28, W0: base + 0x58}
}

// usualBurn is the timing of most of them, by the registers DAC_CONF, WR_TIM_CONF1
// and WR_TIM_CONF2 (ESP-IDF efuse_hal.c of each chip).
func usualBurn(dac, timing1, timing2 uint32) []RegWrite {
	return []RegWrite{
		{Addr: dac, Value: 0xff<<9 | 0x28, Mask: 0x1feff},   // DAC_NUM, DAC_CLK_DIV
		{Addr: timing1, Value: 0x3000 << 8, Mask: 0xffff00}, // PWR_ON_NUM
		{Addr: timing2, Value: 0x190, Mask: 0xffff},         // PWR_OFF_NUM
	}
}

// blocks are eleven: two of the maker, one of the user, six of keys, one more of
// the maker.
func (c laterChip) blocks() []Block {
	list := []Block{
		{Name: "BLOCK0", Words: 6, WriteDisable: -1, ReadDisable: -1},
		{Name: "MAC_SPI_8M_0", Words: 6, WriteDisable: 20, ReadDisable: -1, Coding: ReedSolomon},
		{Name: "BLOCK_SYS_DATA", Words: 8, WriteDisable: 21, ReadDisable: -1, Coding: ReedSolomon},
		{Name: "BLOCK_USR_DATA", Words: 8, WriteDisable: 22, ReadDisable: -1, Coding: ReedSolomon},
	}
	for i := range keyBlocks {
		list = append(list, Block{Name: fmt.Sprint("BLOCK_KEY", i), Words: 8, WriteDisable: 23 + i, ReadDisable: i, Holds: Digest,
			Coding: ReedSolomon, Purpose: fmt.Sprint("KEY_PURPOSE_", i)})
	}
	list = append(list, Block{Name: "BLOCK_SYS_DATA2", Words: 8, WriteDisable: 29, ReadDisable: 6, Coding: ReedSolomon})
	at := c.base + 0x2c
	for i := range list {
		list[i].Read, list[i].Write = at, c.base
		at += 4 * uint32(list[i].Words)
		if i > 0 {
			list[i].Faults = c.faults[i-1]
		}
	}
	return list
}

// has keeps of some fields those that the family has.
func (c laterChip) has(fields ...string) (out []string) {
	for _, name := range fields {
		if slices.ContainsFunc(c.fields, func(f Field) bool { return f.Name == name }) {
			out = append(out, name)
		}
	}
	return out
}

// all is the value of a field with all of its bits set.
func (c laterChip) all(field string) uint32 {
	i := slices.IndexFunc(c.fields, func(f Field) bool { return f.Name == field })
	return 1<<c.fields[i].Width - 1
}

// seal is how the family's devices are closed (ESP-IDF
// flash_encryption_secure_features.c of each chip): what the loader could do
// with the key, JTAG, and starting without a bootloader.
func (c laterChip) seal() Seal {
	loader := c.has("DIS_DOWNLOAD_MANUAL_ENCRYPT", "DIS_DOWNLOAD_ICACHE", "DIS_DOWNLOAD_DCACHE", "SPI_DOWNLOAD_MSPI_DIS")
	jtag := c.has("DIS_PAD_JTAG", "HARD_DIS_JTAG", "DIS_USB_JTAG", "SOFT_DIS_JTAG")
	boot := c.has("DIS_DIRECT_BOOT", "DIS_LEGACY_SPI_BOOT")
	revokes := []string{"SECURE_BOOT_KEY_REVOKE0", "SECURE_BOOT_KEY_REVOKE1", "SECURE_BOOT_KEY_REVOKE2"}
	s := Seal{
		Keys:      c.keys(),
		FlashKeys: map[int][]Purpose{UsualKeyBits: {FlashEncryption}},
		Count:     "SPI_BOOT_CRYPT_CNT", CountFull: 7,
		Burnable: map[string]string{"SPI_BOOT_CRYPT_CNT": "count", "SECURE_BOOT_EN": "boot-on", "ENABLE_SECURITY_DOWNLOAD": "uart", "DIS_DOWNLOAD_MODE": "uart"},
		LockBits: map[int]string{0: "freeze", 1: "", 2: "config", 14: ""},
		Late:     []string{"WR_DIS", "RD_DIS", "SPI_BOOT_CRYPT_CNT", "SECURE_BOOT_EN", "ENABLE_SECURITY_DOWNLOAD", "DIS_DOWNLOAD_MODE"},
		Never: map[string]string{
			"DIS_ICACHE":    "it would stop the chip from running at all",
			"MAC":           "the MAC address is the factory's",
			"VDD_SPI_XPD":   "a wrong flash voltage destroys the flash",
			"VDD_SPI_TIEH":  "a wrong flash voltage destroys the flash",
			"VDD_SPI_FORCE": "a wrong flash voltage destroys the flash",
		},
		OpenInDevelopment: []string{"DIS_DOWNLOAD_MANUAL_ENCRYPT"},
		SecureBoot: map[int]SecureBoot{
			2: {Keys: c.signs, Purpose: SecureBootDigest0, More: []Purpose{SecureBootDigest1, SecureBootDigest2}, Revoke: revokes, On: "SECURE_BOOT_EN",
				Always:  []Value{{"WR_DIS", 1 << 0}},               // nothing more can be hidden: the digests stay readable
				Release: []Value{{"ENABLE_SECURITY_DOWNLOAD", 1}}}, // ESP-IDF's check of release devices
		},
		Loader: loader,
		Lock:   2, LockAbout: "DIS_ICACHE stays writable, and burning it destroys the device",
	}
	for _, r := range []Reason{
		{"DIS_ICACHE", "the chip does not run from flash"},
		{"DIS_DCACHE", "the chip does not read from flash"},
		{"SECURE_BOOT_AGGRESSIVE_REVOKE", "one bad image takes back the trust in its key for good"},
		{"FORCE_USE_KEY_MANAGER_KEY", "the flash is read with another key than that in the fuses"},
	} {
		if len(c.has(r.Field)) > 0 {
			s.Foreign = append(s.Foreign, r)
		}
	}
	if c.xts256 {
		s.FlashKeys[512] = []Purpose{FlashEncryption1, FlashEncryption2}
	}
	long := c.has("SECURE_BOOT_SHA384_EN") // with it, the ROM hashes images with SHA-384, as P-384 wants it
	for _, name := range slices.Concat(revokes, long) {
		s.Burnable[name] = "config"
	}
	for _, name := range long {
		boot := s.SecureBoot[2]
		boot.With = map[SigningKey][]Value{P384: {{name, 1}}}
		s.SecureBoot[2] = boot
	}
	for _, name := range slices.Concat(loader, jtag, boot) {
		s.Burnable[name] = "config"
		v := Value{name, 1}
		if name == "SOFT_DIS_JTAG" {
			v.Value = c.all(name) // an odd number of bits
		}
		s.Release = append(s.Release, v)
		if name != "DIS_DOWNLOAD_MANUAL_ENCRYPT" {
			s.Development = append(s.Development, v)
		}
	}
	s.Release = append(s.Release, Value{"WR_DIS", 1 << 2}, Value{s.Count, 7})
	s.Development = append(s.Development, Value{"WR_DIS", 1 << 2}, Value{s.Count, 1})
	for _, name := range loader {
		s.Open = append(s.Open, Reason{name, "the serial loader can use the device's key"})
	}
	for _, name := range jtag {
		s.Open = append(s.Open, Reason{name, "a debugger can stop the chip and read its memory"})
	}
	for _, name := range boot {
		s.Open = append(s.Open, Reason{name, "the chip can start code from flash without its bootloader"})
	}
	s.Untouched = slices.Concat([]string{"RD_DIS", s.Count, "SECURE_BOOT_EN", "ENABLE_SECURITY_DOWNLOAD", "DIS_DOWNLOAD_MODE"}, revokes, long, loader, jtag, boot)
	for i := range keyBlocks {
		s.Untouched = append(s.Untouched, fmt.Sprint("KEY_PURPOSE_", i))
		s.LockBits[8+i], s.LockBits[23+i] = "key-protect", "key-protect"
	}
	for bit := 18; bit < 31; bit++ {
		if bit < 23 || bit > 28 {
			s.Harmless |= 1 << bit
		}
	}
	return s
}

// keys are what the key blocks may hold. A key for flash encryption goes into
// the first free one, never into the last where the hardware cannot use it.
func (c laterChip) keys() map[Purpose]KeyUse {
	var all []string
	for i := range keyBlocks {
		all = append(all, fmt.Sprint("BLOCK_KEY", i))
	}
	flash := all
	if !c.xtsInKey5 {
		flash = all[:keyBlocks-1]
	}
	out := map[Purpose]KeyUse{
		FlashEncryption:   {Blocks: flash, Value: purposeXTS128, Reversed: true, Hidden: true, Bytes: 32},
		SecureBootDigest0: {Blocks: all, Value: purposeDigest0, Bytes: 32},
		SecureBootDigest1: {Blocks: all, Value: purposeDigest0 + 1, Bytes: 32},
		SecureBootDigest2: {Blocks: all, Value: purposeDigest0 + 2, Bytes: 32},
	}
	if c.xts256 {
		for n, p := range []Purpose{FlashEncryption1, FlashEncryption2} {
			out[p] = KeyUse{Blocks: flash, Value: purposeXTS256 + uint32(n), Reversed: true, Hidden: true, Bytes: 32, Of: FlashEncryption, PartOf: 64, At: 32 * n}
		}
	}
	if c.hmac {
		up := KeyUse{Blocks: all, Value: purposeHMACUp, Hidden: true, Named: true, Bytes: 32}
		out[HMAC], out[HMACUpdates] = up, up
	}
	return out
}
