package sim

import (
	"encoding/binary"
	"encoding/hex"
	"slices"

	"station/internal/chip"
	"station/internal/slip"
)

// The serial loader in the mask ROM. Its habits are those of traces of the
// real ROM: one buffer for all requests, so that bytes missing from a request
// are those of an earlier one, and one for all answers, so that status bytes
// hold what an earlier answer left there.

const (
	opFlashBegin  = 0x02
	opFlashData   = 0x03
	opFlashEnd    = 0x04
	opMemBegin    = 0x05
	opMemEnd      = 0x06
	opMemData     = 0x07
	opSync        = 0x08
	opWriteReg    = 0x09
	opReadReg     = 0x0a
	opSetParams   = 0x0b
	opAttach      = 0x0d
	opReadFlash   = 0x0e
	opChangeBaud  = 0x0f
	opDeflBegin   = 0x10
	opDeflData    = 0x11
	opDeflEnd     = 0x12
	opFlashMD5    = 0x13
	opSecurity    = 0x14 // of the chips after the ESP32
	headerSize    = 8
	maxFrame      = 0x6000 // of a request that the ROM keeps
	answerBuffer  = 68     // 64 bytes of flash and a status
	statusSize    = 4
	syncAnswers   = 8
	maxReadFlash  = 64
	romFlashSize  = 2 << 20  // until SPI_SET_PARAMS
	maxFlashSize  = 16 << 20 // 24 address bits
	checksumSeed  = 0xef
	groupSize     = 16 // of a WRITE_REG
	dataHeader    = 16 // before the data of a *_DATA
	maxBlock      = 0x1000
	deflateWindow = 32 << 10
)

// Error bytes of the ROM.
const (
	errFormat   = 0x05
	errFailed   = 0x06
	errChecksum = 0x07
	errRead     = 0x09
	errLength   = 0x0a
	errInflate  = 0x0b
	errAdler    = 0x0c
)

// answer is what a command leaves: how many bytes of the buffer go before the
// status, and the status.
type answer struct {
	size    int
	failed  bool
	code    byte
	keep    bool // the code byte stays as it was
	silent  bool
	trailer string // sent after the frame
	then    func() // done after that
}

var done = answer{}

func fail(code byte) answer { return answer{failed: true, code: code} }

// secureCommands are the commands that secure download mode leaves.
var secureCommands = []byte{opFlashBegin, opFlashData, opFlashEnd, opSync, opSetParams, opAttach, opChangeBaud, opSecurity}

type command struct {
	name string
	run  func(*Chip) answer
}

var commands map[byte]command

func init() {
	commands = map[byte]command{
		opFlashBegin: {"FLASH_BEGIN", (*Chip).flashBegin},
		opFlashData:  {"FLASH_DATA", (*Chip).flashData},
		opFlashEnd:   {"FLASH_END", (*Chip).flashEnd},
		opMemBegin:   {"MEM_BEGIN", (*Chip).memBegin},
		opMemEnd:     {"MEM_END", (*Chip).memEnd},
		opMemData:    {"MEM_DATA", (*Chip).memData},
		opSync:       {"SYNC", (*Chip).sync},
		opWriteReg:   {"WRITE_REG", (*Chip).writeRegs},
		opReadReg:    {"READ_REG", (*Chip).readRegs},
		opSetParams:  {"SPI_SET_PARAMS", (*Chip).setParams},
		opAttach:     {"SPI_ATTACH", func(*Chip) answer { return done }},
		opReadFlash:  {"READ_FLASH_SLOW", (*Chip).readFlashSlow},
		opChangeBaud: {"CHANGE_BAUDRATE", (*Chip).changeBaudrate},
		opDeflBegin:  {"FLASH_DEFL_BEGIN", (*Chip).deflBegin},
		opDeflData:   {"FLASH_DEFL_DATA", (*Chip).deflData},
		opDeflEnd:    {"FLASH_DEFL_END", (*Chip).deflEnd},
		opFlashMD5:   {"SPI_FLASH_MD5", (*Chip).flashMD5},
		opSecurity:   {"GET_SECURITY_INFO", (*Chip).securityInfo},
	}
}

type loader struct {
	frames      slip.Decoder
	frameFaults bool
	offset      int // bytes of the frame in hand
	count       int // frames so far

	request [maxFrame]byte
	length  int // of the request in hand
	answer  [answerBuffer]byte
	op      byte // accepted last
	code    byte // of the last command but a *_DATA that went well
	value   uint32

	flashSize uint32
	write     writing
	mem       writing
	inflate   *inflater
	secure    bool // it answers little: ENABLE_SECURITY_DOWNLOAD
}

// writing is a transfer begun by a *_BEGIN.
type writing struct {
	begun  bool
	open   bool   // it takes blocks all the same
	block  uint32 // bytes at most in a *_DATA
	blocks uint32 // announced
	next   uint32 // sequence number expected
	addr   uint32
	size   uint32 // erased
	crypt  bool   // the chip encrypts what it writes
}

// reset is the loader after a reset of the chip. The forgiving one takes blocks
// before any BEGIN; where it puts them nobody has seen: here, nowhere.
func (l *loader) reset(forgiving bool) {
	l.stop()
	count := l.count
	*l = loader{flashSize: romFlashSize, count: count}
	l.frames.Max = maxFrame
	if forgiving {
		l.write = writing{open: true, block: maxBlock, addr: maxFlashSize}
	}
}

// stop ends an inflater that waits for more.
func (l *loader) stop() {
	if l.inflate != nil {
		l.inflate.stop()
		l.inflate = nil
	}
}

// word is the i-th word of the request's body.
func (l *loader) word(i int) uint32 {
	return binary.LittleEndian.Uint32(l.request[headerSize+4*i:])
}

// body is how many bytes of the body came.
func (l *loader) body() int { return max(0, l.length-headerSize) }

// checked reports whether the checksum field fits the n bytes after the
// sub-header of a *_DATA, and whether they came at all.
func (l *loader) checked(n uint32) bool {
	if uint32(l.body()) < dataHeader+n {
		return false
	}
	sum := byte(checksumSeed)
	for _, b := range l.data(n) {
		sum ^= b
	}
	return sum == l.request[4]
}

// data are the n bytes after the sub-header of a *_DATA.
func (l *loader) data(n uint32) []byte {
	return l.request[headerSize+dataHeader : headerSize+dataHeader+n]
}

// frame takes one request off the wire.
func (c *Chip) frame(f []byte) {
	l := &c.loader
	l.count++
	l.length = copy(l.request[:], f)
	op := l.request[1]
	cmd, known := commands[op]
	forgiving := c.si.data().forgiving
	if l.request[0] != 0 || op == opSecurity && !forgiving {
		known = false
	}
	if l.secure && !slices.Contains(secureCommands, op) {
		known = false
	}
	if !known {
		cmd.name = "unknown"
	}
	c.meter.Commands[cmd.name]++
	copies, ok := c.beforeCommand(op)
	if !ok {
		return
	}
	for range copies {
		a := fail(errFormat)
		if known {
			l.op = op
			a = cmd.run(c)
		}
		if c.mode == off || c.afterCommand(op) {
			return
		}
		if !a.silent && !c.wire.unread() { // the host waits, and not for an earlier answer
			c.meter.RoundTrips++
			if op != opFlashData && op != opDeflData {
				c.busy(c.opts.Times.RoundTrip)
			}
		}
		c.respond(op, a)
	}
	c.afterReply(op)
	c.usb.tick(c)
}

// respond sends the answer, after a SYNC eight times.
func (c *Chip) respond(op byte, a answer) {
	l := &c.loader
	if a.silent {
		return
	}
	l.answer[a.size] = 0
	if a.failed {
		l.answer[a.size] = 1
	}
	if !a.keep {
		l.code = a.code
	}
	l.answer[a.size+1] = l.code
	size := a.size + statusSize
	p := make([]byte, headerSize, headerSize+size)
	p[0], p[1] = 1, l.op
	binary.LittleEndian.PutUint16(p[2:], uint16(size))
	binary.LittleEndian.PutUint32(p[4:], l.value)
	p = append(p, l.answer[:size]...)
	if c.fire(StubReply, op) != nil {
		p = asStub(p)
	}
	out := slip.Append(nil, p)
	if l.op == opSync {
		one := out
		for range syncAnswers - 1 {
			out = append(out, one...)
		}
	}
	c.faultyReply(op, out)
	c.reply([]byte(a.trailer))
	if a.then != nil {
		a.then()
	}
	if op == opChangeBaud && !a.failed && l.word(0) != 0 {
		c.changeBaud(l.word(0))
	}
}

// asStub is a reply as the flasher stub would give it: no value, a status of
// two bytes, the digest as bytes.
func asStub(p []byte) []byte {
	body := p[headerSize : len(p)-2]
	if p[1] == opFlashMD5 {
		raw := make([]byte, 16, 18)
		hex.Decode(raw, body[:32]) // the ROM's digits
		body = append(raw, body[32:]...)
	}
	stub := append([]byte{1, p[1], byte(len(body)), 0, 0, 0, 0, 0}, body...)
	return stub
}

func (c *Chip) sync() answer {
	c.loader.value = c.loader.word(0)
	return done
}

// readRegs answers one register. An address that nothing answers kills the
// loader. So does, always, a request too short for an address: the real one
// loads from what the buffer held before, and a host had better not try. A strict
// chip refuses what only the real one could tell; the real one refuses nothing.
func (c *Chip) readRegs() answer {
	if c.opts.Strict && c.loader.body() >= 4 && c.unknown(c.loader.word(0)) {
		return fail(errFailed)
	}
	v, ok := c.readReg(c.loader.word(0))
	forgiving := c.si.data().forgiving
	if forgiving && !ok && c.loader.word(0) != 0 {
		v, ok = 0, true
	}
	if !ok || c.loader.body() < 4 && !forgiving {
		if forgiving {
			c.reply([]byte(panicText("Load access fault")))
		}
		return c.hang()
	}
	c.loader.value = v
	return done
}

// writeRegs writes every whole group of address, value, mask, delay. A shorter
// group is answered; that it writes nothing is an assumption.
func (c *Chip) writeRegs() answer {
	l := &c.loader
	for i := range l.body() / groupSize {
		if !c.writeReg(l.word(4*i), l.word(4*i+1), l.word(4*i+2)) && !c.si.data().forgiving {
			return c.hang()
		}
		c.delay(l.word(4*i + 3))
		if c.mode == off {
			break
		}
	}
	return done
}

func (c *Chip) changeBaudrate() answer {
	if c.loader.word(0) == 0 && !c.si.data().forgiving {
		return c.hang()
	}
	return answer{trailer: "\xc0\xc0"}
}

// hang is the ROM's death until the next reset.
func (c *Chip) hang() answer {
	c.mode = hung
	return answer{silent: true}
}

// Commands that load code into RAM and run it. Of what is loaded where there is no
// memory nothing stays.

func (c *Chip) memBegin() answer {
	l := &c.loader
	if l.body() != 16 {
		return fail(errFormat)
	}
	l.mem = writing{begun: true, blocks: l.word(1), block: l.word(2), addr: l.word(3)}
	if c.memory == nil {
		c.memory = newInternalRAM(c.ram)
	}
	return done
}

func (c *Chip) memData() answer {
	l := &c.loader
	n := l.word(0)
	switch m := &l.mem; {
	case !m.begun || l.word(1) != m.next || n > m.block || n > maxFrame-headerSize-dataHeader:
		return fail(errFormat)
	case !l.checked(n):
		m.next++
		return fail(errChecksum)
	default:
		m.next++
		copy(c.memory.at(m.addr), l.data(n))
		m.addr += n
		return done
	}
}

func (c *Chip) memEnd() answer {
	c.loader.mem = writing{}
	if c.loader.word(0) != 0 {
		return done
	}
	if c.opts.Chip != chip.ESP32 { // another kind of processor
		c.mode = hung
		return done
	}
	entry := c.loader.word(1)
	return answer{then: func() { c.execute(entry) }}
}
