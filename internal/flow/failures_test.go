package flow_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"station/internal/chip"
	"station/internal/esploader"
	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/record"
	"station/internal/sim"
	"station/internal/station"
)

// provocation makes real parts fail, and returns the code that comes out.
type provocation func(t *testing.T) flow.Code

// Every code of the table can happen, and what makes it happen gives just this
// code. Whoever adds a code adds here what provokes it; those that need a site
// are provoked beside station.Site.
func TestEveryFailureIsReached(t *testing.T) {
	for _, kind := range flow.Failures {
		if slices.Contains(flowtest.OfASite, kind.Code) {
			continue
		}
		t.Run(string(kind.Code), func(t *testing.T) {
			provoke := provocations[kind.Code]
			if provoke == nil {
				t.Fatal("nothing provokes it: add it to provocations, or take it out of the table")
			}
			if got := provoke(t); got != kind.Code {
				t.Errorf("got %q", got)
			}
		})
	}
	for code := range provocations {
		if flow.FailureOf(code).Sentence == flow.FailureOf("E-NO-SUCH-CODE").Sentence && code != "E-UNKNOWN" {
			t.Errorf("%s is not in the table", code)
		}
	}
}

const (
	readReg, spiSetParams = 0x0a, 0x0b
	closes                = "mode = \"release\"\nfuses = { UART_DOWNLOAD_DIS = 1 }"
)

// says starts an application that prints other things than that it is ready.
func says(text string) []sim.Fault {
	return faults(sim.Fault{Kind: sim.OldApp, Text: "1.0.0\n" + text, Times: -1}, sim.Fault{Kind: sim.MuteApp, Times: -1})
}

var provocations = map[flow.Code]provocation{
	"E-NO-ANSWER":     onChip(func(c *sim.Chip) { c.PowerOff() }),
	"E-PORT-GONE":     onVisit(sim.Options{Faults: faults(sim.Fault{Kind: sim.Unplug, Op: flashBegin})}),
	"E-BOOT-MODE":     onWire(func(p *sim.Port) esploader.Port { return gpio0High{p} }),
	"E-DEAF":          onVisit(sim.Options{Faults: faults(sim.Fault{Kind: sim.Silence, Times: -1})}),
	"E-ROM":           onVisit(sim.Options{Faults: faults(sim.Fault{Kind: sim.ChangeReply, Op: spiSetParams, Byte: 9, Times: -1})}),
	"E-BAUD":          badRate,
	"E-FLASH-ID":      onVisit(sim.Options{FlashID: 0xffffff, FlashSize: 1 << 20}),
	"E-FLASH-VERIFY":  onVisit(sim.Options{Faults: faults(sim.Fault{Kind: sim.LieMD5, Times: -1})}),
	"E-FUSE-WIRE":     disturbedBurn("E-FUSE-WIRE"),
	"E-FUSE-PART":     disturbedBurn("E-FUSE-PART"),
	"E-KEY-TORN":      onC3(func(o *sim.Options) { o.Faults = fuses(sim.DeadFuse, "BLOCK_KEY0", 0, 1, 2, 3, 4, 5, 6, 7, 8, 9) }),
	"E-BROWNOUT":      onVisit(sim.Options{Faults: faults(sim.Fault{Kind: sim.Brownout, Times: -1})}),
	"E-BOOT-SILENT":   onWire(func(p *sim.Port) esploader.Port { return &console{Port: p, mute: true} }),
	"E-BOOT-MARKER":   onVisit(sim.Options{Faults: faults(sim.Fault{Kind: sim.MuteApp, Times: -1})}),
	"E-BOOT-FAILED":   onVisit(sim.Options{Faults: faults(sim.Fault{Kind: sim.BootLoop, Times: -1})}),
	"E-BOOT-PSRAM":    onVisit(sim.Options{Faults: says("E (300) quad_psram: PSRAM ID read error: 0xffffffff")}),
	"E-BOOT-CORES":    onVisit(sim.Options{Faults: says("E (300) cpu_start: Running on single core variant of a chip, but app is built with multi-core support.")}),
	"E-BOOT-ASSERT":   onVisit(sim.Options{Faults: says("assert failed: app_main main.c:12 (ready)")}),
	"E-BOOT-STACK":    onVisit(sim.Options{Faults: says("***ERROR*** A stack overflow in task main has been detected.")}),
	"E-BOOT-HEAP":     onVisit(sim.Options{Faults: says("CORRUPT HEAP: Bad head at 0x3ffb1234.")}),
	"E-BOOT-VERSION":  onVisit(sim.Options{Faults: faults(sim.Fault{Kind: sim.OldApp, Text: "0.9.0", Times: -1})}),
	"E-BOOT-IDENTITY": onIdentity(func(o *sim.Options) { o.Identity = "somebody else" }, `timeout = "10s"`, `timeout = "1s"`),
	"E-STOPPED":       stopped,

	"E-SIGNATURE-BOOT":   onSigned(2, sim.Options{FlashSize: 4 << 20}, unsigned("bootloader", "bootloader.bin")),
	"E-SIGNATURE-APP":    onSigned(2, sim.Options{FlashSize: 4 << 20}, unsigned("app", "app.bin")),
	"E-SIGNATURE-UNSEEN": onSigned(1, sim.Options{Revision: 1, Quiet: true}, nil),

	"E-NOT-ESP32":         onVisit(sim.Options{Faults: faults(sim.Fault{Kind: sim.ChangeReply, Op: readReg, Byte: 5, Times: -1})}),
	"E-CHIP":              onVisit(sim.Options{Chip: chip.ESP32C3, MAC: station.VirtualMAC(0)}),
	"E-CHIP-REVISION":     onVisit(sim.Options{Revision: 1}, `mode = "release"`, closes),
	"E-FLASH-SIZE":        onVisit(sim.Options{FlashSize: 512 << 10}),
	"E-CODING":            onVisit(sim.Options{Coding: 2}),
	"E-MAC":               onVisit(sim.Options{Faults: faults(sim.Fault{Kind: sim.BadMACCRC})}),
	"E-FOREIGN-KEY":       onVisit(sim.Options{Words: words(sim.Options{}, map[string]uint32{"BLOCK1": 0xdeadbeef})}),
	"E-FOREIGN-FUSES":     onVisit(sim.Options{Words: words(sim.Options{}, map[string]uint32{"FLASH_CRYPT_CNT": 1})}),
	"E-FUSE-CONFLICT":     onVisit(sim.Options{Words: words(sim.Options{}, map[string]uint32{"WR_DIS": 1 << 7})}),
	"E-LEDGER-DISAGREES":  onKnown(false, sim.Options{Words: words(sim.Options{MAC: station.VirtualMAC(0)}, map[string]uint32{"BLOCK1": 0xdeadbeef})}),
	"E-KEY-CONFLICT":      onKnown(true, sim.Options{Words: words(sim.Options{MAC: station.VirtualMAC(0)}, map[string]uint32{"BLOCK1": 0xffffffff})}),
	"E-KEY-CHANGED":       onKnownKey("0011223344556677", false, sim.Options{}),
	"E-SET-ASIDE":         twice(sim.Options{Words: words(sim.Options{}, map[string]uint32{"BLOCK1": 0xdeadbeef})}),
	"E-RETESTS":           twice(sim.Options{Faults: faults(sim.Fault{Kind: sim.LieMD5, Times: -1})}, "\n[boot]", "\n[line]\nretests = 1\n\n[boot]"),
	record.SealedOther:    underOther(sim.Options{}),
	record.OtherJob:       underOther(sim.Options{Faults: faults(sim.Fault{Kind: sim.MuteApp, Times: -1})}),
	record.Stranger:       strangerComes,
	record.SameMAC:        sameMAC,
	record.Doubtful:       onVisit(sim.Options{MAC: station.VirtualMAC(0), Real: true}),
	"E-DOWNLOAD-DISABLED": twice(sim.Options{}, `mode = "release"`, closes),
	"E-CLOSED":            onVisit(sim.Options{Faults: faults(sim.Fault{Kind: sim.MuteApp, At: 2, Times: -1})}, `mode = "release"`, closes),
	"E-FUSE-UNSTABLE":     onVisit(sim.Options{Faults: fuses(sim.FlickerFuse, "JTAG_DISABLE", 0)}),
	"E-BOOT-SELFKEY": onWire(func(p *sim.Port) esploader.Port {
		return &console{Port: p, says: "I (80) flash_encrypt: Generating new flash encryption key..."}
	}),
	"E-UNKNOWN": onStrangeLoader,

	"E-KEY-BLOCKS": onC3(func(o *sim.Options) { o.Words = usedUp(*o) }),
	"E-FUSE-BURN":  onVisit(sim.Options{Faults: fuses(sim.DeadFuse, "JTAG_DISABLE", 0)}),
	"E-FUSE-WRONG": onVisit(sim.Options{Faults: fuses(sim.StrayFuse, "ABS_DONE_1", 0)}),

	"E-HSM":            onToken("C_Sign 0x5 -1 0"),
	"E-HSM-AWAY":       onToken("C_Sign 0xb3 -1 0"),
	"E-HSM-PIN":        onToken("C_Sign 0xb3 1 0", "C_Login 0xa0 1 0"),
	"E-HSM-NO-PIN":     noPIN,
	"E-HSM-TOKENS":     twoTokens,
	"E-HSM-SOFTWARE":   realOnSoftware,
	"E-HSM-KEY":        onVisit(sim.Options{}, `label = "station-master"`, `label = "nobody"`),
	"E-LEDGER":         readOnlyLedger,
	"E-LEDGER-LOCKED":  onLedgerFile(func(t *testing.T, path string) { openLedgerFile(t, path) }),
	"E-LEDGER-DAMAGED": onLedgerFile(func(t *testing.T, path string) { _ = os.Truncate(path, 20000) }),
	"E-PORT":           onPort(func(t *testing.T) string { return filepath.Join(t.TempDir(), "ttyUSB0") }),
	"E-PORT-BUSY":      onPort(heldPort),
	"E-QUOTA":          quotaUsedUp,
	"E-BATCH":          batchClosed,
	"E-SERIAL":         onVisit(sim.Options{}, "\n[boot]", withSerial),
	"E-IDENTITY":       onIdentity(func(*sim.Options) {}, "CN={mac},", "CN={mac},OU={batch},"), // at a line without a batch
	"E-ALIKE":          alike,
	"E-PANIC":          panics,
	flow.LabelMissing:  labelMissing,
}
