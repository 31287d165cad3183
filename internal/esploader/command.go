package esploader

import (
	"encoding/binary"
	"time"

	"station/internal/chip"
)

// A request:
//
//	00  opcode  length u16  checksum u32  data
//
// All numbers are little endian. The checksum is that of the block in
// FLASH_DATA and 0 elsewhere.
const headerSize = 8

// command is one command of the ROM.
type command struct {
	op      byte
	name    string
	payload int // bytes of the reply before its status
	timeout func(bytes int) time.Duration
}

// gives reports that a reply to the command can have so many bytes before its status.
func (c *command) gives(n int) bool { return n == c.payload || c == cmdSecurityInfo && n == noIDSize }

// The commands in use. The time-outs are those of the established tools, on
// top of the time that the frames take on the wire.
var (
	cmdFlashBegin    = &command{0x02, "FLASH_BEGIN", 0, perMB(40 * time.Second)} // erases before it answers
	cmdFlashData     = &command{0x03, "FLASH_DATA", 0, always(3 * time.Second)}
	cmdMemBegin      = &command{0x05, "MEM_BEGIN", 0, always(3 * time.Second)}
	cmdMemEnd        = &command{0x06, "MEM_END", 0, always(500 * time.Millisecond)}
	cmdMemData       = &command{0x07, "MEM_DATA", 0, always(3 * time.Second)}
	cmdSync          = &command{0x08, "SYNC", 0, always(100 * time.Millisecond)}
	cmdWriteReg      = &command{0x09, "WRITE_REG", 0, always(3 * time.Second)}
	cmdReadReg       = &command{0x0a, "READ_REG", 0, always(3 * time.Second)}
	cmdSPISetParams  = &command{0x0b, "SPI_SET_PARAMS", 0, always(3 * time.Second)}
	cmdSPIAttach     = &command{0x0d, "SPI_ATTACH", 0, always(3 * time.Second)}
	cmdReadFlashSlow = &command{0x0e, "READ_FLASH_SLOW", 64, always(3 * time.Second)}
	cmdChangeBaud    = &command{0x0f, "CHANGE_BAUDRATE", 0, always(3 * time.Second)}
	cmdFlashMD5      = &command{0x13, "SPI_FLASH_MD5", 32, perMB(8 * time.Second)}
	cmdSecurityInfo  = &command{0x14, "GET_SECURITY_INFO", 20, always(3 * time.Second)}
)

func always(d time.Duration) func(int) time.Duration {
	return func(int) time.Duration { return d }
}

// perMB grows with the bytes erased or read, from three seconds on.
func perMB(d time.Duration) func(int) time.Duration {
	return func(bytes int) time.Duration {
		return max(3*time.Second, time.Duration(float64(d)*float64(bytes)/1e6))
	}
}

func (c *command) header(dst []byte, size int, sum byte) []byte {
	dst = append(dst, 0, c.op)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(size))
	return binary.LittleEndian.AppendUint32(dst, uint32(sum))
}

// words appends a request whose data are 32-bit words.
func (c *command) words(dst []byte, data ...uint32) []byte {
	dst = c.header(dst, 4*len(data), 0)
	for _, w := range data {
		dst = binary.LittleEndian.AppendUint32(dst, w)
	}
	return dst
}

// appendSync: the run of 55 lets the ROM measure the speed.
func appendSync(dst []byte) []byte {
	dst = append(cmdSync.header(dst, 36, 0), 0x07, 0x07, 0x12, 0x20)
	for range 32 {
		dst = append(dst, 0x55)
	}
	return dst
}

func appendReadReg(dst []byte, addr uint32) []byte { return cmdReadReg.words(dst, addr) }

func appendWriteReg(dst []byte, writes []chip.RegWrite) []byte {
	dst = cmdWriteReg.header(dst, 16*len(writes), 0)
	for _, w := range writes {
		for _, v := range [...]uint32{w.Addr, w.Value, w.Mask, uint32(w.Delay.Microseconds())} {
			dst = binary.LittleEndian.AppendUint32(dst, v)
		}
	}
	return dst
}

// appendFlashBegin has just as many words as the chip's ROM wants. The fifth asks
// the chip to encrypt, which is never wanted: what is written is verified as it is
// before any fuse is burned.
func appendFlashBegin(dst []byte, words, erase, blocks, blockSize int, addr uint32) []byte {
	all := [5]uint32{uint32(erase), uint32(blocks), uint32(blockSize), addr}
	return cmdFlashBegin.words(dst, all[:words]...)
}

// appendData is FLASH_DATA or MEM_DATA.
func appendData(dst []byte, c *command, seq int, block []byte) []byte {
	dst = c.header(dst, 16+len(block), checksum(block))
	for _, v := range [...]uint32{uint32(len(block)), uint32(seq), 0, 0} {
		dst = binary.LittleEndian.AppendUint32(dst, v)
	}
	return append(dst, block...)
}

// appendSPIAttach names the flash pins as the fuses do; 0 is the usual ones.
func appendSPIAttach(dst []byte, pins uint32) []byte { return cmdSPIAttach.words(dst, pins, 0) }

// appendSPISetParams: block, sector and page sizes are those of every part.
func appendSPISetParams(dst []byte, size uint32) []byte {
	return cmdSPISetParams.words(dst, 0, size, 0x10000, sectorSize, 0x100, 0xffff)
}

func appendReadFlashSlow(dst []byte, addr uint32, size int) []byte {
	return cmdReadFlashSlow.words(dst, addr, uint32(size))
}

func appendChangeBaud(dst []byte, baud int) []byte { return cmdChangeBaud.words(dst, uint32(baud), 0) }

func appendFlashMD5(dst []byte, addr, size uint32) []byte {
	return cmdFlashMD5.words(dst, addr, size, 0, 0)
}

func checksum(block []byte) byte {
	sum := byte(0xef)
	for _, b := range block {
		sum ^= b
	}
	return sum
}
