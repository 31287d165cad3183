package esploader

import (
	"compress/flate"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"time"

	"station/internal/chip"
	"station/internal/slip"
)

// The wire to the loader in RAM: blocks in flight, each with a number and a CRC-32,
// and answers that say which have arrived. What is missing is sent again, alone.
// The frames are drawn in device/loader/wire.c.

const (
	ramWindow    = 32
	ramMost      = 2048 // bytes of data in a block
	ramTries     = 8    // of one block
	ramSilences  = 6    // one after the other,
	ramPartings  = 1    // and of one that is stopped
	ramSilence   = 300 * time.Millisecond
	ramErasing   = 6 * time.Second // all has arrived: the flash is at work
	ramVersion   = 1
	ramGone      = 0x80
	fnvBasis     = 0x811c9dc5
	fnvPrime     = 0x01000193
	ramLookAhead = 4 // bytes behind a stream that the loader may have read
)

var ramStatus = map[byte]string{
	1: "a block that it does not know", 2: "a stream that is damaged", 3: "the flash does not finish", 4: "no key", 5: "the AES unit does not finish",
}

type ramBlockSent struct {
	frame []byte
	at    int // which transmission it was
	tries int
	held  bool
}

type ramWire struct {
	l        *Loader
	stats    *chip.RAMStats
	progress func(int)

	blocks  [ramWindow]ramBlockSent
	payload [ramMost + 8]byte
	filled  int // of the block of data being filled
	next    int // number of the next block
	taken   int // blocks that are done with
	at      int // transmissions
	newest  int // of those that arrived, the latest
	last    ramAnswer
	heard   bool
	stopped bool // nobody wants the job any more
	sum     uint32
}

type ramAnswer struct {
	status byte
	taken  uint16
	held   uint32
	done   uint32
	sum    uint32
}

// run carries out the job and ends the loader, also one that is stopped: it overwrites
// what it holds before anybody leaves it.
func (r *ramWire) run(ctx context.Context, parts []part, job chip.RAMJob) error {
	if err := r.hello(); err != nil {
		return err
	}
	err := r.writeAll(ctx, parts, job)
	if stopped := ctx.Err(); stopped != nil && !errors.Is(err, chip.ErrPortGone) {
		r.stopped = true
		if err := r.end(context.WithoutCancel(ctx)); err != nil {
			return fmt.Errorf("%w: it does not overwrite what it holds: %w", stopped, err)
		}
		return stopped
	}
	if err != nil {
		return err
	}
	return r.end(ctx)
}

func (r *ramWire) writeAll(ctx context.Context, parts []part, job chip.RAMJob) error {
	key := job.Key.Reveal()
	body := r.payload[4 : 4+4+len(key)]
	binary.LittleEndian.PutUint32(body, uint32(job.Config))
	copy(body[4:], key)
	err := r.send(ctx, 'K', len(body))
	clear(body)
	if err != nil {
		return err
	}
	packer, _ := flate.NewWriter(writerFunc(func(p []byte) error { return r.fill(ctx, p) }), flate.BestCompression)
	for _, p := range parts {
		if err := r.part(ctx, packer, p); err != nil {
			return err
		}
	}
	return nil
}

type writerFunc func(p []byte) error

func (f writerFunc) Write(p []byte) (int, error) { return len(p), f(p) }

// hello is the loader's first answer.
func (r *ramWire) hello() error {
	for deadline := time.Now().Add(ramHello); !r.heard; {
		if err := r.listen(deadline); err != nil {
			return err
		}
		if !r.heard && !time.Now().Before(deadline) {
			return fmt.Errorf("it does not start: %w", chip.ErrNoAnswer)
		}
	}
	if r.last.taken != 0 || r.last.held != 0 {
		return errors.New("it does not begin at the beginning")
	}
	return nil
}

// part sends one part: what it is, then its stream.
func (r *ramWire) part(ctx context.Context, packer *flate.Writer, p part) error {
	body := r.payload[4:]
	binary.LittleEndian.PutUint32(body, p.addr)
	binary.LittleEndian.PutUint32(body[4:], uint32(len(p.plain)))
	encrypted := uint32(0)
	if p.encrypted {
		encrypted = 1
	}
	binary.LittleEndian.PutUint32(body[8:], encrypted)
	if err := r.send(ctx, 'W', 12+copy(body[12:], p.erase)); err != nil {
		return err
	}
	packer.Reset(writerFunc(func(b []byte) error { return r.fill(ctx, b) }))
	for at := 0; at < len(p.plain); {
		n := min(4*sectorSize, len(p.plain)-at)
		if _, err := packer.Write(p.plain[at : at+n]); err != nil {
			return err
		}
		if err := r.hash(p, at, n); err != nil {
			return err
		}
		at += n
	}
	if err := packer.Close(); err != nil {
		return err
	}
	if err := r.fill(ctx, make([]byte, ramLookAhead+r.filled%2)); err != nil { // an even number
		return err
	}
	r.stats.Plain += len(p.plain)
	return r.flush(ctx)
}

// hash takes what the flash is to hold into the sum, padded as the loader pads.
func (r *ramWire) hash(p part, at, n int) error {
	stored := make([]byte, n, n+3)
	if _, err := p.stored.ReadAt(stored, int64(p.from+at)); err != nil && err != io.EOF {
		return fmt.Errorf("read the image: %w", err)
	}
	for len(stored)%4 != 0 {
		stored = append(stored, 0xff)
	}
	for ; len(stored) > 0; stored = stored[4:] {
		r.sum = (r.sum ^ binary.LittleEndian.Uint32(stored)) * fnvPrime
	}
	return nil
}

// fill puts bytes of a stream into blocks.
func (r *ramWire) fill(ctx context.Context, p []byte) error {
	for len(p) > 0 {
		n := copy(r.payload[4+r.filled:4+ramMost], p)
		p = p[n:]
		if r.filled += n; r.filled == ramMost {
			if err := r.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *ramWire) flush(ctx context.Context) error {
	n := r.filled
	if r.filled = 0; n == 0 {
		return nil
	}
	return r.send(ctx, 'D', n)
}

// send sends the n bytes that stand in the payload as the next block, once there is room for it.
func (r *ramWire) send(ctx context.Context, what byte, n int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for r.next-r.taken >= ramWindow {
		if err := r.await(ctx); err != nil {
			return err
		}
	}
	if err := r.listen(time.Now()); err != nil {
		return err
	}
	p := r.payload[:4+n]
	binary.LittleEndian.PutUint16(p, uint16(r.next))
	p[2], p[3] = what, 0
	sum := crc32.ChecksumIEEE(p)
	p = binary.LittleEndian.AppendUint32(p, sum)
	b := &r.blocks[r.next%ramWindow]
	clear(b.frame)
	if b.frame == nil {
		b.frame = make([]byte, 0, 2*(ramMost+8)+2)
	}
	*b = ramBlockSent{frame: slip.Append(b.frame[:0], p)}
	r.next++
	r.stats.Blocks++
	return r.transmit(b)
}

func (r *ramWire) transmit(b *ramBlockSent) error {
	if b.tries++; b.tries > ramTries {
		return fmt.Errorf("a block does not get through: %w", chip.ErrNoAnswer)
	}
	if b.tries > 1 {
		r.stats.Retries++
		r.l.stats.Retries++
	}
	r.at++
	b.at = r.at
	r.stats.Sent += len(b.frame)
	return r.l.write(b.frame)
}

// end has the loader overwrite what it holds, and compares what it programmed.
func (r *ramWire) end(ctx context.Context) error {
	if err := r.send(ctx, 'E', 0); err != nil {
		return err
	}
	for r.last.status&ramGone == 0 {
		if err := r.await(ctx); err != nil {
			return err
		}
	}
	r.stats.Wiped = true
	if r.last.sum != r.sum && !r.stopped {
		return errors.New("it has programmed something else")
	}
	return nil
}

// await waits for an answer that brings something new.
func (r *ramWire) await(ctx context.Context) error {
	taken, held := r.last.taken, r.last.held
	for silences := 0; ; silences++ {
		patience := ramErasing
		waiting, open := r.oldest()
		if open {
			patience = ramSilence + 2*r.l.wireTime(len(waiting.frame)*(r.next-r.taken))
		}
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
			if err := r.listen(deadline); err != nil {
				return err
			}
			if r.last.taken != taken || r.last.held != held || r.last.status&ramGone != 0 {
				return ctx.Err()
			}
		}
		if !open || silences == ramSilences || r.stopped && silences == ramPartings {
			return fmt.Errorf("it has fallen silent: %w", chip.ErrNoAnswer)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.transmit(waiting); err != nil {
			return err
		}
	}
}

// oldest is the first block that has not arrived.
func (r *ramWire) oldest() (*ramBlockSent, bool) {
	for n := r.taken; n < r.next; n++ {
		if b := &r.blocks[n%ramWindow]; !b.held {
			return b, true
		}
	}
	return nil, false
}

// listen takes the answers that come up to a deadline, the first of them where
// there is something to wait for.
func (r *ramWire) listen(deadline time.Time) error {
	for late := 0; ; {
		frame := r.l.buffered()
		if frame == nil {
			err := r.l.fill(deadline)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return nil
			}
			if err != nil {
				return err
			}
			if late++; late > lateReads {
				return nil
			}
			continue
		}
		if a, ok := parseRAMAnswer(frame); ok {
			if err := r.take(a); err != nil {
				return err
			}
			deadline = time.Now()
		}
	}
}

func parseRAMAnswer(p []byte) (a ramAnswer, ok bool) {
	if len(p) != 20 || p[0] != ramVersion || crc32.ChecksumIEEE(p[:16]) != binary.LittleEndian.Uint32(p[16:]) {
		return a, false
	}
	return ramAnswer{
		status: p[1], taken: binary.LittleEndian.Uint16(p[2:]), held: binary.LittleEndian.Uint32(p[4:]),
		done: binary.LittleEndian.Uint32(p[8:]), sum: binary.LittleEndian.Uint32(p[12:]),
	}, true
}

// take notes an answer and sends again what it shows to be lost: a block that was
// sent before one that has arrived.
func (r *ramWire) take(a ramAnswer) error {
	r.heard = true
	done := int(int16(a.taken - uint16(r.taken)))
	if done < 0 || r.taken+done > r.next {
		return nil // an old one
	}
	r.last = a
	if s := a.status &^ ramGone; s != 0 && !r.stopped {
		return fmt.Errorf("it gives up: %s", ramStatus[s])
	}
	for ; done > 0; done-- {
		b := &r.blocks[r.taken%ramWindow]
		b.held, r.newest = true, max(r.newest, b.at)
		clear(b.frame)
		r.taken++
	}
	for i := range min(ramWindow, r.next-r.taken) {
		if b := &r.blocks[(r.taken+i)%ramWindow]; a.held>>i&1 != 0 {
			b.held, r.newest = true, max(r.newest, b.at)
		}
	}
	if r.progress != nil {
		r.progress(int(a.done))
	}
	return r.again()
}

func (r *ramWire) again() error {
	for n := r.taken; n < r.next; n++ {
		if b := &r.blocks[n%ramWindow]; !b.held && b.at < r.newest {
			if err := r.transmit(b); err != nil {
				return err
			}
		}
	}
	return nil
}

// wipe overwrites what was sent: the key among it.
func (r *ramWire) wipe() {
	clear(r.payload[:])
	for i := range r.blocks {
		clear(r.blocks[i].frame[:cap(r.blocks[i].frame)])
	}
}
