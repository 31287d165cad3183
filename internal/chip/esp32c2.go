package chip

// ESP32C2 is the table of the ESP32-C2: registers of its fuse controller and ESP-IDF's
// components/efuse/esp32c2/esp_efuse_table.csv (Apache-2.0). It has one key block,
// which says by no purpose what it holds: a key of 256 bits in all of it, or one of 128
// in its low half, and in the other the first half of the digest of the one key that it
// trusts (secure boot).
var ESP32C2 = newFamily(Family{
	Name: "esp32c2", Title: "ESP32-C2", ImageID: 12, Bootloader: 0x0, Crystals: []int{26, 40}, Revisions: []Revision{200, 101, 100}, Cipher: XTS128,
	Load: []Span{{0x3fca_0000, 0x3fce_0000}, {0x4037_c000, 0x403c_0000}}, Mapped: []Span{{0x3c00_0000, 0x3c40_0000}, {0x4200_0000, 0x4240_0000}},
	Speeds: map[byte]string{0: "30m", 1: "20m", 2: "15m", 0xf: "60m"}, OwnPage: true,
	Loader: Loader{BeginWords: 5, Clkdiv: 0x6000_0014, Assumes: 40, SPI: spiAt(0x6000_2000),
		Major: []string{"WAFER_VERSION_MAJOR"}, Minor: []string{"WAFER_VERSION_MINOR"},
		Packages: map[uint32]string{0: "ESP32-C2", 1: "ESP32-C2"}},
	Efuse: Efuse{
		Blocks: []Block{
			{Name: "BLOCK0", Words: 2, Read: 0x6000_882c, Write: 0x6000_8800, WriteDisable: -1, ReadDisable: -1},
			{Name: "BLOCK1", Words: 3, Read: 0x6000_8834, Write: 0x6000_8800, WriteDisable: 5, ReadDisable: -1, Coding: ReedSolomon, Faults: []Bits{{0, 0xf}}},
			{Name: "BLOCK2", Words: 8, Read: 0x6000_8840, Write: 0x6000_8800, WriteDisable: 6, ReadDisable: -1, Coding: ReedSolomon, Faults: []Bits{{0, 0xf0}}},
			{Name: "BLOCK_KEY0", Words: 8, Read: 0x6000_8860, Write: 0x6000_8800, WriteDisable: 7, ReadDisable: 0, ReadHalves: true, Holds: Digest, Coding: ReedSolomon, Faults: []Bits{{0, 0xf00}}},
		},
		Fields: []Field{
			{"WR_DIS", 0, 0, 0, 8, -1, -1, "write-disable mask"},
			{"RD_DIS", 0, 1, 0, 2, 0, -1, "read-disable mask"},
			{"WDT_DELAY_SEL", 0, 1, 2, 2, 1, -1, ""},
			{"DIS_PAD_JTAG", 0, 1, 4, 1, 1, -1, "no JTAG at the pins"},
			{"DIS_DOWNLOAD_ICACHE", 0, 1, 5, 1, 1, -1, "the loader cannot use the instruction cache"},
			{"DIS_DOWNLOAD_MANUAL_ENCRYPT", 0, 1, 6, 1, 2, -1, "the loader cannot encrypt"},
			{"SPI_BOOT_CRYPT_CNT", 0, 1, 7, 3, 2, -1, "flash encryption is on while an odd number of its bits is set"},
			{"XTS_KEY_LENGTH_256", 0, 1, 10, 1, 2, -1, "the key for flash encryption has 256 bits, not 128"},
			{"UART_PRINT_CONTROL", 0, 1, 11, 2, 3, -1, "what the ROM prints"},
			{"FORCE_SEND_RESUME", 0, 1, 13, 1, 3, -1, ""},
			{"DIS_DOWNLOAD_MODE", 0, 1, 14, 1, 3, -1, "ends serial download for ever"},
			{"DIS_DIRECT_BOOT", 0, 1, 15, 1, 3, -1, "no start from flash without a bootloader"},
			{"ENABLE_SECURITY_DOWNLOAD", 0, 1, 16, 1, 3, -1, "the serial loader reads and writes no registers and no memory any more"},
			{"FLASH_TPUW", 0, 1, 17, 4, 3, -1, ""},
			{"SECURE_BOOT_EN", 0, 1, 21, 1, 2, -1, "secure boot on"},
			{"SECURE_VERSION", 0, 1, 22, 4, 4, -1, "anti-rollback version"},
			{"CUSTOM_MAC_USED", 0, 1, 26, 1, 4, -1, ""},
			{"DISABLE_WAFER_VERSION_MAJOR", 0, 1, 27, 1, 4, -1, ""},
			{"DISABLE_BLK_VERSION_MAJOR", 0, 1, 28, 1, 4, -1, ""},
			{"CUSTOM_MAC", 1, 0, 0, 48, 5, -1, "custom MAC address"},
			{"MAC", 2, 0, 0, 48, 6, -1, "factory MAC address"},
			{"WAFER_VERSION_MINOR", 2, 1, 16, 4, 6, -1, ""},
			{"WAFER_VERSION_MAJOR", 2, 1, 20, 2, 6, -1, "major revision"},
			{"PKG_VERSION", 2, 1, 22, 3, 6, -1, "package"},
			{"BLK_VERSION_MINOR", 2, 1, 25, 3, 6, -1, ""},
			{"BLK_VERSION_MAJOR", 2, 1, 28, 2, 6, -1, ""},
			{"FLASH_VENDOR", 2, 7, 24, 3, 6, -1, ""},
			{"FLASH_TEMP", 2, 7, 27, 2, 6, -1, ""},
			{"FLASH_CAP", 2, 7, 29, 3, 6, -1, ""},
			{"BLOCK_KEY0", 3, 0, 0, 256, 7, -1, "the key"},
			{"BLOCK_KEY0_LOW_128", 3, 0, 0, 128, 7, 0, "half of the key for flash encryption, or all of it"},
			{"BLOCK_KEY0_HI_128", 3, 4, 0, 128, 7, 1, "the other half, or the digest of secure boot"},
		},
		Conf: 0x6000_888c, Cmd: 0x6000_8894, Check: 0x6000_8820, Named: true,
		Timing: map[int][]RegWrite{26: burnC2(130), 40: burnC2(200)},
		Status: []uint32{0x6000_8884},
	},
	Seal: Seal{
		Keys: map[Purpose]KeyUse{
			FlashEncryption:    {Blocks: []string{"BLOCK_KEY0"}, Reversed: true, Hidden: true, Bytes: 32, With: []Value{{"XTS_KEY_LENGTH_256", 1}}},
			FlashEncryption128: {Blocks: []string{"BLOCK_KEY0"}, Reversed: true, Hidden: true, Hides: 1, Bytes: 16, Of: FlashEncryption, PartOf: 16, With: []Value{{"XTS_KEY_LENGTH_256", 0}}},
			SecureBootDigest:   {Blocks: []string{"BLOCK_KEY0"}, Hides: 2, Word: 4, Bytes: 16, PartOf: 32},
		},
		FlashKeys: map[int][]Purpose{UsualKeyBits: {FlashEncryption}, 128: {FlashEncryption128}},
		Count:     "SPI_BOOT_CRYPT_CNT", CountFull: 7,
		Release: []Value{
			{"DIS_DOWNLOAD_MANUAL_ENCRYPT", 1}, {"DIS_DOWNLOAD_ICACHE", 1}, {"DIS_PAD_JTAG", 1}, {"DIS_DIRECT_BOOT", 1}, {"SPI_BOOT_CRYPT_CNT", 7},
		},
		Development: []Value{{"DIS_DOWNLOAD_ICACHE", 1}, {"DIS_PAD_JTAG", 1}, {"DIS_DIRECT_BOOT", 1}, {"SPI_BOOT_CRYPT_CNT", 1}},
		Burnable: map[string]string{
			"DIS_DOWNLOAD_MANUAL_ENCRYPT": "config", "DIS_DOWNLOAD_ICACHE": "config", "DIS_PAD_JTAG": "config", "DIS_DIRECT_BOOT": "config",
			"SPI_BOOT_CRYPT_CNT": "count", "SECURE_BOOT_EN": "boot-on", "ENABLE_SECURITY_DOWNLOAD": "uart", "DIS_DOWNLOAD_MODE": "uart",
		},
		LockBits: map[int]string{0: "freeze", 7: "key-protect"},
		Late:     []string{"WR_DIS", "RD_DIS", "SPI_BOOT_CRYPT_CNT", "SECURE_BOOT_EN", "ENABLE_SECURITY_DOWNLOAD", "DIS_DOWNLOAD_MODE"},
		Never: map[string]string{
			"MAC":                "the MAC address is the factory's",
			"XTS_KEY_LENGTH_256": "the length of the key says it",
		},
		Open: []Reason{
			{"DIS_DOWNLOAD_MANUAL_ENCRYPT", "the serial loader can use the device's key"}, {"DIS_DOWNLOAD_ICACHE", "the serial loader can use the device's key"},
			{"DIS_PAD_JTAG", "a debugger can stop the chip and read its memory"}, {"DIS_DIRECT_BOOT", "the chip can start code from flash without its bootloader"},
		},
		OpenInDevelopment: []string{"DIS_DOWNLOAD_MANUAL_ENCRYPT"},
		Loader:            []string{"DIS_DOWNLOAD_MANUAL_ENCRYPT", "DIS_DOWNLOAD_ICACHE"},
		Untouched: []string{"RD_DIS", "SPI_BOOT_CRYPT_CNT", "XTS_KEY_LENGTH_256", "SECURE_BOOT_EN", "ENABLE_SECURITY_DOWNLOAD", "DIS_DOWNLOAD_MODE",
			"DIS_DOWNLOAD_MANUAL_ENCRYPT", "DIS_DOWNLOAD_ICACHE", "DIS_PAD_JTAG", "DIS_DIRECT_BOOT"},
		SecureBoot: map[int]SecureBoot{
			2: {Keys: []SigningKey{P256}, Purpose: SecureBootDigest, On: "SECURE_BOOT_EN",
				Always:  []Value{{"WR_DIS", 1 << 0}},               // nothing more can be hidden: the digest stays readable
				Release: []Value{{"ENABLE_SECURITY_DOWNLOAD", 1}}}, // ESP-IDF's check of release devices
		},
		NeedsDigest: map[string]string{"SECURE_BOOT_EN": "BLOCK_KEY0"},
		Harmless:    1<<5 | 1<<6,
		Lock:        -1,
	},
})

// burnC2 is the timing with that many cycles between the bits.
func burnC2(between uint32) []RegWrite {
	return append(usualBurn(0x6000_8908, 0x6000_8914, 0x6000_8918), RegWrite{Addr: 0x6000_8910, Value: between << 8, Mask: 0xff00})
}
