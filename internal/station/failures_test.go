package station

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"station/internal/chip"
	"station/internal/esploader"
	"station/internal/firmware"
	"station/internal/flow"
	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
	"station/internal/job"
	"station/internal/ledger"
	"station/internal/port"
	"station/internal/record"
	"station/internal/sim"
)

// provocation makes real parts fail, and returns the code that comes out.
type provocation func(t *testing.T) flow.Code

// Every code of the table can happen, and what makes it happen gives just this
// code. Whoever adds a code adds here what provokes it.
func TestEveryFailureIsReached(t *testing.T) {
	for _, kind := range flow.Failures {
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
	"E-CHIP":              onVisit(sim.Options{Chip: chip.ESP32C3, MAC: VirtualMAC(0)}),
	"E-CHIP-REVISION":     onVisit(sim.Options{Revision: 1}, `mode = "release"`, closes),
	"E-FLASH-SIZE":        onVisit(sim.Options{FlashSize: 512 << 10}),
	"E-CODING":            onVisit(sim.Options{Coding: 2}),
	"E-MAC":               onVisit(sim.Options{Faults: faults(sim.Fault{Kind: sim.BadMACCRC})}),
	"E-FOREIGN-KEY":       onVisit(sim.Options{Words: words(sim.Options{}, map[string]uint32{"BLOCK1": 0xdeadbeef})}),
	"E-FOREIGN-FUSES":     onVisit(sim.Options{Words: words(sim.Options{}, map[string]uint32{"FLASH_CRYPT_CNT": 1})}),
	"E-FUSE-CONFLICT":     onVisit(sim.Options{Words: words(sim.Options{}, map[string]uint32{"WR_DIS": 1 << 7})}),
	"E-LEDGER-DISAGREES":  onKnown(false, sim.Options{Words: words(sim.Options{MAC: VirtualMAC(0)}, map[string]uint32{"BLOCK1": 0xdeadbeef})}),
	"E-KEY-CONFLICT":      onKnown(true, sim.Options{Words: words(sim.Options{MAC: VirtualMAC(0)}, map[string]uint32{"BLOCK1": 0xffffffff})}),
	"E-KEY-CHANGED":       onKnownKey("0011223344556677", false, sim.Options{}),
	"E-SET-ASIDE":         twice(sim.Options{Words: words(sim.Options{}, map[string]uint32{"BLOCK1": 0xdeadbeef})}),
	"E-RETESTS":           twice(sim.Options{Faults: faults(sim.Fault{Kind: sim.LieMD5, Times: -1})}, "\n[boot]", "\n[line]\nretests = 1\n\n[boot]"),
	record.SealedOther:    underOther(sim.Options{}),
	record.OtherJob:       underOther(sim.Options{Faults: faults(sim.Fault{Kind: sim.MuteApp, Times: -1})}),
	record.Stranger:       strangerComes,
	record.SameMAC:        sameMAC,
	record.Doubtful:       onVisit(sim.Options{MAC: VirtualMAC(0), Real: true}),
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
	"E-LEDGER-SITE":    refusedBySite,
	"E-SITE":           beforeClaims(siteGone),
	"E-CLAIMED":        beforeClaims(claimedByOther),
	record.Conflicting: beforeClaims(conflictFound),
	record.ElsewhereCode: beforeClaims(func(t *testing.T, b *siteBench, _ *Site) {
		other := &siteLine{siteBench: b.another(t, "bench-2"), t: t}
		other.start()
		other.key(7, "derived:"+master+":00")
		other.settled()
	}),
	"E-PORT":          onPort(func(t *testing.T) string { return filepath.Join(t.TempDir(), "ttyUSB0") }),
	"E-PORT-BUSY":     onPort(heldPort),
	"E-QUOTA":         quotaUsedUp,
	"E-BATCH":         batchClosed,
	"E-SERIAL":        onVisit(sim.Options{}, "\n[boot]", withSerial),
	"E-IDENTITY":      onIdentity(func(*sim.Options) {}, "CN={mac},", "CN={mac},OU={batch},"), // at a line without a batch
	"E-ALIKE":         alike,
	"E-PANIC":         panics,
	flow.LabelMissing: labelMissing,
}

func codeOf(out flow.Outcome) flow.Code {
	if out.Failure == nil {
		return flow.Code(out.Verdict)
	}
	return out.Failure.Code
}

func stationOf(t *testing.T, pairs ...string) *station {
	return newStation(t, editCopy(t, small, append(pairs, `timeout = "10s"`, `timeout = "1s"`)...))
}

// soon is a provocation that takes no time.
func soon(provoke provocation) provocation {
	return func(t *testing.T) (code flow.Code) {
		timeless(func(t *testing.T) { code = provoke(t) })(t)
		return code
	}
}

func onVisit(o sim.Options, pairs ...string) provocation {
	return soon(func(t *testing.T) flow.Code { return codeOf(stationOf(t, pairs...).visit(newChip(t, o))) })
}

// onIdentity is a visit of a chip whose job has an identity.
func onIdentity(change func(*sim.Options), pairs ...string) provocation {
	return soon(func(t *testing.T) flow.Code {
		s, _ := identityStation(t, 0, "esp_secure_cert", pairs...)
		o := simFor(s.job, VirtualMAC(0))
		change(&o)
		return codeOf(s.visit(newChip(t, o)))
	})
}

// onSigned is a visit of a chip whose job has secure boot, after what was done to
// the images that the job has checked.
func onSigned(version int, o sim.Options, change func(*testing.T, *job.Job)) provocation {
	return soon(func(t *testing.T) flow.Code {
		s := newStation(t, bootJobFile(t, version, `timeout = "10s"`, `timeout = "1s"`))
		if change != nil {
			change(t, s.job)
		}
		return codeOf(s.visit(newChip(t, o)))
	})
}

// unsigned puts an image without a signature in the place of a signed one.
func unsigned(name, file string) func(*testing.T, *job.Job) {
	return func(t *testing.T, j *job.Job) {
		at := slices.IndexFunc(j.Regions, func(r firmware.Region) bool { return r.Name == name })
		j.Regions[at].Hold(bootFile(t, file))
	}
}

func onChip(spoil func(*sim.Chip)) provocation {
	return soon(func(t *testing.T) flow.Code {
		chip := newChip(t, sim.Options{})
		spoil(chip)
		return codeOf(stationOf(t).visit(chip))
	})
}

// onWire is a visit over a wire that something has been done to.
func onWire(wrap func(*sim.Port) esploader.Port) provocation {
	return soon(func(t *testing.T) flow.Code {
		wire, err := newChip(t, sim.Options{}).Open()
		if err != nil {
			t.Fatal(err)
		}
		return codeOf(stationOf(t).runner().Device(t.Context(), "1", "sim://1", esploader.New(wrap(wire), esploader.Options{})))
	})
}

// twice puts a chip into the slot until it is in its second visit, or its third
// where the second still ends like the first.
func twice(o sim.Options, pairs ...string) provocation {
	return soon(func(t *testing.T) flow.Code {
		s, chip := stationOf(t, pairs...), newChip(t, o)
		first := codeOf(s.visit(chip))
		if second := codeOf(s.visit(chip)); second != first {
			return second
		}
		return codeOf(s.visit(chip))
	})
}

// onKnown brings a chip whose MAC has its key in the ledger; burning tells that
// the key's burn was begun.
func onKnown(burning bool, o sim.Options) provocation {
	return onKnownKey("", burning, o)
}

func onKnownKey(check string, burning bool, o sim.Options) provocation {
	return func(t *testing.T) flow.Code {
		s := stationOf(t)
		o.MAC = VirtualMAC(0)
		key, err := s.token.DeviceKey(t.Context(), hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: VirtualMAC(0), Size: 32, Policy: hsm.Derived, Label: master})
		if err != nil {
			t.Fatal(err)
		}
		key.Secret.Destroy()
		id, _ := hsm.ParseKeyID(key.ID)
		if check != "" {
			id.Check = check
		}
		list := []record.Entry{{Kind: record.DeviceSeen}, {Kind: record.KeyAssigned, Keys: []record.Key{{Purpose: chip.FlashEncryption, ID: id.String(), Policy: "derived"}}}}
		if burning {
			list = append(list, record.Entry{Kind: record.BurnIntended, Stage: "key"})
		}
		for i := range list {
			list[i].MAC, list[i].Simulated = VirtualMAC(0), true
			list[i].Job, list[i].Revision, list[i].JobHash = s.job.Name, s.job.Revision, s.job.Digest()
		}
		if _, err := s.ledger.AppendAll(list); err != nil {
			t.Fatal(err)
		}
		return codeOf(s.visit(newChip(t, o)))
	}
}

// underOther brings a chip again, to the line of another product.
func underOther(o sim.Options) provocation {
	return func(t *testing.T) flow.Code {
		s, chip := stationOf(t), newChip(t, o)
		s.visit(chip)
		s.under(t, `name = "station-example"`, `name = "other"`)
		return codeOf(s.visit(chip))
	}
}

func strangerComes(t *testing.T) flow.Code {
	s := stationOf(t)
	s.visit(newChip(t, sim.Options{MAC: VirtualMAC(0)}))
	return codeOf(s.visit(newChip(t, sim.Options{MAC: VirtualMAC(0)})))
}

// sameMAC brings the second chip while the first is in its burns.
func sameMAC(t *testing.T) flow.Code {
	s := stationOf(t)
	r := s.runner()
	open := func() flow.Loader {
		wire, err := newChip(t, sim.Options{MAC: VirtualMAC(0)}).Open()
		if err != nil {
			t.Fatal(err)
		}
		return esploader.New(wire, esploader.Options{})
	}
	first, second := open(), open()
	var code flow.Code
	var once sync.Once
	emit := r.Emit
	r.Emit = func(e flow.Event) {
		emit(e)
		if e.Slot == "1" && e.Event == flow.StepStarted && e.Step == "burn-key" {
			once.Do(func() { code = codeOf(r.Device(t.Context(), "2", "sim://2", second)) })
		}
	}
	r.Device(t.Context(), "1", "sim://1", first)
	return code
}

func stopped(t *testing.T) flow.Code {
	s := stationOf(t)
	wire, err := newChip(t, sim.Options{}).Open()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	r := s.runner()
	r.Emit = func(e flow.Event) {
		if e.Event == flow.DeviceSeen {
			stop()
		}
	}
	return codeOf(r.Device(ctx, "1", "sim://1", esploader.New(wire, esploader.Options{})))
}

// realOnSoftware brings a virtual device, which passes, and then a real one.
func realOnSoftware(t *testing.T) flow.Code {
	s := stationOf(t)
	visit := func(o sim.Options) flow.Code {
		wire, err := newChip(t, o).Open()
		if err != nil {
			t.Fatal(err)
		}
		r := s.runner()
		r.VirtualOnly = (&File{Path: "station.toml"}).VirtualOnly(s.token.Info())
		return codeOf(r.Device(t.Context(), "1", "sim://1", esploader.New(wire, esploader.Options{})))
	}
	if code := visit(sim.Options{MAC: VirtualMAC(0)}); code != flow.Code(record.Pass) {
		return code
	}
	return visit(sim.Options{MAC: chip.MAC{0x24, 0x0a, 0xc4, 1, 2, 3}, Real: true})
}

func badRate(t *testing.T) flow.Code {
	out, _, _, _ := smallStation(t).visitBy(t, 1, nil, badAdapter{good: 460800, broken: true})
	return codeOf(out)
}

// disturbedBurn disturbs one register write after the other until one ends so.
func disturbedBurn(want flow.Code) provocation {
	return func(t *testing.T) (code flow.Code) {
		p := products(t)["release and lock"]
		inLab(t, func(l *lab) {
			ref, err := l.undisturbed(p)
			if err != nil {
				t.Fatal(err)
			}
			for n, c := range ref.sent {
				if c.op != writeReg || code == want {
					continue
				}
				tr := l.trial(p, sim.Fault{Kind: sim.ChangeByte, At: n + 1, Times: -1, Byte: 61, XOR: 0x10})
				if got := codeOf(tr.visit()); got == want {
					code = got
				}
				tr.finish()
			}
		})
		return code
	}
}

// onToken is a visit while the token does what the faults say.
func onToken(list ...string) provocation {
	return func(t *testing.T) (code flow.Code) {
		cfg, faults := hsmtest.Faulty(t, hsmtest.Known(t, hsmtest.Token(t), master, hsmtest.Master))
		token := hsmtest.Open(t, cfg)
		job := smallProduct(t)
		synctest.Test(t, func(t *testing.T) {
			s := newShift(t, token, job)
			faults.Set(list...)
			wire, err := newChip(t, sim.Options{FlashSize: 1 << 20}).Open()
			if err != nil {
				t.Fatal(err)
			}
			code = codeOf(s.line.Device(t.Context(), "1", "sim://1", esploader.New(wire, esploader.Options{})))
		})
		return code
	}
}

// noPIN opens a token whose PIN file anybody may read.
func noPIN(t *testing.T) flow.Code {
	cfg := hsmtest.Token(t)
	if err := os.Chmod(strings.TrimPrefix(cfg.URI.PINSource, "file:"), 0o644); err != nil {
		t.Fatal(err)
	}
	token, err := hsm.Open(cfg)
	if err == nil {
		token.Close()
		return "it was opened"
	}
	return flow.FailureFrom(TokenFailure(err)).Code
}

// twoTokens opens a token by what it has in common with the one beside it.
func twoTokens(t *testing.T) flow.Code {
	cfg := hsmtest.Token(t)
	other := exec.Command("softhsm2-util", "--init-token", "--free", "--label", cfg.URI.Token, "--so-pin", "12345678", "--pin", "1234")
	if out, err := other.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cfg.URI.Serial = ""
	token, err := hsm.Open(cfg)
	if err == nil {
		token.Close()
		return "it was opened"
	}
	return flow.FailureFrom(TokenFailure(err)).Code
}

func onStrangeLoader(t *testing.T) flow.Code {
	wire, err := newChip(t, sim.Options{}).Open()
	if err != nil {
		t.Fatal(err)
	}
	return codeOf(stationOf(t).runner().Device(t.Context(), "1", "sim://1", strange{esploader.New(wire, esploader.Options{})}))
}

func readOnlyLedger(t *testing.T) flow.Code {
	s := stationOf(t)
	book, err := ledger.Open(s.ledger.Path(), ledger.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	r := s.runner()
	r.Ledger = book
	wire, err := newChip(t, sim.Options{}).Open()
	if err != nil {
		t.Fatal(err)
	}
	return codeOf(r.Device(t.Context(), "1", "sim://1", esploader.New(wire, esploader.Options{})))
}

func openLedgerFile(t *testing.T, path string) {
	book, err := ledger.Open(path, ledger.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { book.Close() })
}

func onLedgerFile(spoil func(t *testing.T, path string)) provocation {
	return func(t *testing.T) flow.Code {
		path := filepath.Join(t.TempDir(), "ledger.db")
		if err := ledger.Create(path, record.Entry{}); err != nil {
			t.Fatal(err)
		}
		spoil(t, path)
		_, err := ledger.Open(path, ledger.Options{})
		return flow.FailureFrom(LedgerFailure(err)).Code
	}
}

// onPort is a line of one slot at that port.
func onPort(path func(t *testing.T) string) provocation {
	return func(t *testing.T) flow.Code {
		token := hsmtest.Open(t, hsmtest.Known(t, hsmtest.Token(t), master, hsmtest.Master))
		s := newShift(t, token, smallProduct(t), Slot("1", path(t), "manual", true))
		s.line.Once = true
		s.line.Run(t.Context())
		return s.code(flow.DeviceFailed)
	}
}

// code is that of the first event of a kind.
func (s *shift) code(event string) flow.Code {
	for _, e := range s.events {
		if e.Event == event {
			return e.Code
		}
	}
	return ""
}

// heldPort is a port that is open elsewhere.
func heldPort(t *testing.T) string {
	pty, err := newChip(t, sim.Options{NoLines: true, InLoader: true}).ServePTY(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	held, err := port.Open(pty.Path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { held.Close() })
	return pty.Path
}

func quotaUsedUp(t *testing.T) flow.Code {
	s := stationOf(t, "[key]", "[quota]\ndevices = 1\n\n[key]")
	s.visit(newChip(t, sim.Options{MAC: VirtualMAC(0)}))
	return codeOf(s.visit(newChip(t, sim.Options{MAC: VirtualMAC(1)})))
}

func batchClosed(t *testing.T) flow.Code {
	s := stationOf(t)
	for _, kind := range []record.Kind{record.BatchOpened, record.BatchClosed} {
		if _, err := s.ledger.Append(record.Entry{Kind: kind, Batch: "b", Operator: "eve", Message: "test", Simulated: true}); err != nil {
			t.Fatal(err)
		}
	}
	wire, err := newChip(t, sim.Options{}).Open()
	if err != nil {
		t.Fatal(err)
	}
	r := s.runner()
	r.Batch = "b"
	return codeOf(r.Device(t.Context(), "1", "sim://1", esploader.New(wire, esploader.Options{})))
}

// alike puts devices into a line that never start.
func alike(t *testing.T) (code flow.Code) {
	token := hsmtest.Open(t, hsmtest.Known(t, hsmtest.Token(t), master, hsmtest.Master))
	job := smallProduct(t)
	synctest.Test(t, func(t *testing.T) {
		var chips []*sim.Chip
		for n := range flow.AlikeFailures + 1 {
			chips = append(chips, newChip(t, sim.Options{MAC: VirtualMAC(n), FlashSize: 1 << 20, Faults: faults(sim.Fault{Kind: sim.MuteApp, Times: -1})}))
		}
		s := newShift(t, token, job, newTray(chips...).slot("1"))
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		s.line.Run(ctx)
		code = s.code(flow.LineHalted)
	})
	return code
}

func panics(t *testing.T) flow.Code {
	s := stationOf(t)
	r := s.runner()
	broken := false
	r.Now = func() time.Time {
		if broken {
			broken = false
			panic("the clock is broken")
		}
		return time.Now()
	}
	r.Emit = func(e flow.Event) { broken = e.Event == flow.StepDone && e.Step == "admit" }
	wire, err := newChip(t, sim.Options{}).Open()
	if err != nil {
		t.Fatal(err)
	}
	return codeOf(r.Device(t.Context(), "1", "sim://1", esploader.New(wire, esploader.Options{})))
}

func labelMissing(t *testing.T) (code flow.Code) {
	l := Labels{Print: func(chip.MAC) error {
		_, err := os.OpenFile(filepath.Join(t.TempDir(), "no", "printer"), os.O_WRONLY, 0)
		return err
	}}
	emit := l.Watch(func(e flow.Event) {
		if e.Event == flow.LabelFailed {
			code = e.Code
		}
	})
	emit(passed(1))
	emit(flow.Event{Event: flow.LineDone})
	return code
}

// console changes what a chip prints after it has left its loader.
type console struct {
	*sim.Port
	mute bool   // nothing arrives
	says string // a line of the bootloader's more
	app  bool   // it has left its loader
	seen []byte // since then
	said bool
}

func (c *console) SetLines(dtr, rts bool) error {
	if rts { // a reset
		c.app, c.seen, c.said = !dtr, nil, false
	}
	if dtr {
		c.app = false // GPIO0 is held low
	}
	return c.Port.SetLines(dtr, rts)
}

func (c *console) Read(p []byte) (int, error) {
	n, err := c.Port.Read(p[:len(p)/2])
	for c.app && c.mute && err == nil {
		n, err = c.Port.Read(p)
	}
	if !c.app || c.mute || c.said {
		return n, err
	}
	c.seen = append(c.seen, p[:n]...)
	_, after, found := bytes.Cut(c.seen, []byte("2nd stage bootloader"))
	if _, rest, ended := bytes.Cut(after, []byte("\n")); found && ended {
		c.said = true
		tail := p[n-len(rest) : n]
		n += copy(p[n-len(rest):], append([]byte(c.says+"\r\n"), tail...)) - len(rest)
	}
	return n, err
}

// strange is a loader that fails in a way that nobody has thought of.
type strange struct{ flow.Loader }

func (strange) SetFlashSize(context.Context, uint32) error {
	return errors.New("the chip is on strike")
}
