package chip

// ESP32 is the first family. Its table of fields is ESP-IDF's
// components/efuse/esp32/esp_efuse_table.csv (Apache-2.0), with the register
// names of the ESP32 Technical Reference Manual, chapter "eFuse Controller"
// (ESP-IDF soc/esp32/efuse_reg.h); its modes are those of ESP-IDF's
// flash_encryption_secure_features.c and the release check of flash_encrypt.c.
var ESP32 = newFamily(Family{
	Name: "esp32", Title: "ESP32", ImageID: 0, Proved: true, Bootloader: 0x1000, Crystals: []int{26, 40}, Revisions: []Revision{300, 301, 100, 200, 0}, Cipher: TweakedAES,
	Mapped: []Span{{0x3f40_0000, 0x3f80_0000}, {0x400d_0000, 0x4040_0000}}, Speeds: usualSpeeds,
	Loader: Loader{Magic: 0x00f0_1d83, Calibration: 0x3ff5_f06c, BeginWords: 4, Clkdiv: 0x3ff4_0014, InRAM: true,
		SPI: SPI{Cmd: 0x3ff4_2000, User: 0x3ff4_201c, User2: 0x3ff4_2024, MISOLen: 0x3ff4_202c, W0: 0x3ff4_2080}},
	Efuse: Efuse{
		Blocks: []Block{
			{Name: "BLOCK0", Words: 7, Read: 0x3ff5_a000, Write: 0x3ff5_a01c, WriteDisable: -1, ReadDisable: -1},
			{Name: "BLOCK1", Words: 8, Read: 0x3ff5_a038, Write: 0x3ff5_a098, WriteDisable: 7, ReadDisable: 0, Holds: Secret, Coding: ByField, Faults: []Bits{{0, 0xf}}},
			{Name: "BLOCK2", Words: 8, Read: 0x3ff5_a058, Write: 0x3ff5_a0b8, WriteDisable: 8, ReadDisable: 1, Holds: Digest, Coding: ByField, Faults: []Bits{{0, 0xf0}}},
			{Name: "BLOCK3", Words: 8, Read: 0x3ff5_a078, Write: 0x3ff5_a0d8, WriteDisable: 9, ReadDisable: 2, Coding: ByField, Faults: []Bits{{0, 0xf00}}},
		},
		Fields: []Field{
			{"WR_DIS", 0, 0, 0, 16, 1, -1, "write-disable mask"},
			{"RD_DIS", 0, 0, 16, 4, 0, -1, "read-disable mask"},
			{"FLASH_CRYPT_CNT", 0, 0, 20, 7, 2, -1, "flash encryption is on while an odd number of its bits is set"},
			{"UART_DOWNLOAD_DIS", 0, 0, 27, 1, 2, -1, "ends serial download for ever (revision 3)"},
			{"MAC", 0, 1, 0, 48, 3, -1, "factory MAC address"},
			{"MAC_CRC", 0, 2, 16, 8, 3, -1, "CRC-8 of the factory MAC address"},
			{"DISABLE_APP_CPU", 0, 3, 0, 1, 3, -1, "single core"},
			{"DISABLE_BT", 0, 3, 1, 1, 3, -1, "no Bluetooth"},
			{"CHIP_PACKAGE_4BIT", 0, 3, 2, 1, -1, -1, "package, fourth bit"},
			{"DIS_CACHE", 0, 3, 3, 1, 3, -1, "disables the flash cache: bricks the chip"},
			{"SPI_PAD_CONFIG_HD", 0, 3, 4, 5, -1, -1, "flash pin HD"},
			{"CHIP_PACKAGE", 0, 3, 9, 3, -1, -1, "package"},
			{"CHIP_CPU_FREQ_LOW", 0, 3, 12, 1, -1, -1, "rated for 160 MHz"},
			{"CHIP_CPU_FREQ_RATED", 0, 3, 13, 1, -1, -1, "CPU frequency is rated"},
			{"BLK3_PART_RESERVE", 0, 3, 14, 1, 10, 3, "BLOCK3 holds ADC calibration"},
			{"CHIP_VER_REV1", 0, 3, 15, 1, -1, -1, "revision 1 or later"},
			{"CLK8M_FREQ", 0, 4, 0, 8, 4, -1, "8 MHz clock calibration"},
			{"ADC_VREF", 0, 4, 8, 5, 4, -1, "ADC reference voltage"},
			{"XPD_SDIO_REG", 0, 4, 14, 1, 5, -1, "flash regulator on"},
			{"XPD_SDIO_TIEH", 0, 4, 15, 1, 5, -1, "flash regulator 3.3 V"},
			{"XPD_SDIO_FORCE", 0, 4, 16, 1, 5, -1, "ignore GPIO12 for the flash voltage"},
			{"SPI_PAD_CONFIG_CLK", 0, 5, 0, 5, 6, -1, "flash pin CLK"},
			{"SPI_PAD_CONFIG_Q", 0, 5, 5, 5, 6, -1, "flash pin Q"},
			{"SPI_PAD_CONFIG_D", 0, 5, 10, 5, 6, -1, "flash pin D"},
			{"SPI_PAD_CONFIG_CS0", 0, 5, 15, 5, 6, -1, "flash pin CS0"},
			{"CHIP_VER_REV2", 0, 5, 20, 1, -1, -1, "revision 2 or later"},
			{"VOL_LEVEL_HP_INV", 0, 5, 22, 2, 3, -1, "core voltage level"},
			{"WAFER_VERSION_MINOR", 0, 5, 24, 2, -1, -1, "minor revision"},
			{"FLASH_CRYPT_CONFIG", 0, 5, 28, 4, 10, 3, "which parts of the key the flash address changes; 15 is all"},
			{"CODING_SCHEME", 0, 6, 0, 2, 10, 3, "coding of BLOCK1-3"},
			{"CONSOLE_DEBUG_DISABLE", 0, 6, 2, 1, 15, -1, "no ROM BASIC"},
			{"DISABLE_SDIO_HOST", 0, 6, 3, 1, -1, -1, "no SDIO host"},
			{"ABS_DONE_0", 0, 6, 4, 1, 12, -1, "secure boot V1 on"},
			{"ABS_DONE_1", 0, 6, 5, 1, 13, -1, "secure boot V2 on (revision 3)"},
			{"JTAG_DISABLE", 0, 6, 6, 1, 14, -1, "no JTAG"},
			{"DISABLE_DL_ENCRYPT", 0, 6, 7, 1, 15, -1, "the loader cannot encrypt"},
			{"DISABLE_DL_DECRYPT", 0, 6, 8, 1, 15, -1, "the loader cannot decrypt"},
			{"DISABLE_DL_CACHE", 0, 6, 9, 1, 15, -1, "the loader cannot use the flash cache"},
			{"KEY_STATUS", 0, 6, 10, 1, 10, 3, "reserved"},
			{"BLOCK1", 1, 0, 0, 256, 7, 0, "flash encryption key"},
			{"BLOCK2", 2, 0, 0, 256, 8, 1, "secure boot key or digest"},
			{"BLOCK3", 3, 0, 0, 256, 9, 2, "user data"},
			{"CUSTOM_MAC_CRC", 3, 0, 0, 8, 9, 2, "CRC-8 of the custom MAC"},
			{"CUSTOM_MAC", 3, 0, 8, 48, 9, 2, "custom MAC address"},
			{"ADC1_TP_LOW", 3, 3, 0, 7, 9, 2, "ADC1 calibration, low point"},
			{"ADC1_TP_HIGH", 3, 3, 7, 9, 9, 2, "ADC1 calibration, high point"},
			{"ADC2_TP_LOW", 3, 3, 16, 7, 9, 2, "ADC2 calibration, low point"},
			{"ADC2_TP_HIGH", 3, 3, 23, 9, 9, 2, "ADC2 calibration, high point"},
			{"SECURE_VERSION", 3, 4, 0, 32, 9, 2, "anti-rollback version"},
			{"MAC_VERSION", 3, 5, 24, 8, 9, 2, "1 where the custom MAC is valid"},
		},
		Conf: 0x3ff5_a0fc, Cmd: 0x3ff5_a104,
		Timing: map[int][]RegWrite{ // CLK: SEL0 in bits 7:0, SEL1 in bits 15:8; DAC_CONF: divider in bits 7:0
			26: {{Addr: 0x3ff5_a0f8, Value: 255<<8 | 250, Mask: 0xffff}, {Addr: 0x3ff5_a118, Value: 52, Mask: 0xff}},
			40: {{Addr: 0x3ff5_a0f8, Value: 255<<8 | 160, Mask: 0xffff}, {Addr: 0x3ff5_a118, Value: 80, Mask: 0xff}},
		},
		Status: []uint32{0x3ff5_a11c}, // DEC_STATUS: four bits a block, BLOCK1 lowest; 3/4 coding only
		Extra:  []uint32{0x3ff6_607c}, // APB_CTRL_DATE: bit 31 belongs to the revision
	},
	Seal: Seal{
		Keys: map[Purpose]KeyUse{
			FlashEncryption: {Blocks: []string{"BLOCK1"}, Reversed: true, Hidden: true},
			SecureBootV1:    {Blocks: []string{"BLOCK2"}, Reversed: true, Hidden: true},
			SecureBootV2:    {Blocks: []string{"BLOCK2"}, Bytes: 32},
		},
		FlashKeys: map[int][]Purpose{UsualKeyBits: {FlashEncryption}},
		Count:     "FLASH_CRYPT_CNT", CountFull: 127,
		Right: []Value{{"FLASH_CRYPT_CONFIG", 15}},
		// The protections of the key are not up to a job: the bootloader stops at a
		// key without both.
		Release: []Value{
			{"FLASH_CRYPT_CONFIG", 15}, {"DISABLE_DL_ENCRYPT", 1}, {"DISABLE_DL_DECRYPT", 1}, {"DISABLE_DL_CACHE", 1},
			{"JTAG_DISABLE", 1}, {"CONSOLE_DEBUG_DISABLE", 1}, {"WR_DIS", 1 << 3}, {"FLASH_CRYPT_CNT", 127},
		},
		Development: []Value{
			{"FLASH_CRYPT_CONFIG", 15}, {"DISABLE_DL_DECRYPT", 1}, {"DISABLE_DL_CACHE", 1},
			{"JTAG_DISABLE", 1}, {"CONSOLE_DEBUG_DISABLE", 1}, {"WR_DIS", 1 << 3}, {"FLASH_CRYPT_CNT", 1},
		},
		Burnable: map[string]string{
			"FLASH_CRYPT_CONFIG": "config", "DISABLE_DL_ENCRYPT": "config", "DISABLE_DL_DECRYPT": "config", "DISABLE_DL_CACHE": "config",
			"JTAG_DISABLE": "config", "CONSOLE_DEBUG_DISABLE": "config", "DISABLE_BT": "config", "DISABLE_SDIO_HOST": "config",
			"ABS_DONE_0": "boot-on", "ABS_DONE_1": "boot-on", "FLASH_CRYPT_CNT": "count", "UART_DOWNLOAD_DIS": "uart",
		},
		LockBits: map[int]string{1: "freeze", 3: "config", 7: "key-protect", 11: ""},
		Late:     []string{"WR_DIS", "RD_DIS", "UART_DOWNLOAD_DIS", "ABS_DONE_1", "FLASH_CRYPT_CNT"},
		Never: map[string]string{
			"DIS_CACHE":       "it would stop the chip from running at all",
			"DISABLE_APP_CPU": "it would take one of the chip's two cores for ever",
			"CODING_SCHEME":   "it would change how keys are stored",
			"MAC":             "the MAC address is the factory's",
			"MAC_CRC":         "the MAC address is the factory's",
			"XPD_SDIO_REG":    "a wrong flash voltage destroys the flash",
			"XPD_SDIO_TIEH":   "a wrong flash voltage destroys the flash",
			"XPD_SDIO_FORCE":  "a wrong flash voltage destroys the flash",
		},
		Why: map[string]string{
			"RD_DIS.0":              wantsHidden,
			"WR_DIS.7":              wantsHidden,
			"RD_DIS.1":              "whoever reads the key can make digests for bootloaders of his own",
			"WR_DIS.8":              checkBoot,
			"WR_DIS.0":              "a digest that somebody hides would end the device; " + checkBoot2,
			"WR_DIS.3":              "DIS_CACHE would destroy the device; " + checkCrypt,
			"JTAG_DISABLE":          checkBoth,
			"CONSOLE_DEBUG_DISABLE": checkBoth,
			"FLASH_CRYPT_CONFIG":    checkCrypt,
			"FLASH_CRYPT_CNT":       "a release has all of its bits, so that no other one can switch encryption off",
			"FLASH_CRYPT_CNT.part":  "encryption is on while an odd number of its bits is set",
			"DISABLE_DL_ENCRYPT":    checkCrypt,
			"DISABLE_DL_DECRYPT":    checkCrypt,
			"DISABLE_DL_CACHE":      checkCrypt,
			"UART_DOWNLOAD_DIS":     checkBoot2,
		},
		Open: []Reason{
			{"DISABLE_DL_ENCRYPT", "the serial loader can encrypt and write flash with the device's key"},
			{"DISABLE_DL_DECRYPT", "the serial loader can read the flash decrypted"},
			{"DISABLE_DL_CACHE", "the serial loader can read the flash decrypted through the cache"},
			{"JTAG_DISABLE", "a debugger can stop the chip and read its memory"},
			{"CONSOLE_DEBUG_DISABLE", "the BASIC console in ROM stays reachable"},
		},
		Loader:            []string{"DISABLE_DL_ENCRYPT", "DISABLE_DL_DECRYPT", "DISABLE_DL_CACHE"},
		OpenInDevelopment: []string{"DISABLE_DL_ENCRYPT"},
		Untouched: []string{"RD_DIS", "FLASH_CRYPT_CNT", "UART_DOWNLOAD_DIS", "FLASH_CRYPT_CONFIG", "ABS_DONE_0", "ABS_DONE_1", "JTAG_DISABLE",
			"DISABLE_DL_ENCRYPT", "DISABLE_DL_DECRYPT", "DISABLE_DL_CACHE"},
		Harmless:    1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<9,
		Lock:        3,
		LockAbout:   "DIS_CACHE stays writable, and burning it destroys the device",
		Since:       map[string]Revision{"UART_DOWNLOAD_DIS": 300, "ABS_DONE_1": 300},
		Until:       map[string]Revision{"ABS_DONE_0": 300},
		NeedsDigest: map[string]string{"ABS_DONE_0": "BLOCK2", "ABS_DONE_1": "BLOCK2"},
		SecureBoot: map[int]SecureBoot{
			1: {Keys: []SigningKey{P256}, Purpose: SecureBootV1, On: "ABS_DONE_0"},
			2: {Keys: []SigningKey{RSA3072}, Purpose: SecureBootV2, On: "ABS_DONE_1",
				Always:  []Value{{"WR_DIS", 1 << 0}},        // nothing more can be hidden: the digest stays readable
				Release: []Value{{"UART_DOWNLOAD_DIS", 1}}}, // ESP-IDF's check of release devices
		},
	},
})

// Why fuses are burned: what ESP-IDF looks at.
const (
	wantsHidden = "ESP-IDF's bootloader stops at a key that can be read or written"
	checkCrypt  = "ESP-IDF's release check of flash encryption wants it"
	checkBoot   = "ESP-IDF's release check of secure boot wants it"
	checkBoot2  = "ESP-IDF's release check of secure boot 2 wants it"
	checkBoth   = "ESP-IDF's release checks of flash encryption and of secure boot want it"
)
