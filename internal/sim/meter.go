package sim

import (
	"maps"
	"time"
)

// Meter counts what a chip was asked to do. It is the proof of what a run
// costs, without a clock but for HostTime.
type Meter struct {
	BytesIn         int            `json:"bytesIn"`  // from the host
	BytesOut        int            `json:"bytesOut"` // to the host, console included
	ConsoleBytes    int            `json:"consoleBytes"`
	RoundTrips      int            `json:"roundTrips"` // times that the host waited for an answer: commands sent in one go count once
	Commands        map[string]int `json:"commands"`   // by name; "unknown" for rejected opcodes
	Resets          int            `json:"resets"`
	FlashBlocks     int            `json:"flashBlocks"` // FLASH_DATA and FLASH_DEFL_DATA written
	PagesProgrammed int            `json:"pagesProgrammed"`
	SectorsErased   int            `json:"sectorsErased"`
	MD5Bytes        int            `json:"md5Bytes"`
	FuseBurns       int            `json:"fuseBurns"` // program operations
	FuseBits        int            `json:"fuseBits"`  // bits that they set

	Code CodeMeter `json:"code"` // what was loaded into RAM and ran there

	EraseTime time.Duration `json:"-"` // modelled
	HostTime  time.Duration `json:"-"` // that the chip waited for the host, between its last answer and the next command or reset
	times     Times
}

// CodeMeter counts what code in RAM did.
type CodeMeter struct {
	Instructions uint64 `json:"instructions"` // executed
	BytesIn      int    `json:"bytesIn"`      // also in the meter's
	BytesOut     int    `json:"bytesOut"`
	Programs     int    `json:"programs"` // commands to the flash that program
	Baud         int    `json:"baud"`     // at which it was spoken to

	Time      time.Duration `json:"-"` // on the chip's clock, from the entry to the reset
	FlashTime time.Duration `json:"-"` // for which the flash was busy meanwhile
}

// seconds is the time at another rate: wire and flash work side by side, and
// what lies beside the longer of them stays what it is.
func (m CodeMeter) seconds(t Times, baud float64) time.Duration {
	if m.Time == 0 {
		return 0
	}
	longer := func(baud float64) time.Duration { return max(t.onWire(m.BytesIn, baud), m.FlashTime) }
	return longer(baud) + m.Time - longer(float64(m.Baud))
}

// Seconds is a modelled duration in its parts.
type Seconds struct {
	Baud     int     `json:"baud"`
	Wire     float64 `json:"wire"`     // bytes both ways
	Flash    float64 `json:"flash"`    // page programs and erases
	Overhead float64 `json:"overhead"` // ROM and adapter: blocks, round trips, MD5, fuses
	Code     float64 `json:"code"`     // while code in RAM ran: wire, flash and all
	Total    float64 `json:"total"`
}

// ModelBauds are the rates that Model reports.
var ModelBauds = []int{115200, 460800, 921600, 1500000, 2000000}

// Model says how long the counted work takes at each baud rate. The console
// always comes at 115200.
func (m Meter) Model() []Seconds {
	t := m.times
	var all []Seconds
	for _, baud := range ModelBauds {
		s := Seconds{Baud: baud}
		s.Wire = (t.onWire(m.BytesIn+m.BytesOut-m.ConsoleBytes-m.Code.BytesIn-m.Code.BytesOut, float64(baud)) + t.onWire(m.ConsoleBytes, consoleBaud)).Seconds()
		s.Flash = (time.Duration(m.PagesProgrammed)*t.PageProgram + m.EraseTime).Seconds()
		s.Overhead = (time.Duration(m.FlashBlocks)*t.BlockOverhead + time.Duration(m.RoundTrips-m.FlashBlocks)*t.RoundTrip +
			md5Time(t, m.MD5Bytes) + time.Duration(m.FuseBurns)*t.FuseProgram).Seconds()
		s.Code = m.Code.seconds(t, float64(baud)).Seconds()
		s.Total = s.Wire + s.Flash + s.Overhead + s.Code
		all = append(all, s)
	}
	return all
}

func md5Time(t Times, n int) time.Duration {
	return time.Duration(float64(t.MD5PerMiB) * float64(n) / (1 << 20))
}

// MeterReport is a meter with the model's answers: what `--meter` writes.
type MeterReport struct {
	Meter
	Host    float64   `json:"hostSeconds"`
	Times   Times     `json:"times"`
	Modeled []Seconds `json:"modelledSeconds"`
}

// Report is the meter, the constants and the modelled seconds, for JSON.
func (m Meter) Report() MeterReport {
	return MeterReport{Meter: m, Host: m.HostTime.Seconds(), Times: m.times, Modeled: m.Model()}
}

// Since is what was counted after an earlier reading.
func (m Meter) Since(earlier Meter) Meter {
	d := m.clone()
	for name, n := range earlier.Commands {
		if d.Commands[name] -= n; d.Commands[name] == 0 {
			delete(d.Commands, name)
		}
	}
	d.BytesIn -= earlier.BytesIn
	d.BytesOut -= earlier.BytesOut
	d.ConsoleBytes -= earlier.ConsoleBytes
	d.RoundTrips -= earlier.RoundTrips
	d.Resets -= earlier.Resets
	d.FlashBlocks -= earlier.FlashBlocks
	d.PagesProgrammed -= earlier.PagesProgrammed
	d.SectorsErased -= earlier.SectorsErased
	d.MD5Bytes -= earlier.MD5Bytes
	d.FuseBurns -= earlier.FuseBurns
	d.FuseBits -= earlier.FuseBits
	d.Code.Instructions -= earlier.Code.Instructions
	d.Code.BytesIn -= earlier.Code.BytesIn
	d.Code.BytesOut -= earlier.Code.BytesOut
	d.Code.Programs -= earlier.Code.Programs
	d.Code.Time -= earlier.Code.Time
	d.Code.FlashTime -= earlier.Code.FlashTime
	d.EraseTime -= earlier.EraseTime
	d.HostTime -= earlier.HostTime
	return d
}

func (m Meter) clone() Meter {
	m.Commands = maps.Clone(m.Commands)
	return m
}
