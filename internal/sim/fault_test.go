package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"station/internal/slip"
)

const magicAnswer = "c0010a0400831df00000000000c0"

// Each wire fault on the answer to one READ_REG, and the answer after it clean again.
func TestReplyFaults(t *testing.T) {
	const op = opReadReg
	for _, c := range []struct {
		fault Fault
		want  string
	}{
		{Fault{Kind: DropReply, Op: op}, ""},
		{Fault{Kind: DoubleReply, Op: op}, magicAnswer + magicAnswer},
		{Fault{Kind: CutReply, Op: op, Byte: 5}, magicAnswer[:10]},
		{Fault{Kind: ChangeReply, Op: op, Byte: 6, XOR: 0x80}, "c0010a0400839df00000000000c0"},
		{Fault{Kind: ChangeReply, Op: op, Byte: -1, XOR: 0xff}, "c0010a0400831df000000000003f"},
		{Fault{Kind: DropReplyByte, Op: op, Byte: 1}, "c00a0400831df00000000000c0"},
		{Fault{Kind: DoubleReplyByte, Op: op, Byte: 1}, "c001010a0400831df00000000000c0"},
		{Fault{Kind: StaleReply, Op: op}, "c0010b0400" + "0707122000000000c0" + magicAnswer},
		{Fault{Kind: ForeignReply, Op: op, Data: []byte{0xc0, 1, 2, 0xc0}}, "c00102c0" + magicAnswer},
		{Fault{Kind: TextReply, Op: op, Text: "rst:"}, "7273743a" + magicAnswer},
		{Fault{Kind: StubReply, Op: op}, "c0010a0200000000000000c0"},
		{Fault{Kind: DropFrame, Op: op}, ""},
		{Fault{Kind: DoubleFrame, Op: op}, magicAnswer + magicAnswer},
	} {
		t.Run(string(c.fault.Kind), func(t *testing.T) {
			_, h := loaderHost(t, Options{Faults: []Fault{c.fault}})
			if got := ask(h.p, unhex(t, magicFrame)); !bytes.Equal(got, unhex(t, c.want)) {
				t.Errorf("got %x, want %s", got, c.want)
			}
			if got := ask(h.p, unhex(t, magicFrame)); !bytes.Equal(got, unhex(t, magicAnswer)) {
				t.Errorf("then: got %x", got)
			}
		})
	}
}

func TestLateReply(t *testing.T) { synctest.Test(t, checkLateReply) }

func checkLateReply(t *testing.T) {
	_, h := loaderHost(t, Options{Faults: []Fault{{Kind: LateReply, Op: opReadReg, Delay: 20 * time.Millisecond}}})
	if got := ask(h.p, unhex(t, magicFrame)); len(got) != 0 {
		t.Errorf("at once: got %x", got)
	}
	if got := readFor(h.p, 200*time.Millisecond); !bytes.Equal(got, unhex(t, magicAnswer)) {
		t.Errorf("later: got %x", got)
	}
}

func TestStubsDigest(t *testing.T) {
	_, h := loaderHost(t, Options{Faults: []Fault{{Kind: StubReply, Op: opFlashMD5}}})
	got := ask(h.p, request(opFlashMD5, 0, words(0, 0, 0, 0)))
	want := append([]byte{1, opFlashMD5, 18, 0, 0, 0, 0, 0}, unhex(t, "d41d8cd98f00b204e9800998ecf8427e0000")...)
	if !bytes.Equal(got, slip.Append(nil, want)) {
		t.Errorf("got %x", got)
	}
}

// Bytes from the host that are lost, doubled or changed: here of a WRITE_REG,
// so that the register shows what arrived.
func TestByteFaults(t *testing.T) {
	const value = 1 + headerSize + 4 // offset of the value on the wire
	for _, c := range []struct {
		fault Fault
		want  uint32
	}{
		{Fault{Kind: ChangeByte, At: 4, Byte: value, XOR: 0x40}, 0x11223304},
		{Fault{Kind: DropByte, At: 4, Byte: value}, 0x00112233}, // the mask moved too
		{Fault{Kind: DoubleByte, At: 4, Byte: value}, 0x22334400},
	} { // frames 1 to 3 connect
		_, h := loaderHost(t, Options{Faults: []Fault{c.fault}})
		body := words(0x3ffb0000, 0x11223344, 0xffffffff, 0, 0)
		h.ok(opWriteReg, body)
		if got := h.reg(0x3ffb0000); got != c.want {
			t.Errorf("%s: got %08x, want %08x", c.fault.Kind, got, c.want)
		}
		h.ok(opWriteReg, body)
		if got := h.reg(0x3ffb0000); got != 0x11223344 {
			t.Errorf("%s: then: got %08x", c.fault.Kind, got)
		}
	}
}

// Power and cable at the second block of a write: what is in the flash tells
// before from after.
func TestCuts(t *testing.T) {
	for _, c := range []struct {
		kind    Kind
		written bool
		powered bool
		err     error
	}{
		{CutBefore, false, false, nil},
		{CutAfter, true, false, nil},
		{Unplug, false, false, ErrUnplugged},
		{Vanish, false, true, ErrUnplugged},
	} {
		t.Run(string(c.kind), func(t *testing.T) {
			chip, h := loaderHost(t, Options{Faults: []Fault{{Kind: c.kind, Op: opFlashData, At: 2}}})
			h.ok(opFlashBegin, words(0x2000, 2, 0x1000, 0))
			block := make([]byte, 0x1000)
			h.block(0, block)
			_, err := h.p.Write(request(opFlashData, checksum(block), append(words(0x1000, 1, 0, 0), block...)))
			if !errors.Is(err, c.err) {
				t.Errorf("write: got %v, want %v", err, c.err)
			}
			if got := drain(h.p); len(got) != 0 {
				t.Errorf("got %x", got)
			}
			if written := chip.Flash()[0x1000] == 0; written != c.written {
				t.Errorf("written: %v, want %v", written, c.written)
			}
			if chip.Flash()[0] != 0 || chip.Powered() != c.powered {
				t.Errorf("the first block: %#x, powered %v", chip.Flash()[0], chip.Powered())
			}
			chip.Replug()
			if c.err != nil {
				h.p = openPort(t, chip)
			}
			chip.PressReset(true)
			h.connect(4 << 20)
		})
	}
}

// A supply that goes while fuses are burned: any subset of the new bits.
func TestTornBurn(t *testing.T) {
	took := Words{7: 0x0000ffff, 0: 0}
	chip, h := loaderHost(t, bare(Options{Faults: []Fault{{Kind: CutBurn, At: 2, Words: &took}}}))
	h.burn(40, map[int]uint32{8: 5})
	h.fuseTimes(40)
	h.wdata(7, 0x12345678)
	h.wdata(0, 1<<7)
	h.setReg(fuseBase+fuseCONF, opProgram)
	if got := h.send(opWriteReg, 0, words(fuseBase+fuseCMD, cmdProgram, 0xffffffff, 0)); len(got) != 0 {
		t.Errorf("it answered %v", got)
	}
	if got := chip.Fuses(); got[7] != 0x5678 || got[8] != 5 || got[0] != 0 || chip.Powered() {
		t.Errorf("got %08x %08x %08x, powered %v", got[7], got[8], got[0], chip.Powered())
	}
	chip.PowerOn()
	h.connect(4 << 20)
	if got := h.rdata(7); got != 0x5678 {
		t.Errorf("after power came back: got %08x", got)
	}
}

func TestSilence(t *testing.T) {
	chip, h := loaderHost(t, Options{Faults: []Fault{{Kind: Silence, Op: opReadReg, At: 2}}})
	h.reg(regMagic)
	for range 2 {
		if got := ask(h.p, unhex(t, magicFrame)); len(got) != 0 {
			t.Errorf("got %x", got)
		}
	}
	chip.PressReset(true)
	h.connect(4 << 20)
}

func TestFlashFaults(t *testing.T) {
	_, h := loaderHost(t, Options{Faults: []Fault{{Kind: LieMD5, At: 2}}})
	if h.md5(0, 0) != md5Of(nil) || h.md5(0, 0) == md5Of(nil) || h.md5(0, 0) != md5Of(nil) {
		t.Error("lie-md5: want a wrong digest the second time only")
	}
	chip, h := loaderHost(t, Options{
		Flash: make([]byte, 0x4000),
		Faults: []Fault{
			{Kind: StuckLow, Addr: 0x10, XOR: 0x81},
			{Kind: StuckHigh, Addr: 0x20, XOR: 0x02},
			{Kind: NoErase, Addr: 0x1000, Size: 0x1000},
		}})
	h.flash(0, bytes.Repeat([]byte{0xf0}, 0x3000))
	flash := chip.Flash()
	for at, want := range map[int]byte{0x0f: 0xf0, 0x10: 0x70, 0x20: 0xf2, 0x1000: 0, 0x1fff: 0, 0x2000: 0xf0} {
		if flash[at] != want {
			t.Errorf("at %#x: got %#x, want %#x", at, flash[at], want)
		}
	}
}

func TestFuseFaults(t *testing.T) {
	chip, h := loaderHost(t, Options{Faults: []Fault{
		{Kind: WeakFuse, Field: "BLOCK1", Bit: 3},
		{Kind: DeadFuse, Field: "FLASH_CRYPT_CNT", Bit: 2},
		{Kind: FlickerFuse, Field: "BLOCK2", Bit: 0},
		{Kind: BadMACCRC},
	}})
	if got, want := h.rdata(2)>>16, uint32(crc8(defaultMAC[:])); got == want {
		t.Errorf("bad-mac-crc: got %#x", got)
	}
	burn := func() { h.burn(40, map[int]uint32{0: 0x7f << 20, 7: 0xff}) }
	burn()
	if chip.Field("BLOCK1") != 0xf7 || chip.Field("FLASH_CRYPT_CNT") != 0x7b {
		t.Errorf("first burn: got %#x, %#x", chip.Field("BLOCK1"), chip.Field("FLASH_CRYPT_CNT"))
	}
	burn()
	if chip.Field("BLOCK1") != 0xff || chip.Field("FLASH_CRYPT_CNT") != 0x7b {
		t.Errorf("second burn: got %#x, %#x", chip.Field("BLOCK1"), chip.Field("FLASH_CRYPT_CNT"))
	}
	first := h.rdata(15)
	h.fuseOp(opRead, cmdRead)
	if second := h.rdata(15); first^second != 1 {
		t.Errorf("flicker-fuse: got %#x, then %#x", first, second)
	}
}

func TestBootFaults(t *testing.T) {
	for _, c := range []struct {
		fault Fault
		want  []string
		not   string
	}{
		{Fault{Kind: Brownout}, []string{"Brownout detector was triggered", "rst:0xf (RTCWDT_BROWN_OUT_RESET)", "station-example: ready"}, ""},
		{Fault{Kind: BootLoop, Times: -1}, []string{"Guru Meditation Error", "Rebooting...", "rst:0xc (SW_CPU_RESET)"}, "ready"},
		{Fault{Kind: OldApp, Text: "0.0.9", Times: -1}, []string{"App version:      0.0.9", "ready"}, "1.2.3"},
		{Fault{Kind: MuteApp, Times: -1}, []string{"Calling app_main()"}, "ready"},
	} {
		t.Run(string(c.fault.Kind), func(t *testing.T) {
			chip := encryptedChip(t, 1, Options{})
			if err := chip.Inject(c.fault); err != nil {
				t.Fatal(err)
			}
			got := bootText(t, chip)
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("no %q in %q", want, got)
				}
			}
			if c.not != "" && strings.Contains(got, c.not) {
				t.Errorf("%q in %q", c.not, got)
			}
			chip.Heal()
			if got := bootText(t, chip); !strings.Contains(got, "1.2.3") || !strings.Contains(got, "station-example: ready") {
				t.Errorf("healed: got %q", got)
			}
		})
	}
}

// Every kind is checked, every kind survives JSON.
func TestFaultsAreData(t *testing.T) {
	all := []Fault{
		{Kind: LateReply, Delay: time.Second}, {Kind: ForeignReply, Data: []byte{1}}, {Kind: TextReply, Text: "x"},
		{Kind: NoErase, Size: 1}, {Kind: WeakFuse, Field: "MAC", Bit: 47}, {Kind: OldApp, Text: "1"},
		{Kind: CutBurn, Words: &Words{30: 1}, At: 3, Times: -1, Op: 9},
	}
	b, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	var back []Fault
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(back, all) {
		t.Errorf("got %v, %v", back, err)
	}
	if _, err := New(Options{Faults: all}); err != nil {
		t.Error(err)
	}
	for _, bad := range []Fault{
		{}, {Kind: "rain"}, {Kind: LateReply}, {Kind: ForeignReply}, {Kind: TextReply}, {Kind: NoErase},
		{Kind: WeakFuse}, {Kind: DeadFuse, Field: "MAC", Bit: 48}, {Kind: FlickerFuse, Field: "no such"}, {Kind: OldApp},
	} {
		if _, err := New(Options{Faults: []Fault{bad}}); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
		if err := newChip(t, Options{}).Inject(bad); err == nil {
			t.Errorf("%+v was injected", bad)
		}
	}
}
