package sim

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"time"
)

// The loader's flash commands. The ROM believes in a 2 MiB flash until told
// otherwise; what it reads and writes is raw.

func (c *Chip) setParams() answer {
	l := &c.loader
	if l.body() != 24 {
		return fail(errFormat)
	}
	l.flashSize = min(l.word(1), maxFlashSize)
	return answer{keep: c.si.data().forgiving}
}

// begin checks and starts a transfer: FLASH_BEGIN and FLASH_DEFL_BEGIN alike.
func (c *Chip) begin() answer {
	l := &c.loader
	most := uint32(maxBlock)
	if c.si.data().forgiving {
		most = 2*maxBlock - 1
	}
	if words := c.opts.Chip.Loader.BeginWords; l.body() != 4*words || l.word(2) > most {
		return fail(errFormat)
	}
	size, addr := l.word(0), l.word(3)
	l.stop()
	l.write = writing{begun: true, blocks: l.word(1), block: l.word(2), addr: addr, size: size}
	l.write.crypt = c.opts.Chip.Loader.BeginWords > 4 && l.word(4) == 1
	if addr%sectorSize != 0 || uint64(addr)+uint64(size) > uint64(l.flashSize) || addr >= l.flashSize {
		return fail(errFailed) // the transfer has begun all the same
	}
	n := int((uint64(size) + sectorSize - 1) / sectorSize)
	c.eraseFlash(addr, n)
	d := c.opts.Times.erase(addr, n)
	c.meter.EraseTime += d
	c.busy(d)
	return done
}

func (c *Chip) flashBegin() answer { return c.begin() }

// block checks a *_DATA: length, sequence, checksum. The sequence moves on
// after a wrong checksum, the place to write does not.
func (c *Chip) block() (p []byte, a answer) {
	l, w := &c.loader, &c.loader.write
	n := l.word(0)
	if !w.begun && !w.open || n > w.block || n%4 != 0 || l.word(1) != w.next {
		return nil, fail(errFormat)
	}
	w.next++
	if !l.checked(n) {
		return nil, fail(errChecksum)
	}
	c.meter.FlashBlocks++
	c.busy(c.opts.Times.BlockOverhead)
	return l.data(n), answer{keep: true}
}

func (c *Chip) flashData() answer {
	l := &c.loader
	if l.inflate != nil {
		return fail(errFormat)
	}
	p, a := c.block()
	if a.failed {
		return a
	}
	c.writeOn(p)
	return a
}

// writeOn programs p where the transfer stands. Past the end of the flash that
// the ROM believes in nothing is written, and nobody says so.
func (c *Chip) writeOn(p []byte) {
	w := &c.loader.write
	room := max(0, int64(c.loader.flashSize)-int64(w.addr))
	before := c.meter.PagesProgrammed
	if w.crypt && c.fuses.fieldOr("DIS_DOWNLOAD_MANUAL_ENCRYPT", 0) == 0 {
		p = bytes.Clone(p)
		c.si.cipher(c).encrypt(p[:len(p)&^15], w.addr)
	}
	c.programFlash(p[:min(int64(len(p)), room)], w.addr)
	c.busy(time.Duration(c.meter.PagesProgrammed-before) * c.opts.Times.PageProgram)
	w.addr += uint32(len(p))
}

// flashEnd leaves the loader. What is missing only changes the status: blocks
// that were announced, in a forgiving loader sectors that were erased.
func (c *Chip) flashEnd() answer {
	w := c.loader.write
	missing := w.next < w.blocks
	if c.si.data().forgiving {
		missing = w.size > w.next*w.block
	}
	a := done
	if !w.begun || missing {
		a = fail(errFailed)
	}
	return c.leave(a)
}

func (c *Chip) leave(a answer) answer { return c.si.end(c, c.loader.word(0) != 0, a) }

// flashMD5 answers the digest in ASCII; past the end the previous answer's first 32 bytes.
func (c *Chip) flashMD5() answer {
	l := &c.loader
	addr, size := l.word(0), l.word(1)
	if uint64(addr)+uint64(size) > uint64(l.flashSize) {
		return answer{size: 32, failed: true, code: errRead}
	}
	sum := md5.New()
	var page [sectorSize]byte
	for left := size; left > 0; {
		n := min(left, sectorSize)
		c.readFlash(page[:n], addr)
		sum.Write(page[:n])
		addr, left = addr+n, left-n
	}
	c.meter.MD5Bytes += int(size)
	c.busy(md5Time(c.opts.Times, int(size)))
	digest := c.faultyMD5(sum.Sum(nil))
	hex.Encode(l.answer[:], digest)
	return answer{size: 32}
}

// readFlashSlow always answers 64 bytes, of which the wanted ones are new.
func (c *Chip) readFlashSlow() answer {
	l := &c.loader
	addr, size := l.word(0), l.word(1)
	a := answer{size: maxReadFlash}
	switch {
	case size > maxReadFlash:
		a.failed, a.code = true, errLength
	case uint64(addr)+uint64(size) > uint64(l.flashSize):
		a.failed, a.code = true, errRead
	default:
		c.readFlash(l.answer[:size], addr)
	}
	return a
}
