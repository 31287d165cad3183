package efuse

import (
	"fmt"
	"strings"
	"testing"

	"station/internal/chip"
)

// The table of BLOCK0 in ESP-IDF's esp_efuse_table.csv: field, word, bit,
// length, bit in the block, WR_DIS bit, RD_DIS bit.
const block0Table = `
WR_DIS 0 0 16 0 1 -1
RD_DIS 0 16 4 16 0 -1
FLASH_CRYPT_CNT 0 20 7 20 2 -1
UART_DOWNLOAD_DIS 0 27 1 27 2 -1
MAC 1 0 48 32 3 -1
MAC_CRC 2 16 8 80 3 -1
DISABLE_APP_CPU 3 0 1 96 3 -1
DISABLE_BT 3 1 1 97 3 -1
CHIP_PACKAGE_4BIT 3 2 1 98 -1 -1
DIS_CACHE 3 3 1 99 3 -1
SPI_PAD_CONFIG_HD 3 4 5 100 -1 -1
CHIP_PACKAGE 3 9 3 105 -1 -1
CHIP_CPU_FREQ_LOW 3 12 1 108 -1 -1
CHIP_CPU_FREQ_RATED 3 13 1 109 -1 -1
BLK3_PART_RESERVE 3 14 1 110 10 3
CHIP_VER_REV1 3 15 1 111 -1 -1
CLK8M_FREQ 4 0 8 128 4 -1
ADC_VREF 4 8 5 136 4 -1
XPD_SDIO_REG 4 14 1 142 5 -1
XPD_SDIO_TIEH 4 15 1 143 5 -1
XPD_SDIO_FORCE 4 16 1 144 5 -1
SPI_PAD_CONFIG_CLK 5 0 5 160 6 -1
SPI_PAD_CONFIG_Q 5 5 5 165 6 -1
SPI_PAD_CONFIG_D 5 10 5 170 6 -1
SPI_PAD_CONFIG_CS0 5 15 5 175 6 -1
CHIP_VER_REV2 5 20 1 180 -1 -1
VOL_LEVEL_HP_INV 5 22 2 182 3 -1
WAFER_VERSION_MINOR 5 24 2 184 -1 -1
FLASH_CRYPT_CONFIG 5 28 4 188 10 3
CODING_SCHEME 6 0 2 192 10 3
CONSOLE_DEBUG_DISABLE 6 2 1 194 15 -1
DISABLE_SDIO_HOST 6 3 1 195 -1 -1
ABS_DONE_0 6 4 1 196 12 -1
ABS_DONE_1 6 5 1 197 13 -1
JTAG_DISABLE 6 6 1 198 14 -1
DISABLE_DL_ENCRYPT 6 7 1 199 15 -1
DISABLE_DL_DECRYPT 6 8 1 200 15 -1
DISABLE_DL_CACHE 6 9 1 201 15 -1
KEY_STATUS 6 10 1 202 10 3`

func TestFields(t *testing.T) {
	var got strings.Builder
	for _, f := range chip.ESP32.Efuse.Fields {
		if f.Block == 0 {
			fmt.Fprintf(&got, "\n%s %d %d %d %d %d %d", f.Name, f.Word, f.Bit, f.Width, 32*f.Word+f.Bit, f.WriteDisable, f.ReadDisable)
		}
	}
	if got.String() != block0Table {
		t.Errorf("got%s\nwant%s", got.String(), block0Table)
	}
	seen := map[string]bool{}
	for _, f := range chip.ESP32.Efuse.Fields {
		if seen[f.Name] {
			t.Errorf("%s is there twice", f.Name)
		}
		seen[f.Name] = true
	}
}

// Words of a custom MAC 24:0A:C4:01:02:03 as Espressif's tool burns them.
func TestBlock3(t *testing.T) {
	c := newChip(t)
	copy(c.raw[3][:], []uint32{0xc40a2438, 0x00030201, 0, 0, 0, 0x01000000})
	c.latchAll()
	have := c.image()
	for name, want := range map[string]uint64{
		"CUSTOM_MAC_CRC": 0x38, "CUSTOM_MAC": 0x030201c40a24, "MAC_VERSION": 1, "SECURE_VERSION": 0,
		"MAC": 0x94b97e5a6e58, "MAC_CRC": 0xe2, "BLOCK1": 0, "BLOCK3": 0, "NO_SUCH": 0,
	} {
		if got := have.Value(name); got != want {
			t.Errorf("%s: got %#x, want %#x", name, got, want)
		}
	}
}
