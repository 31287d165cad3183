// Package efuse says what the ESP32's fuses mean: fields, coding schemes and
// protections. Planning is pure; only Burn touches a chip, and only package
// flow calls it.
package efuse

// Field is one named group of fuse bits. The table is ESP-IDF's
// components/efuse/esp32/esp_efuse_table.csv (Apache-2.0), with the register
// names of the ESP32 Technical Reference Manual.
type Field struct {
	Name         string
	Block        int // 0 to 3
	Word         int // 32-bit word of the block as read
	Bit          int // lowest bit in the word
	Width        int // bits; a field may run into the next word
	WriteDisable int // bit of WR_DIS that freezes it, -1 for none
	ReadDisable  int // bit of RD_DIS that hides it, -1 for none
	About        string
}

// Fields are all fields of BLOCK0 and the documented ones of BLOCK1-3.
var Fields = []Field{
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
}

var byName = func() map[string]Field {
	m := make(map[string]Field, len(Fields))
	for _, f := range Fields {
		m[f.Name] = f
	}
	return m
}()

// value cuts a field of at most 64 bits out of its block.
func (f Field) value(words []uint32) uint64 {
	var v uint64
	for i := range f.Width {
		bit := f.Bit + i
		v |= uint64(words[f.Word+bit/32]>>(bit%32)&1) << i
	}
	return v
}

// frozen reports whether the mask WR_DIS, the low half of BLOCK0's first word,
// freezes the field.
func frozen(word0 uint32, f Field) bool {
	return f.Name != "" && f.WriteDisable >= 0 && word0>>f.WriteDisable&1 == 1
}
