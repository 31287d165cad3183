package efuse

import (
	"fmt"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/record"
)

// What an entry keeps of BLOCK0 is told by the names of the fields, and not a bit is
// left out.
func TestNamed(t *testing.T) {
	was := record.Block{Name: "BLOCK0", Words: strings.Fields("00000000 00000003 008c0200 0000a200 00000333 00100000 00000004")}
	now := record.Block{Name: "BLOCK0", Words: strings.Fields("07f10088 00000003 008c0200 0000a200 00000333 f0100000 000003c4")}
	got := map[string]record.FuseChange{}
	for _, c := range Named(chip.ESP32, was, now) {
		got[c.Field] = c
	}
	for name, want := range map[string][2]string{"FLASH_CRYPT_CNT": {"0", "127"}, "FLASH_CRYPT_CONFIG": {"0", "15"}, "JTAG_DISABLE": {"0", "1"}, "WR_DIS": {"0x0", "0x88"}} {
		if c := got[name]; c.Old != want[0] || c.New != want[1] {
			t.Errorf("%s: got %+v, want %v", name, c, want)
		}
	}
	for _, image := range []record.Block{was, now} { // each bit that is set
		words := numbers(image.Words)
		for i := range words {
			for bit := range 32 {
				if words[i]>>bit&1 == 0 {
					continue
				}
				single := make([]string, len(words))
				for j := range single {
					single[j] = "00000000"
				}
				single[i] = fmt.Sprintf("%08x", uint32(1)<<bit)
				if rows := Named(chip.ESP32, record.Block{Name: "BLOCK0", Words: single}, record.Block{Name: "BLOCK0", Words: single}); len(rows) == 0 {
					t.Errorf("nothing tells of bit %d of word %d", bit, i)
				}
			}
		}
	}
	for _, b := range []record.Block{{Name: "BLOCK9", Words: now.Words}, {Name: "BLOCK0", Words: []string{"zz"}}, {Name: "BLOCK0", State: "hidden"}} {
		if rows := Named(chip.ESP32, b, b); rows != nil {
			t.Errorf("%+v: got %v", b, rows)
		}
	}
}
