package sim

import (
	"encoding/json"
	"time"
)

// Times model what a chip and its wire take. They pace a chip and give the
// meter its seconds; none of them is slept at full speed.
type Times struct {
	BitsPerByte   int           // on the wire: 8N1
	PageProgram   time.Duration // 256 bytes
	FirstByte     time.Duration // of a page programmed in part; each further byte takes its share of the page
	SectorErase   time.Duration // 4 KiB
	BlockErase    time.Duration // 64 KiB, as the ROM does where a whole block is to be erased
	BlockOverhead time.Duration // each FLASH_DATA besides wire and page programs
	RoundTrip     time.Duration // each other one: the adapter's latency timer
	MD5PerMiB     time.Duration
	FuseProgram   time.Duration // one program operation
	Watchdog      time.Duration // from a hang in boot to the next reset
}

// DefaultTimes: page and erase times are typical values of the data sheets of
// 4 MB NOR parts (W25Q32 class: 0.4-0.7 ms, first byte 30 µs, 45 ms, 150 ms). BlockOverhead is
// fitted to published ROM-loader writes (84.0 kbit/s at 115200 and 451 kbit/s
// at 921600 in blocks of 1 KiB leave 2-4 ms). RoundTrip is an FTDI latency timer
// set to its least. MD5PerMiB, FuseProgram and Watchdog are assumptions, not measurements.
var DefaultTimes = Times{
	BitsPerByte:   10,
	PageProgram:   550 * time.Microsecond,
	FirstByte:     30 * time.Microsecond,
	SectorErase:   45 * time.Millisecond,
	BlockErase:    150 * time.Millisecond,
	BlockOverhead: 3 * time.Millisecond,
	RoundTrip:     time.Millisecond,
	MD5PerMiB:     600 * time.Millisecond,
	FuseProgram:   5 * time.Millisecond,
	Watchdog:      300 * time.Millisecond,
}

// erase is what erasing n sectors from addr takes: the ROM erases by blocks
// where a whole aligned block is left to erase.
func (t Times) erase(addr uint32, n int) (d time.Duration) {
	for sector := int(addr / sectorSize); n > 0; {
		if step := blockSize / sectorSize; sector%step == 0 && n >= step {
			d += t.BlockErase
			sector, n = sector+step, n-step
			continue
		}
		d += t.SectorErase
		sector, n = sector+1, n-1
	}
	return d
}

// program is what programming n bytes of one page takes.
func (t Times) program(n int) time.Duration {
	if n >= pageSize {
		return t.PageProgram
	}
	return t.FirstByte + (t.PageProgram-t.FirstByte)*time.Duration(max(n-1, 0))/(pageSize-1)
}

// onWire is what n bytes take at a baud rate.
func (t Times) onWire(n int, baud float64) time.Duration {
	return time.Duration(float64(n*t.BitsPerByte) / baud * float64(time.Second))
}

// MarshalJSON names each constant with its unit: milliseconds.
func (t Times) MarshalJSON() ([]byte, error) {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return json.Marshal(struct {
		BitsPerByte   int     `json:"bitsPerByte"`
		PageProgram   float64 `json:"pageProgramMs"`
		FirstByte     float64 `json:"firstByteMs"`
		SectorErase   float64 `json:"sectorEraseMs"`
		BlockErase    float64 `json:"blockEraseMs"`
		BlockOverhead float64 `json:"blockOverheadMs"`
		RoundTrip     float64 `json:"roundTripMs"`
		MD5PerMiB     float64 `json:"md5PerMiBMs"`
		FuseProgram   float64 `json:"fuseProgramMs"`
	}{t.BitsPerByte, ms(t.PageProgram), ms(t.FirstByte), ms(t.SectorErase), ms(t.BlockErase),
		ms(t.BlockOverhead), ms(t.RoundTrip), ms(t.MD5PerMiB), ms(t.FuseProgram)})
}
