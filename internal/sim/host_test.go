package sim

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"testing"
	"time"

	"station/internal/slip"
)

// host is a test's side of the wire: a plain client of the loader.
type host struct {
	t testing.TB
	p *Port
	d slip.Decoder
}

// reply is one answer of the loader.
type reply struct {
	op     byte
	value  uint32
	data   []byte
	status byte
	code   byte
}

// loaderHost is a chip in its loader, synced, attached and told its flash size.
func loaderHost(t testing.TB, o Options) (*Chip, *host) {
	t.Helper()
	o.InLoader = true
	c := newChip(t, o)
	h := &host{t: t, p: openPort(t, c)}
	h.connect(uint32(len(c.flash.mem)))
	return c, h
}

func (h *host) connect(flashSize uint32) {
	h.t.Helper()
	drain(h.p)
	if got := h.send(opSync, 0, words(0x20120707)); len(got) != syncAnswers {
		h.t.Fatalf("SYNC: got %d answers, want %d", len(got), syncAnswers)
	}
	h.ok(opAttach, words(0, 0))
	h.ok(opSetParams, words(0, flashSize, 0x10000, 0x1000, 0x100, 0xffff))
}

func words(v ...uint32) (b []byte) {
	for _, w := range v {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}

func request(op byte, sum uint32, body []byte) []byte {
	p := []byte{0, op, byte(len(body)), byte(len(body) >> 8)}
	return slip.Append(nil, append(binary.LittleEndian.AppendUint32(p, sum), body...))
}

// send writes one request and returns all answers.
func (h *host) send(op byte, sum uint32, body []byte) (all []reply) {
	return h.parse(ask(h.p, request(op, sum, body)))
}

func (h *host) parse(b []byte) (all []reply) {
	for _, v := range b {
		f, ok := h.d.Push(v)
		if !ok || len(f) < headerSize+statusSize {
			continue
		}
		n := len(f) - statusSize
		all = append(all, reply{f[1], binary.LittleEndian.Uint32(f[4:]), bytes.Clone(f[headerSize:n]), f[n], f[n+1]})
	}
	return all
}

// one sends a request that has exactly one answer.
func (h *host) one(op byte, sum uint32, body []byte) reply {
	h.t.Helper()
	all := h.send(op, sum, body)
	if len(all) != 1 {
		h.t.Fatalf("op %#02x: got %d answers, want 1", op, len(all))
	}
	return all[0]
}

func (h *host) ok(op byte, body []byte) reply {
	h.t.Helper()
	r := h.one(op, 0, body)
	if r.status != 0 {
		h.t.Fatalf("op %#02x: error %#02x", op, r.code)
	}
	return r
}

func (h *host) reg(addr uint32) uint32 {
	h.t.Helper()
	return h.ok(opReadReg, words(addr)).value
}

func (h *host) setReg(addr, value uint32) {
	h.t.Helper()
	h.ok(opWriteReg, words(addr, value, 0xffffffff, 0))
}

func checksum(p []byte) uint32 {
	sum := byte(checksumSeed)
	for _, b := range p {
		sum ^= b
	}
	return uint32(sum)
}

func (h *host) block(seq uint32, p []byte) reply {
	h.t.Helper()
	return h.one(opFlashData, checksum(p), append(words(uint32(len(p)), seq, 0, 0), p...))
}

// flash erases and writes p in blocks of 4 KiB, padded to whole words.
func (h *host) flash(addr uint32, p []byte) {
	h.t.Helper()
	for p = p[:len(p):len(p)]; len(p)%4 != 0; {
		p = append(p, 0xff)
	}
	n := uint32(len(p)+maxBlock-1) / maxBlock
	h.ok(opFlashBegin, words(uint32(len(p)), n, maxBlock, addr))
	for i := range n {
		part := p[i*maxBlock : min(int(i+1)*maxBlock, len(p))]
		if r := h.block(i, part); r.status != 0 {
			h.t.Fatalf("block %d: error %#02x", i, r.code)
		}
	}
}

func (h *host) md5(addr, size uint32) string {
	h.t.Helper()
	return string(h.ok(opFlashMD5, words(addr, size, 0, 0)).data)
}

func md5Of(p []byte) string {
	sum := md5.Sum(p)
	return hex.EncodeToString(sum[:])
}

// fuseTimes sets the clock dividers of a crystal.
func (h *host) fuseTimes(crystal int) {
	h.t.Helper()
	v := fuseTiming[crystal]
	h.setReg(fuseBase+fuseDAC, v[2])
	h.setReg(fuseBase+fuseCLK, v[0]|v[1]<<8|1<<16)
}

// fuseOp runs a program or read operation to its end.
func (h *host) fuseOp(conf, cmd uint32) {
	h.t.Helper()
	h.setReg(fuseBase+fuseCONF, conf)
	h.setReg(fuseBase+fuseCMD, cmd)
	for range 10 {
		if h.reg(fuseBase+fuseCMD) == 0 {
			return
		}
	}
	h.t.Fatal("the fuse controller stays busy")
}

// rdata reads a fuse word as the registers show it, w counting all 31.
func (h *host) rdata(w int) uint32 {
	h.t.Helper()
	if w < 7 {
		return h.reg(fuseBase + fuseRead0 + uint32(4*w))
	}
	return h.reg(fuseBase + fuseRead1 + uint32(4*(w-7)))
}

func (h *host) wdata(w int, v uint32) {
	h.t.Helper()
	if w < 7 {
		h.setReg(fuseBase+fuseProg0+uint32(4*w), v)
	} else {
		h.setReg(fuseBase+fuseProg1+uint32(4*(w-7)), v)
	}
}

// burn programs the words given by index, with right timing, and reads the fuses again.
func (h *host) burn(crystal int, set map[int]uint32) {
	h.t.Helper()
	h.fuseTimes(crystal)
	for w := range 31 {
		h.wdata(w, set[w])
	}
	h.fuseOp(opProgram, cmdProgram)
	h.fuseOp(opRead, cmdRead)
}

// keyWords is BLOCK1 for a key file of 32 bytes: byte-reversed.
func keyWords(key []byte) (w [8]uint32) {
	for i := range w {
		w[7-i] = binary.BigEndian.Uint32(key[4*i:])
	}
	return w
}

// part is a segment of a test image.
type part struct {
	load uint32
	data []byte
}

// testImage is an ESP32 image with checksum and, where hashed, its SHA-256.
func testImage(entry uint32, mode, freqSize byte, hashed bool, parts ...part) []byte {
	b := make([]byte, headerBytes)
	b[0], b[1], b[2], b[3], b[8] = imageMagic, byte(len(parts)), mode, freqSize, 0xee
	binary.LittleEndian.PutUint32(b[4:], entry)
	b[17], b[18] = 0xff, 0xff
	if hashed {
		b[23] = 1
	}
	sum := byte(checksumSeed)
	for _, p := range parts {
		b = append(b, words(p.load, uint32(len(p.data)))...)
		b = append(b, p.data...)
		for _, v := range p.data {
			sum ^= v
		}
	}
	for len(b)%16 != 15 {
		b = append(b, 0)
	}
	b = append(b, sum)
	if hashed {
		digest := sha256.Sum256(b)
		b = append(b, digest[:]...)
	}
	return b
}

// filled is n bytes that begin with head.
func filled(n int, head []byte) []byte {
	b := make([]byte, n)
	for i := copy(b, head); i < n; i++ {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// appHead is a descriptor as the first bytes of an app's first segment.
func appHead(project, version string) []byte {
	d := make([]byte, 256)
	binary.LittleEndian.PutUint32(d, descMagic)
	copy(d[16:], version)
	copy(d[48:], project)
	copy(d[80:], "10:47:33")
	copy(d[96:], "Mar 18 2019")
	copy(d[112:], "v4.0-dev-30-g31ca6e399")
	return d
}

// row is one line of a partition table.
func row(typ, sub byte, offset, size uint32, label string, flags uint32) []byte {
	b := append([]byte{0xaa, 0x50, typ, sub}, words(offset, size)...)
	name := make([]byte, 16)
	copy(name, label)
	return append(append(b, name...), words(flags)...)
}

// tableOf is a table with its MD5 row, padded to its size.
func tableOf(rows ...[]byte) []byte {
	b := bytes.Join(rows, nil)
	sum := md5.Sum(b)
	b = append(b, append(append([]byte{0xeb, 0xeb}, bytes.Repeat([]byte{0xff}, 14)...), sum[:]...)...)
	for len(b) < tableSize {
		b = append(b, 0xff)
	}
	return b
}

// lay writes images at their addresses into an erased flash.
func lay(size int, images map[uint32][]byte) []byte {
	b := bytes.Repeat([]byte{0xff}, size)
	for at, image := range images {
		copy(b[at:], image)
	}
	return b
}

// encryptAll encrypts the images for their addresses, padded with FF.
func encryptAll(key [32]byte, config uint32, images map[uint32][]byte) map[uint32][]byte {
	f := newFlashCipher(key, config)
	out := map[uint32][]byte{}
	for at, image := range images {
		b := bytes.Clone(image)
		for len(b)%32 != 0 {
			b = append(b, 0xff)
		}
		f.encrypt(b, at)
		out[at] = b
	}
	return out
}

// console boots a chip from flash and returns what it prints at once.
func bootText(t testing.TB, c *Chip) string {
	t.Helper()
	p := openPort(t, c)
	defer p.Close()
	c.PressReset(false)
	return string(drain(p))
}

// readFor reads until the time is over.
func readFor(p *Port, d time.Duration) []byte { return readBefore(p, time.Now().Add(d)) }

func readBefore(p *Port, end time.Time) []byte {
	p.SetReadDeadline(end)
	defer p.SetReadDeadline(time.Time{})
	var all []byte
	buf := make([]byte, 4096)
	for {
		n, err := p.Read(buf)
		all = append(all, buf[:n]...)
		if err != nil {
			return all
		}
	}
}
