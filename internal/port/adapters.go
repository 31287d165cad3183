package port

import (
	"slices"
	"strings"
)

// Adapter is what is known of a kind of USB adapter.
type Adapter struct {
	Name    string
	MaxBaud int   // 0: not known
	Bad     []int // rates below it that do not work
	KeepDTR bool  // its flow control cannot be switched off: DTR stays asserted
	Chip    bool  // it is the chip's own USB-Serial-JTAG: the lines mean something else
}

// adapters by vendor and product, and by what the product is called where
// several share a number; the first that fits. Limits are those of the makers'
// data sheets, or of the Linux driver where that is lower: cp210x gives a CP2102
// no more than 921600, whatever is asked for. Rates that fail in practice:
// esptool issue 435 (CH340).
var adapters = []struct {
	vid, pid, product string
	Adapter
}{
	{"10C4", "EA60", "CP2102N", Adapter{Name: "CP2102N", MaxBaud: 3000000}},
	{"10C4", "EA60", "CP2104", Adapter{Name: "CP2104", MaxBaud: 2000000}},
	{"10C4", "EA60", "", Adapter{Name: "CP2102", MaxBaud: 921600}},
	{"10C4", "EA64", "", Adapter{Name: "CP2102C", MaxBaud: 3000000, KeepDTR: true}},
	{"10C4", "EA70", "", Adapter{Name: "CP2105", MaxBaud: 921600}}, // its standard interface; the other does 2 M
	{"10C4", "EA71", "", Adapter{Name: "CP2108", MaxBaud: 2000000}},
	{"1A86", "7523", "", Adapter{Name: "CH340", MaxBaud: 2000000, Bad: []int{921600}}},
	{"1A86", "7522", "", Adapter{Name: "CH340K", MaxBaud: 2000000, Bad: []int{921600}}},
	{"1A86", "5523", "", Adapter{Name: "CH341", MaxBaud: 2000000, Bad: []int{921600}}},
	{"1A86", "55D2", "", Adapter{Name: "CH342", MaxBaud: 3000000}},
	{"1A86", "55D3", "", Adapter{Name: "CH343", MaxBaud: 6000000}},
	{"1A86", "55D4", "", Adapter{Name: "CH9102", MaxBaud: 4000000}},
	{"1A86", "55D5", "", Adapter{Name: "CH344", MaxBaud: 6000000}},
	{"0403", "6001", "", Adapter{Name: "FT232R", MaxBaud: 3000000}},
	{"0403", "6010", "", Adapter{Name: "FT2232H", MaxBaud: 12000000}},
	{"0403", "6011", "", Adapter{Name: "FT4232H", MaxBaud: 12000000}},
	{"0403", "6014", "", Adapter{Name: "FT232H", MaxBaud: 12000000}},
	{"0403", "6015", "", Adapter{Name: "FT230X", MaxBaud: 3000000}},
	{"067B", "2303", "", Adapter{Name: "PL2303", MaxBaud: 6000000}},
	{"303A", "1001", "", Adapter{Name: "USB port of an ESP32-S3, C3 or later", Chip: true}}, // no ESP32 has one
}

// Adapter is what is known of the adapter; nothing where it is not in the table.
func (i Info) Adapter() Adapter {
	for _, a := range adapters {
		if a.vid == i.VID && a.pid == i.PID && strings.Contains(i.Product, a.product) {
			return a.Adapter
		}
	}
	return Adapter{}
}

// Works reports whether nothing speaks against a rate.
func (a Adapter) Works(baud int) bool {
	return (a.MaxBaud == 0 || baud <= a.MaxBaud) && !slices.Contains(a.Bad, baud)
}

// usualRates are the rates that a station falls back to.
var usualRates = []int{2000000, 1500000, 1000000, 921600, 460800, 230400, 115200}

// Baud is the rate to use where another is wished for: itself if it works, or
// the nearest lower usual one.
func (a Adapter) Baud(wish int) int {
	if a.Works(wish) {
		return wish
	}
	for _, baud := range usualRates {
		if baud < wish && a.Works(baud) {
			return baud
		}
	}
	return initialBaud
}
