package efuse

import "station/internal/chip"

// Registers of the fuse controller (ESP32 Technical Reference Manual, chapter
// "eFuse Controller"; ESP-IDF soc/esp32/efuse_reg.h).
const (
	regClk       = 0x3ff5_a0f8 // SEL0 in bits 7:0, SEL1 in bits 15:8
	regConf      = 0x3ff5_a0fc
	regCmd       = 0x3ff5_a104
	regDac       = 0x3ff5_a118 // clock divider in bits 7:0
	regDecStatus = 0x3ff5_a11c // four bits a block, BLOCK1 lowest; 3/4 coding only
	regDate      = 0x3ff6_607c // APB_CTRL_DATE: bit 31 belongs to the revision

	opProgram  = 0x5a5a
	opRead     = 0x5aa5
	cmdRead    = 1
	cmdProgram = 2
)

// block is where the registers of one fuse block are.
type block struct {
	words       int
	read, write uint32 // RDATA0, WDATA0
	at          int    // index of its first word in a survey
}

var blocks = [4]block{
	{7, 0x3ff5_a000, 0x3ff5_a01c, 0},
	{8, 0x3ff5_a038, 0x3ff5_a098, 7},
	{8, 0x3ff5_a058, 0x3ff5_a0b8, 15},
	{8, 0x3ff5_a078, 0x3ff5_a0d8, 23},
}

// A survey is everything there is to know about a chip's fuses, read in one go:
// the 31 words of RDATA in the order of the blocks, DEC_STATUS, APB_CTRL_DATE.
const (
	fuseWords  = 31
	atDec      = 31
	atDate     = 32
	surveySize = 33
)

var surveyAddrs = func() []uint32 {
	addrs := make([]uint32, 0, surveySize)
	for _, b := range blocks {
		for w := range b.words {
			addrs = append(addrs, b.read+4*uint32(w))
		}
	}
	return append(addrs, regDecStatus, regDate)
}()

// timing is what the controller must be told about its clock before it
// programs. In the loader the APB clock is the crystal.
type timing struct{ sel0, sel1, dac uint32 }

var timings = map[int]timing{ // by crystal in MHz
	26: {250, 255, 52},
	40: {160, 255, 80},
}

func (t timing) writes() []chip.RegWrite {
	return []chip.RegWrite{
		{Addr: regClk, Value: t.sel1<<8 | t.sel0, Mask: 0xffff},
		{Addr: regDac, Value: t.dac, Mask: 0xff},
	}
}
