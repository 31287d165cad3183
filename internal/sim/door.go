package sim

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net"
)

// The flash as the application on the chip sees it. The firmware's code does not
// run here; code of an application that was built for this machine can be the
// application instead, and reaches the flash by this door: reads are decrypted
// and writes encrypted with the key in the chip's own fuses, NOR stays NOR, and
// without power or without an application that was booted there is no door.
//
// A client asks, little endian:
//
//	0  what: r read, w write, x write raw, e erase, i info, b restart, h HMAC-SHA-256 by
//	   the chip's peripheral
//	1  address u32, of h the number of the key block
//	5  size u32
//	9  with w, x and h the bytes
//
// and is answered:
//
//	0  0 done; 1 refused: addresses and sizes of r, w, x are multiples of 16, of
//	   e multiples of 4096, all within the flash, at most 64 KiB; of h the block's purpose
//	   is HMAC_UP; 2 no application runs, or no longer the one that ran when the client came
//	1  size u32
//	5  the bytes: of r those asked for; of h the 32 of the HMAC; of i the app's address u32, the secure version of
//	   the fuses u32, whether the flash is encrypted u8, FLASH_CRYPT_CONFIG u8, MAC 6,
//	   the chip's ID as image headers have it u16
const (
	doorHead  = 9
	doorLimit = 64 << 10

	appHeadSize = 32 + 256 // up to the end of the descriptor

	doorDone    = 0
	doorRefused = 1
	doorNoApp   = 2
)

var errNoApp = errors.New("no application runs")

// ServeApp lets clients of l be the application, until ctx ends. A client
// belongs to the run in which it came: a reset ends it.
func (c *Chip) ServeApp(ctx context.Context, l net.Listener) error {
	return c.accept(ctx, l, c.serveApp)
}

func (c *Chip) serveApp(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	run := c.appRun()
	for {
		head := make([]byte, doorHead)
		if _, err := io.ReadFull(conn, head); err != nil {
			return
		}
		data, err := c.answerApp(conn, run, head)
		status := byte(doorDone)
		switch {
		case errors.Is(err, errNoApp):
			status = doorNoApp
		case err != nil:
			status = doorRefused
		}
		reply := append(binary.LittleEndian.AppendUint32([]byte{status}, uint32(len(data))), data...)
		if _, err := conn.Write(reply); err != nil || status == doorNoApp || head[0] == 'b' {
			return
		}
	}
}

// appRun is the number of the run of the application, 0 where none runs.
func (c *Chip) appRun() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.app.runsNow()
}

// application is the app that the bootloader started last.
type application struct {
	at   uint32 // its partition
	runs int    // how many have begun
	now  bool   // it runs
}

func (a application) runsNow() int {
	if !a.now {
		return 0
	}
	return a.runs
}

// App is the version of the application that runs and the address of its
// partition; empty where none runs.
func (c *Chip) App() (version string, at uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.app.now {
		return "", 0
	}
	d, _ := describe(c.plainFlash(c.app.at, appHeadSize))
	return d.version, c.app.at
}

func (c *Chip) answerApp(conn io.Reader, run int, head []byte) ([]byte, error) {
	address, size := binary.LittleEndian.Uint32(head[1:]), binary.LittleEndian.Uint32(head[5:])
	if size > doorLimit && head[0] != 'e' {
		return nil, errors.ErrUnsupported
	}
	var data []byte
	if bytes.IndexByte([]byte("wxh"), head[0]) >= 0 {
		data = make([]byte, size)
		if _, err := io.ReadFull(conn, data); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if run == 0 || c.app.runsNow() != run {
		return nil, errNoApp
	}
	if head[0] == 'h' {
		return c.appHMAC(address, data)
	}
	return c.actAsApp(head[0], address, size, data)
}

func (c *Chip) actAsApp(what byte, address, size uint32, data []byte) ([]byte, error) {
	align := map[byte]uint32{'r': 16, 'w': 16, 'x': 16, 'e': sectorSize, 'i': 1, 'b': 1}[what]
	if end := uint64(len(c.flash.mem)); align == 0 || address%align != 0 || size%align != 0 || uint64(address)+uint64(size) > end {
		return nil, errors.ErrUnsupported
	}
	switch what {
	case 'r':
		return bytes.Clone(c.plainFlash(address, int(size))), nil
	case 'w':
		if c.crypt != nil {
			c.crypt.encrypt(data, address)
		}
		return nil, c.appWrites(func(part int) { c.programFlash(data[:len(data)/part], address) })
	case 'x':
		return nil, c.appWrites(func(part int) { c.programFlash(data[:len(data)/part], address) })
	case 'e':
		return nil, c.appWrites(func(part int) { c.eraseFlash(address, int(size)/sectorSize/part) })
	case 'i':
		return c.appInfo(), nil
	}
	c.start(resetSWCPU)
	return nil, nil
}

// appHMAC is what the peripheral makes of data with the key in a block, hidden or not.
func (c *Chip) appHMAC(block uint32, data []byte) ([]byte, error) {
	key := c.hmacKey(fmt.Sprint("BLOCK_KEY", block))
	if key == nil {
		return nil, errors.ErrUnsupported
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(data)
	return mac.Sum(nil), nil
}

// appWrites does one write or erase of the application: all of it, or half if
// the power fails in it.
func (c *Chip) appWrites(do func(part int)) error {
	if c.fire(CutApp, 0) != nil {
		do(2)
		c.powerOff()
		return errNoApp
	}
	do(1)
	return nil
}

func (c *Chip) appInfo() []byte {
	b := binary.LittleEndian.AppendUint32(nil, c.app.at)
	b = binary.LittleEndian.AppendUint32(b, uint32(bits.OnesCount32(c.fuses.field("SECURE_VERSION"))))
	encrypted := byte(0)
	if c.crypt != nil {
		encrypted = 1
	}
	b = append(b, encrypted, byte(c.fuses.fieldOr("FLASH_CRYPT_CONFIG", 0)))
	mac := c.fuses.mac()
	return binary.LittleEndian.AppendUint16(append(b, mac[:]...), c.opts.Chip.ImageID)
}
