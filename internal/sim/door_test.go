package sim

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/chip"
)

// appDoor is a client of a chip's application door.
type appDoor struct {
	t    *testing.T
	conn net.Conn
}

func openDoor(t *testing.T, c *Chip) func() *appDoor {
	t.Helper()
	path := filepath.Join(t.TempDir(), "door")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- c.ServeApp(t.Context(), l) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return func() *appDoor {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return &appDoor{t, conn}
	}
}

func (d *appDoor) ask(what byte, address, size uint32, data []byte) (status byte, reply []byte) {
	d.t.Helper()
	head := binary.LittleEndian.AppendUint32([]byte{what}, address)
	head = binary.LittleEndian.AppendUint32(head, size)
	if _, err := d.conn.Write(append(head, data...)); err != nil {
		d.t.Fatal(err)
	}
	var b [5]byte
	if _, err := io.ReadFull(d.conn, b[:]); err != nil {
		d.t.Fatal(err)
	}
	reply = make([]byte, binary.LittleEndian.Uint32(b[1:]))
	if _, err := io.ReadFull(d.conn, reply); err != nil {
		d.t.Fatal(err)
	}
	return b[0], reply
}

// What an application writes stands encrypted in the flash, and reads as it was written.
func TestAppFlash(t *testing.T) {
	c := encryptedChip(t, 0x7f, Options{})
	d := openDoor(t, c)()
	status, info := d.ask('i', 0, 0, nil)
	if want := []byte{0, 0, 1, 0, 0, 0, 0, 0, 1, 0xf, 0x24, 0x0a, 0xc4, 1, 2, 3, 0, 0}; status != doorDone || !bytes.Equal(info, want) {
		t.Errorf("info: status %d, %x, want %x", status, info, want)
	}
	text := []byte("thirty-two bytes of an update...")
	for _, ask := range []struct {
		what    byte
		at, n   uint32
		data    []byte
		status  byte
		replies []byte
	}{
		{'e', 0x200000, 0x1000, nil, doorDone, nil},
		{'w', 0x200000, 32, text, doorDone, nil},
		{'r', 0x200000, 32, nil, doorDone, text},
		{'r', 0x200008, 16, nil, doorRefused, nil},
		{'w', 0x200000, 8, text[:8], doorRefused, nil},
		{'e', 0x200800, 0x1000, nil, doorRefused, nil},
		{'r', 0x400000, 16, nil, doorRefused, nil},
		{'r', 0xfffffff0, 32, nil, doorRefused, nil},
		{'r', 0, 1 << 17, nil, doorRefused, nil},
		{'?', 0, 0, nil, doorRefused, nil},
	} {
		status, reply := d.ask(ask.what, ask.at, ask.n, ask.data)
		if status != ask.status || !bytes.Equal(reply, ask.replies) {
			t.Errorf("%c %#x %d: status %d, %q", ask.what, ask.at, ask.n, status, reply)
		}
	}
	want := bytes.Clone(text)
	newFlashCipher(testKey, 0xf).encrypt(want, 0x200000)
	if got := c.Flash()[0x200000:0x200020]; !bytes.Equal(got, want) {
		t.Errorf("in the flash is %x, want %x", got, want)
	}
	d.ask('e', 0x201000, 0x1000, nil)
	d.ask('x', 0x201000, 32, want)
	if got := c.Flash()[0x201000:0x201020]; !bytes.Equal(got, want) {
		t.Errorf("raw: in the flash is %x, want %x", got, want)
	}
}

// A client is the application of one run: no other run, no loader, no power.
func TestAppEnds(t *testing.T) {
	c := encryptedChip(t, 0x7f, Options{})
	open := openDoor(t, c)
	d := open()
	d.ask('r', 0, 16, nil) // it has come
	c.PressReset(false)
	if status, _ := d.ask('r', 0, 16, nil); status != doorNoApp {
		t.Errorf("after a reset: %d", status)
	}
	d = open()
	p := openPort(t, c)
	if status, _ := d.ask('b', 0, 0, nil); status != doorDone || !strings.Contains(string(drain(p)), "rst:0xc (SW_CPU_RESET)") {
		t.Errorf("restart: %d", status)
	}
	p.Close()
	for name, do := range map[string]func(){"loader": func() { c.PressReset(true) }, "off": c.PowerOff} {
		c.PowerOn()
		c.PressReset(false)
		do()
		if status, _ := open().ask('r', 0, 16, nil); status != doorNoApp {
			t.Errorf("%s: %d", name, status)
		}
	}
}

// The power goes in the middle of the second thing that the application writes.
func TestAppPowerCut(t *testing.T) {
	c := encryptedChip(t, 0x7f, Options{Faults: []Fault{{Kind: CutApp, At: 2}}})
	d := openDoor(t, c)()
	d.ask('e', 0x200000, 0x1000, nil)
	data := bytes.Repeat([]byte{0x55}, 64)
	if status, _ := d.ask('x', 0x200000, 64, data); status != doorNoApp || c.Powered() {
		t.Errorf("status %d, powered %t", status, c.Powered())
	}
	want := append(bytes.Clone(data[:32]), bytes.Repeat([]byte{0xff}, 32)...)
	if got := c.Flash()[0x200000:0x200040]; !bytes.Equal(got, want) {
		t.Errorf("got %x", got)
	}
}

// A bootloader with rollback starts a new app once: if it has not said by the
// next start that it works, the app before comes back for good. The label of the
// entry is the app's own, whatever becomes of it.
func TestRollback(t *testing.T) {
	const label = "twenty bytes of ours"
	second := entry(2, stateNew, seqCRC(2))
	copy(second[4:24], label)
	newer := stationApp(appHead(exampleApp, "2"))
	images := map[uint32][]byte{
		0x1000: bootloaderWith(""),
		0x8000: tableOf(row(1, 0, 0xd000, 0x2000, "otadata", 0), row(0, 0x10, 0x10000, 0x10000, "ota_0", 0), row(0, 0x11, 0x20000, 0x10000, "ota_1", 0)),
		0xd000: entry(1, stateValid, seqCRC(1)), 0xe000: second,
		0x10000: stationApp(appHead(exampleApp, "1")), 0x20000: newer,
	}
	starts := func(c *Chip) (list []string) {
		for range 3 {
			_, text, _ := strings.Cut(bootText(t, c), "App version:")
			list = append(list, text[6:7])
		}
		return list
	}
	for _, v := range []struct {
		rollback bool
		want     string
		state    uint32
	}{{false, "2 2 2", stateNew}, {true, "2 1 1", stateAborted}} {
		c := newChip(t, Options{InLoader: true, Flash: lay(4<<20, images), Rollback: v.rollback})
		if got := strings.Join(starts(c), " "); got != v.want {
			t.Errorf("rollback %t: got %q, want %q", v.rollback, got, v.want)
		}
		if got := binary.LittleEndian.Uint32(c.Flash()[0xe018:]); got != v.state {
			t.Errorf("rollback %t: state %d, want %d", v.rollback, got, v.state)
		}
		if got := string(c.Flash()[0xe004:0xe018]); got != label {
			t.Errorf("rollback %t: the label is %q", v.rollback, got)
		}
	}
	c := newChip(t, Options{InLoader: true, Flash: lay(4<<20, images), Rollback: true})
	c.PressReset(false)
	copy(c.flash.mem[0xe000:], entry(2, stateValid, seqCRC(2))) // the app says that it works
	if got := strings.Join(starts(c), " "); got != "2 2 2" {
		t.Errorf("confirmed: got %q", got)
	}
}

// The application of a C3 has HMACs of the key in a block that is for them, though nobody can
// read it; of another block, or of a chip without the peripheral, it has none.
func TestAppHMAC(t *testing.T) {
	key := expand("key for HMACs", 32)
	w := keyedC3(testKey[:], 1)
	start, _ := wordsOf(chip.ESP32C3)
	k := blockWords(key)
	copy(w[start[chip.ESP32C3.Efuse.Block("BLOCK_KEY3")]:], k[:])
	SetFieldOf(chip.ESP32C3, w, "KEY_PURPOSE_3", purposeHMACUp)
	SetFieldOf(chip.ESP32C3, w, "RD_DIS", 1|1<<3)
	c := newChip(t, Options{Chip: chip.ESP32C3, Words: w, Flash: lay(2<<20, xtsAll(testKey[:], recordedC3Images())), FlashSize: 2 << 20})
	d := openDoor(t, c)()
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("odd"))
	if status, got := d.ask('h', 3, 3, []byte("odd")); status != doorDone || !bytes.Equal(got, mac.Sum(nil)) {
		t.Errorf("status %d, %x", status, got)
	}
	for _, block := range []uint32{0, 2, 6, 1 << 31} {
		if status, got := d.ask('h', block, 3, []byte("odd")); status != doorRefused || len(got) != 0 {
			t.Errorf("BLOCK_KEY%d: status %d, %x", block, status, got)
		}
	}
	if status, _ := openDoor(t, encryptedChip(t, 0x7f, Options{}))().ask('h', 1, 3, []byte("odd")); status != doorRefused {
		t.Errorf("an ESP32: status %d", status)
	}
}
