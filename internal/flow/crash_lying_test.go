package flow_test

import (
	"bytes"
	"slices"
	"testing"

	"station/internal/sim"
)

// lie is a chip that is not what it was, or says what is not so.
type lie struct {
	class  string
	faults []sim.Fault
	first  string // how its first visit ends
	end    string // and how it ends when the fault is gone
}

const (
	sealedThen = "sealed when put back"
	noFlash    = "RETRY E-FLASH-VERIFY"
	unburnt    = "SCRAP E-FUSE-BURN"
	unstable   = "QUARANTINE E-FUSE-UNSTABLE"
)

// flashLies are those about the flash: the loader in RAM meets them too.
var flashLies = []lie{
	{"the chip tells a wrong MD5, once", faults(sim.Fault{Kind: sim.LieMD5}), "PASS", "sealed"},
	{"the chip tells wrong MD5s", faults(sim.Fault{Kind: sim.LieMD5, Times: -1}), noFlash, sealedThen},
	{"bits of the flash are stuck at 0", faults(sim.Fault{Kind: sim.StuckLow, Addr: 0x30123, XOR: 0xff}), noFlash, sealedThen},
	{"bits of the flash are stuck at 1", faults(sim.Fault{Kind: sim.StuckHigh, Addr: 0x10001, XOR: 0xff}), noFlash, sealedThen},
}

// fullLies are those of a device whose flash is full of something.
var fullLies = []lie{
	{"the flash was full", nil, "PASS", "sealed"},
	{"a sector of it does not erase", faults(sim.Fault{Kind: sim.NoErase, Addr: 0x30000, Size: 0x1000}), noFlash, sealedThen},
}

// filled is a product whose flash is full of something.
func filled(p product) product {
	p.before = func(o *sim.Options) { o.Flash = bytes.Repeat([]byte{0x5a}, 1<<20) }
	return p
}

var lies = []lie{
	{"fuses of the key are weak", fuses(sim.WeakFuse, "BLOCK1", 0, 77, 200, 255), "PASS", "sealed"},
	{"fuses of the counter are weak", fuses(sim.WeakFuse, "FLASH_CRYPT_CNT", 0, 3, 6), "PASS", "sealed"},
	{"fuses of a protection are weak", fuses(sim.WeakFuse, "WR_DIS", 0, 1, 3, 7), "PASS", "sealed"},
	{"the fuse that closes the loader is weak", fuses(sim.WeakFuse, "UART_DOWNLOAD_DIS", 0), "PASS", "sealed"},
	{"fuses of the key never burn", fuses(sim.DeadFuse, "BLOCK1", 0, 1, 2, 3, 4, 5), unburnt, unburnt},
	{"the key's read protection never burns", fuses(sim.DeadFuse, "RD_DIS", 0), unburnt, unburnt},
	{"JTAG_DISABLE never burns", fuses(sim.DeadFuse, "JTAG_DISABLE", 0), unburnt, unburnt},
	{"a fuse of the counter never burns", fuses(sim.DeadFuse, "FLASH_CRYPT_CNT", 6), unburnt, unburnt},
	{"the fuse that closes the loader never burns", fuses(sim.DeadFuse, "UART_DOWNLOAD_DIS", 0), unburnt, unburnt},

	{"a fuse of the key flickers", fuses(sim.FlickerFuse, "BLOCK1", 9), unstable, unstable},
	{"JTAG_DISABLE flickers", fuses(sim.FlickerFuse, "JTAG_DISABLE", 0), unstable, unstable},
	{"a fuse of the counter flickers", fuses(sim.FlickerFuse, "FLASH_CRYPT_CNT", 6), unstable, unstable},
	{"the fuse that hides the key flickers", fuses(sim.FlickerFuse, "RD_DIS", 0), unstable, unstable},
	{"a reserved fuse flickers", fuses(sim.FlickerFuse, "KEY_STATUS", 0), unstable, unstable},
	{"a fuse of the MAC flickers", fuses(sim.FlickerFuse, "MAC", 11), unstable, unstable},
	{"the MAC fails its CRC", faults(sim.Fault{Kind: sim.BadMACCRC}), "QUARANTINE E-MAC", "QUARANTINE E-MAC"},

	{"the voltage breaks down at the start", faults(sim.Fault{Kind: sim.Brownout}), "RETRY E-BROWNOUT", sealedThen},
	{"the voltage breaks down at the last start", faults(sim.Fault{Kind: sim.Brownout, At: 2}), "PASS", "sealed"},
	{"the application dies again and again", faults(sim.Fault{Kind: sim.BootLoop, Times: -1}), "RETRY E-BOOT-FAILED", sealedThen},
	{"an old application starts", faults(sim.Fault{Kind: sim.OldApp, Text: "0.9.0", Times: -1}), "RETRY E-BOOT-VERSION", sealedThen},
	{"the application never says that it is ready", faults(sim.Fault{Kind: sim.MuteApp, Times: -1}), "RETRY E-BOOT-MARKER", sealedThen},
	{"it does not say so at its last start", faults(sim.Fault{Kind: sim.MuteApp, At: 2}), "PASS", "sealed"},
	{"it never says so once the loader is closed", faults(sim.Fault{Kind: sim.MuteApp, At: 2, Times: -1}), "QUARANTINE E-CLOSED", "QUARANTINE E-CLOSED"},
}

func faults(list ...sim.Fault) []sim.Fault { return list }

func fuses(kind sim.Kind, field string, bits ...int) (list []sim.Fault) {
	for _, bit := range bits {
		list = append(list, sim.Fault{Kind: kind, Field: field, Bit: bit})
	}
	return list
}

// foreignChips were not ours from the beginning: fields that somebody burned.
var foreignChips = []struct {
	class string
	set   map[string]uint32
	end   string
}{
	{"the key block holds a part of something", map[string]uint32{"BLOCK1": 0x00100200}, "QUARANTINE E-FOREIGN-KEY"},
	{"a foreign key is hidden in the chip", map[string]uint32{"RD_DIS": 1, "WR_DIS": 1 << 7}, "QUARANTINE E-FOREIGN-KEY"},
	{"encryption was on before we came", map[string]uint32{"FLASH_CRYPT_CNT": 1}, "QUARANTINE E-FOREIGN-FUSES"},
	{"somebody froze the counter", map[string]uint32{"WR_DIS": 1 << 2}, "QUARANTINE E-FUSE-CONFLICT"},
}

// Each lie has its verdict and its code in the first visit, and its end when
// the device is put back without the fault.
func TestLyingChips(t *testing.T) {
	p := products(t)["release and lock"]
	var m matrix
	m.fill(t, func(l *lab, try tryFunc) {
		visit := func(class string, p product, faults []sim.Fault, first, end string) {
			try(class, p, func() *trial { return l.lie(p, lie{class, faults, first, end}) })
		}
		for _, c := range slices.Concat(flashLies, lies) {
			visit(c.class, p, c.faults, c.first, c.end)
		}
		for _, c := range foreignChips {
			odd := p
			odd.before = func(o *sim.Options) { o.Words = words(*o, c.set) }
			visit(c.class, odd, nil, c.end, c.end)
		}
		full := filled(p)
		for _, c := range fullLies {
			visit(c.class, full, c.faults, c.first, c.end)
		}
		full.lasting = true
		visit("and never will", full, fullLies[1].faults, noFlash, noFlash)
		try("another chip comes with the MAC of a sealed one", p, func() *trial { return l.twin(p, nil) })
		try("and with a key in it", p, func() *trial { return l.twin(p, map[string]uint32{"RD_DIS": 1, "WR_DIS": 1 << 7}) })
	})
	m.publish(t, "lying")
}

// lie is one device with a lie.
func (l *lab) lie(p product, c lie) *trial {
	tr := l.trial(p, c.faults...)
	tr.expect = c.end
	if got := how(tr.visit()); got != c.first {
		tr.fault("the first visit ends with %s, want %s: %v", got, c.first, tr.last().Failure)
	}
	return tr
}

// twin is a chip with the MAC of one that is sealed.
func (l *lab) twin(p product, set map[string]uint32) *trial {
	first := l.trial(p)
	first.visit()
	first.chip.Close()
	p.before = func(o *sim.Options) {
		o.MAC = first.mac
		o.Words = words(*o, set)
	}
	tr := l.trial(p)
	tr.mac, tr.ledger, tr.expect = first.mac, first.ledger, "QUARANTINE E-STRANGER"
	tr.wrong = append(tr.wrong, first.wrong...)
	tr.visit()
	return tr
}
