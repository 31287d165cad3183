// Package esploader speaks to the serial loader in the mask ROM of the ESP32 and
// its kin: it resets a chip into it, identifies the chip, reads and writes its registers
// and its flash, and starts the application. The one code that it loads into a chip is
// the loader of device/loader, where a job asks for it (ram.go).
//
// What differs between the families is in their tables. What it does and does
// not do follows from traces of mask ROMs (fixtures/rom, fixtures/rom-c3); where
// they differ, the ESP32's is the stricter:
//
//   - A reply says by its first status byte alone whether a command succeeded.
//     A rejected command echoes the opcode of the last accepted one.
//   - A READ_REG that is cut short, or of address 0, hangs the ROM until it is
//     reset. So a frame is always sent whole, and a lost answer is followed by
//     a SYNC, never by a bare C0.
//   - FLASH_END leaves the loader, and compressed writes program past the end
//     of the data: neither is ever sent.
//   - Only an MD5 tells what is in the flash after a block went wrong.
package esploader

import (
	"context"
	"maps"
	"time"

	"station/internal/chip"
	"station/internal/slip"
)

// Port is the wire to a chip. A Loader uses it from one goroutine.
type Port interface {
	// Read returns at least one byte, or os.ErrDeadlineExceeded past the
	// deadline, or another error when the port is gone.
	Read(p []byte) (int, error)
	Write(p []byte) (int, error)
	SetReadDeadline(t time.Time) error
	// SetBaud changes the speed of this end. It wraps errors.ErrUnsupported where
	// the port has no speed that this end could set.
	SetBaud(baud int) error
	// SetLines sets DTR and RTS at once. It wraps errors.ErrUnsupported where
	// the port has no modem lines.
	SetLines(dtr, rts bool) error
	Close() error
}

// How a device gets into its loader and out of it.
const (
	ResetClassic = "classic" // DTR pulls GPIO0, RTS pulls EN: the circuit of nearly every board
	ResetManual  = "manual"  // the operator or the fixture does it; Connect and Boot wait
)

// Options are what a job or a station decides. The zero value is right for
// most.
type Options struct {
	Reset string // ResetClassic where empty

	// BlockSize fixes the bytes of a FLASH_DATA block, 0x400 or 0x1000. Where 0,
	// the largest that the chip takes is found out once.
	BlockSize int
	// AlwaysErase writes every byte of every region and erases before it,
	// whatever the flash holds: the way of other tools, to compare with.
	AlwaysErase bool

	// LeastRAM is how many bytes must be missing in the flash for the loader in RAM
	// to be worth its way there and back. Where 0: 64 KiB.
	LeastRAM int

	// ByHand hears what a person or the fixture has to do now, ToLoader or ToApp,
	// and until when somebody waits for it (zero: as long as it takes); "" when it
	// has been done or nobody waits for it any more.
	ByHand func(what string, until time.Time)

	// Trace sees each frame without its SLIP framing, sent ('>') or received
	// ('<'). Values on their way to or from the key block read as ****. The
	// frame is valid during the call only.
	Trace func(dir byte, frame []byte)
}

// What Options.ByHand is told.
const (
	ToLoader = "loader" // reset the chip with GPIO0 held low
	ToApp    = "app"    // reset it
)

func (l *Loader) byHand(ctx context.Context, what string) {
	if l.opts.ByHand != nil {
		until, _ := ctx.Deadline()
		l.opts.ByHand(what, until)
	}
}

func (l *Loader) handDone() {
	if l.opts.ByHand != nil {
		l.opts.ByHand("", time.Time{})
	}
}

// Stats counts what went over the wire since New.
type Stats struct {
	Commands   map[string]int // by name
	RoundTrips int            // times that the loader waited for the chip
	Sent       int64          // bytes, with their framing
	Received   int64
	Retries    int // commands sent again
	Resyncs    int // times that replies were out of step
	BlockSize  int // bytes of a FLASH_DATA block
	Refusals   int // blocks of a size that the chip does not take
}

// InitialBaud is the speed at which the ROM prints and is first spoken to.
const InitialBaud = 115200

// Loader is one chip's loader at one port.
type Loader struct {
	port  Port
	opts  Options
	stats Stats
	baud  int  // of this end
	fixed bool // it is not ours to set
	mute  bool // the port has no lines: a reset is somebody else's

	family *chip.Family // of the chip, from Connect on
	magic  uint32       // as it answered then

	console int // rate of the firmware's console; 0 is InitialBaud

	dec     slip.Decoder
	payload []byte // the request being built
	frame   []byte // the same, framed
	rx      []byte // the last read of the port,
	got     int    // its length
	have    []byte // and the part of it not looked at
	text    console

	accepted byte     // opcode of the last command that succeeded
	dirty    bool     // replies to earlier commands may still arrive
	asked    []uint32 // addresses of the READ_REGs not answered yet
	tainted  bool     // the ROM repeats a word of the key block in its replies

	blockSize int  // of FLASH_DATA
	proven    bool // the chip has taken a block of that size
	shortTail bool // it may also take a shorter last block
}

const (
	maxReply = 128  // the longest is 76 bytes
	maxData  = 4096 // of a FLASH_DATA block
)

// New returns the loader of the chip at p. It does nothing yet.
func New(p Port, opts Options) *Loader {
	l := &Loader{
		port: p, opts: opts, baud: InitialBaud,
		stats:   Stats{Commands: map[string]int{}},
		family:  chip.Known(nil),
		dec:     slip.Decoder{Max: maxReply},
		payload: make([]byte, 0, maxData+64),
		frame:   make([]byte, 0, 2*(maxData+64)),
		rx:      make([]byte, 4096),
	}
	// Replies carry key words while they are compared. A buffer that grows
	// would leave copies behind, so it gets its full length first.
	for _, b := range slip.Append(nil, make([]byte, maxReply)) {
		l.dec.Push(b)
	}
	l.blockSize, l.shortTail = maxData, true
	if opts.BlockSize != 0 {
		l.blockSize, l.shortTail, l.proven = opts.BlockSize, false, true
	}
	return l
}

// Stats returns the counters.
func (l *Loader) Stats() Stats {
	s := l.stats
	s.Commands, s.BlockSize = maps.Clone(s.Commands), l.blockSize
	return s
}

// Close gives the port back.
func (l *Loader) Close() error {
	l.have = nil
	l.wipe()
	l.forget()
	return l.port.Close()
}
