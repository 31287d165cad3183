package esploader

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"strings"
	"testing"
	"time"

	"station/internal/chip"
	"station/internal/flashcrypt"
	"station/internal/racetest"
	"station/internal/secret"
	"station/internal/sim"
)

// What is embedded is what device/loader is built to, as `make loader` checks.
func TestRAMLoaderIsTheOneThatWasBuilt(t *testing.T) {
	sums, err := os.ReadFile("../../device/loader/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%x  internal/esploader/ramloader.bin\n", sha256.Sum256(ramLoader))
	if !strings.Contains(string(sums), want) {
		t.Errorf("device/loader/SHA256SUMS lacks %s", want)
	}
	if len(ramLoader) > 8<<10 || len(ramLoader)%4 != 0 {
		t.Errorf("%d bytes of code", len(ramLoader))
	}
}

// code is n bytes that compress as code does.
func code(seed string, n int) []byte {
	var b []byte
	for i := 0; len(b) < n; i++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", seed, i))
		b = append(b, sum[:24]...)
		if from := int(sum[24])<<8 | int(sum[25]); from < len(b) {
			b = append(b, b[from:min(len(b), from+int(sum[26])%64)]...)
		}
	}
	return b[:n]
}

// allKinds is data that deflate writes in each of its ways: runs, short periods, what lies
// as far back as it can, bytes so unlike in number that their codes are long, and noise.
func allKinds() (b []byte) {
	for period := range 9 {
		b = append(b, bytes.Repeat(code("period", 12)[:period+1], 700/(period+1))...)
	}
	far := code("far", 300)
	for range 4 {
		b = append(b, far...)
		for rest := 32<<10 - len(far); rest > 0; {
			n := 0 // how often a byte comes halves with each, to one in a million
			for sum := sha256.Sum256(binary.LittleEndian.AppendUint32(nil, uint32(len(b)))); n < 20 && sum[n/8]>>(n%8)&1 != 0; {
				n++
			}
			b, rest = append(b, byte(200+n)), rest-1
		}
	}
	return append(b, code("noise", 5000)...)
}

// ramImages are images of every kind, with what the flash must hold.
func ramImages(t *testing.T, key *secret.Bytes, config uint8) []chip.PlainImage {
	t.Helper()
	cipher, err := flashcrypt.New(key, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cipher.Destroy)
	var images []chip.PlainImage
	for _, i := range []struct {
		addr      uint32
		plain     []byte
		encrypted bool
	}{
		{0x1000, code("bootloader", 26_768), true},
		{0x8000, bytes.Repeat([]byte{0xff}, 0xc00), true},
		{0x10000, code("app", 80_000), true},
		{0x40000, bytes.Repeat([]byte("the same line again and again\n"), 1000), false},
		{0x61000, code("odd", 10_001), false},
	} {
		image := chip.PlainImage{Addr: i.addr, Plain: i.plain, Encrypted: i.encrypted, Stored: bytes.NewReader(i.plain)}
		if i.encrypted {
			stored := make([]byte, len(i.plain))
			if err := cipher.Encrypt(stored, i.plain, i.addr); err != nil {
				t.Fatal(err)
			}
			image.Stored = bytes.NewReader(stored)
		}
		images = append(images, image)
	}
	return images
}

func testKey(t *testing.T, n int) *secret.Bytes {
	t.Helper()
	sum := sha256.Sum256([]byte("a key"))
	key, err := secret.New(sum[:n])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(key.Destroy)
	return key
}

// byRAM brings a chip to its loader and has the loader in RAM write.
func byRAM(t *testing.T, ctx context.Context, l *Loader, baud int, job chip.RAMJob) (chip.RAMStats, error) {
	t.Helper()
	if err := l.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	id, err := l.Identify(ctx)
	if err == nil {
		err = l.SetBaud(ctx, baud)
	}
	if err != nil {
		t.Fatal(err)
	}
	return l.WriteByRAM(ctx, id, job)
}

// checkStored holds the flash against what it is to hold.
func checkStored(t *testing.T, device *sim.Chip, images []chip.PlainImage) {
	t.Helper()
	flash := device.Flash()
	for _, i := range images {
		want := make([]byte, len(i.Plain))
		i.Stored.ReadAt(want, 0)
		if got := flash[i.Addr:][:len(want)]; !bytes.Equal(got, want) {
			at := 0
			for got[at] == want[at] {
				at++
			}
			t.Errorf("image at %#x differs from %#x on: % x, want % x", i.Addr, at, got[at:min(at+16, len(got))], want[at:min(at+16, len(got))])
		}
	}
}

func TestWriteByRAM(t *testing.T) {
	var cases racetest.Sample
	for _, c := range []struct {
		name    string
		chip    sim.Options
		baud    int
		key     int
		config  uint8
		garbage bool
	}{
		{"blank", sim.Options{}, 921600, 32, 0xf, false},
		{"fast, not blank, short key", sim.Options{Coding: 1}, 2_000_000, 24, 0xf, true},
		{"slow crystal, untweaked", sim.Options{Crystal: 26, Revision: 1}, 2_000_000, 32, 0, false},
		{"quarters of the key", sim.Options{Revision: sim.Rev0}, 115200, 32, 0x5, true},
	} {
		if cases.Out(2) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			key := testKey(t, c.key)
			images := ramImages(t, key, c.config)
			if c.chip.Crystal == 26 { // the least of a processor and of time between two bytes
				all := allKinds()
				images = append(images, chip.PlainImage{Addr: 0x70000, Plain: all, Stored: bytes.NewReader(all)})
			}
			if c.garbage {
				c.chip.Flash = code("what was there", 1<<20)
			}
			virtual(t, c.chip, Options{}, func(ctx context.Context, device *sim.Chip, l *Loader) {
				began := time.Now()
				stats, err := byRAM(t, ctx, l, c.baud, chip.RAMJob{Images: images, Key: key, Config: c.config})
				if err != nil || !stats.Started || !stats.Wiped {
					t.Fatalf("%+v: %v, %v", stats, err, device.CodeFault())
				}
				checkStored(t, device, images)
				m := device.Meter().Code
				t.Logf("%+v in %v on its clock, %v on this one", stats, m.Time, time.Since(began))
				t.Logf("%+v", m)
				if stats.Retries != 0 {
					t.Errorf("%d blocks sent again on a good wire", stats.Retries)
				}
			})
		})
	}
}

// What the samples of a region do not show is mended by the ROM: that region alone.
func TestRAMSamples(t *testing.T) {
	key := testKey(t, 32)
	images := ramImages(t, key, 0xf)
	app := images[2]
	flash := bytes.Repeat([]byte{0xff}, 1<<20)
	flash[app.Addr+2*sectorSize] = 0 // between the samples
	virtual(t, sim.Options{Flash: flash}, Options{}, func(ctx context.Context, device *sim.Chip, l *Loader) {
		stats, err := byRAM(t, ctx, l, 921600, chip.RAMJob{Images: images, Key: key, Config: 0xf})
		if err != nil || !stats.Wiped {
			t.Fatalf("%+v, %v", stats, err)
		}
		if err := l.Connect(ctx); err != nil {
			t.Fatal(err)
		}
		for _, i := range images {
			stats, err := l.WriteFlash(ctx, i.Addr, len(i.Plain), i.Stored, nil)
			if err != nil || (stats.Sent > 0) != (i.Addr == app.Addr) {
				t.Errorf("image at %#x: %+v, %v", i.Addr, stats, err)
			}
		}
		checkStored(t, device, images)
	})
}

// A chip that the loader in RAM is not for is left to the ROM, untouched.
func TestRAMIsNotForAll(t *testing.T) {
	key := testKey(t, 32)
	images := ramImages(t, key, 0xf)
	for _, o := range []sim.Options{{InLoader: true}, {InLoader: true, NoLines: true}} {
		opts := Options{}
		if !o.NoLines {
			opts.Reset = ResetManual
		}
		virtual(t, o, opts, func(ctx context.Context, device *sim.Chip, l *Loader) {
			stats, err := byRAM(t, ctx, l, 921600, chip.RAMJob{Images: images, Key: key, Config: 0xf})
			if !errors.Is(err, chip.ErrRAM) || stats.Started {
				t.Errorf("%+v %v", stats, err)
			}
		})
	}
	virtual(t, sim.Options{}, Options{}, func(ctx context.Context, device *sim.Chip, l *Loader) {
		l.Connect(ctx)
		id, _ := l.Identify(ctx)
		id.Revision = 400
		if _, err := l.WriteByRAM(ctx, id, chip.RAMJob{}); !errors.Is(err, chip.ErrRAM) {
			t.Error(err)
		}
		id = chip.Identity{Chip: chip.ESP32C3.Name}
		if _, err := l.WriteByRAM(ctx, id, chip.RAMJob{}); !errors.Is(err, chip.ErrRAM) {
			t.Error(err)
		}
	})
}

// Of what the line damages only that is sent again, as soon as something later has
// arrived; without a silence to wait for. At the end nothing of the key is left.
func TestRAMSendsAgainWhatIsLost(t *testing.T) {
	key := testKey(t, 32)
	images := ramImages(t, key, 0xf)
	var cases racetest.Sample
	for _, c := range []struct {
		name    string
		faults  []sim.Fault
		retries int
	}{
		{"a byte lost", []sim.Fault{{Kind: sim.DropCodeByte, At: 50_000}}, 1},
		{"a byte changed", []sim.Fault{{Kind: sim.ChangeCodeByte, At: 30_001, XOR: 0x40}}, 1},
		{"three far apart", []sim.Fault{{Kind: sim.DropCodeByte, At: 9_000}, {Kind: sim.DropCodeByte, At: 60_000}, {Kind: sim.DoubleCodeByte, At: 85_000}}, 3},
		{"answers damaged", []sim.Fault{{Kind: sim.ChangeCodeTalk, At: 300, Times: 200}}, 0},
		{"an end of a frame", []sim.Fault{{Kind: sim.ChangeCodeByte, At: 2, XOR: 0xff}}, 1},
		{"every tenth answer", []sim.Fault{{Kind: sim.DropCodeTalk, At: 500, Times: 22}, {Kind: sim.DropCodeTalk, At: 900, Times: 22}}, 0},
	} {
		if cases.Out(3) {
			continue
		}
		virtual(t, sim.Options{Faults: c.faults}, Options{}, func(ctx context.Context, device *sim.Chip, l *Loader) {
			stats, err := byRAM(t, ctx, l, 921600, chip.RAMJob{Images: images, Key: key, Config: 0xf})
			if err != nil || !stats.Wiped || stats.Retries != c.retries {
				t.Errorf("%s: %+v, %v", c.name, stats, err)
			}
			checkStored(t, device, images)
			if err := l.Connect(ctx); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			if at := bytes.IndexFunc(device.RAM(ramData, ramDataSize), func(r rune) bool { return r != 0 }); at >= 0 {
				t.Errorf("%s: what the loader held is left at %#x", c.name, ramData+at)
			}
		})
	}
}

// A loader in RAM that does not come to its end leaves the work to the ROM, and
// what it held is overwritten through the ROM.
func TestRAMThatDoesNotComeToItsEnd(t *testing.T) {
	key := testKey(t, 32)
	images := ramImages(t, key, 0xf)
	stuck := sim.DefaultTimes
	stuck.PageProgram = time.Minute
	var cases racetest.Sample
	for _, c := range []struct {
		name  string
		fault sim.Fault
		why   string
		chip  sim.Options
		other uint8 // bits of FLASH_CRYPT_CONFIG that it is told otherwise
	}{
		{name: "it hangs", fault: sim.Fault{Kind: sim.HangCode, At: 40_000}, why: "fallen silent"},
		{name: "it restarts", fault: sim.Fault{Kind: sim.RestartCode, At: 40_000}},
		{name: "nothing gets through", fault: sim.Fault{Kind: sim.ChangeCodeByte, Times: -1, XOR: 0x20}, why: "silent"},
		{name: "it is never heard", fault: sim.Fault{Kind: sim.DropCodeTalk, Times: -1}, why: "does not start"},
		{name: "it hangs with the key", fault: sim.Fault{Kind: sim.HangCode, At: 400}, why: "silent"},
		{name: "the flash hangs", chip: sim.Options{Times: stuck}, why: "it gives up: the flash does not finish"},
		{name: "another cipher", other: 1, why: "it has programmed something else"},
	} {
		if cases.Out(3) {
			continue
		}
		if c.fault.Kind != "" {
			c.chip.Faults = []sim.Fault{c.fault}
		}
		virtual(t, c.chip, Options{}, func(ctx context.Context, device *sim.Chip, l *Loader) {
			stats, err := byRAM(t, ctx, l, 921600, chip.RAMJob{Images: images, Key: key, Config: 0xf ^ c.other})
			if !errors.Is(err, chip.ErrRAM) || !strings.Contains(err.Error(), c.why) || !stats.Started || stats.Wiped != (c.other != 0) {
				t.Errorf("%s: %+v, %v", c.name, stats, err)
			}
			device.Heal()
			if err := l.Connect(ctx); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if err := l.WipeRAM(ctx); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if at := bytes.IndexFunc(device.RAM(ramData, ramDataSize), func(r rune) bool { return r != 0 }); at >= 0 {
				t.Errorf("%s: what the loader held is left at %#x", c.name, ramData+at)
			}
		})
	}
}

// An answer of another version, or with a byte changed, is none.
func TestRAMAnswersOfOthers(t *testing.T) {
	answer := func(version byte) []byte {
		p := append([]byte{version}, make([]byte, 15)...)
		return binary.LittleEndian.AppendUint32(p, crc32.ChecksumIEEE(p))
	}
	changed := answer(ramVersion)
	changed[9] ^= 1
	for want, p := range map[bool][][]byte{true: {answer(ramVersion)}, false: {answer(ramVersion + 1), changed, answer(ramVersion)[:19]}} {
		for _, p := range p {
			if _, ok := parseRAMAnswer(p); ok != want {
				t.Errorf("% x: %t", p, ok)
			}
		}
	}
}

// What an earlier visit has left in RAM is overwritten also where nothing has to be
// written, once; a loader that came to its end has left nothing.
func TestRAMOfAnEarlierVisit(t *testing.T) {
	key := testKey(t, 32)
	images := ramImages(t, key, 0xf)
	job := chip.RAMJob{Images: images, Key: key, Config: 0xf}
	for _, c := range []struct {
		faults []sim.Fault
		wipes  int
	}{
		{nil, 0},
		{[]sim.Fault{{Kind: sim.HangCode, At: 40_000}}, 2},
	} {
		virtual(t, sim.Options{Faults: c.faults}, Options{}, func(ctx context.Context, device *sim.Chip, l *Loader) {
			byRAM(t, ctx, l, 921600, job)
			device.Heal()
			if err := l.Connect(ctx); err != nil {
				t.Fatal(err)
			}
			for _, i := range images {
				if _, err := l.WriteFlash(ctx, i.Addr, len(i.Plain), i.Stored, nil); err != nil {
					t.Fatal(err)
				}
			}
			before := device.Meter()
			for range 2 {
				if stats, err := byRAM(t, ctx, l, 921600, job); err != nil || stats.Started {
					t.Errorf("%+v, %v", stats, err)
				}
			}
			if got := device.Meter().Since(before).Commands["MEM_BEGIN"]; got != c.wipes {
				t.Errorf("%d pieces of RAM overwritten, want %d", got, c.wipes)
			}
			if at := bytes.IndexFunc(device.RAM(ramData, ramDataSize), func(r rune) bool { return r != 0 }); at >= 0 {
				t.Errorf("what the loader held is left at %#x", ramData+at)
			}
		})
	}
}

// Who stops is not kept waiting by a loader in RAM that does not answer any more.
func TestRAMThatHangsWhenStopped(t *testing.T) {
	key := testKey(t, 32)
	fault := sim.Fault{Kind: sim.HangCode, At: 40_000}
	virtual(t, sim.Options{Faults: []sim.Fault{fault}}, Options{}, func(ctx context.Context, device *sim.Chip, l *Loader) {
		ctx, stop := context.WithCancel(ctx)
		var stopped time.Time
		job := chip.RAMJob{Images: ramImages(t, key, 0xf), Key: key, Config: 0xf, Progress: func(done int) {
			if done > 0 && stopped.IsZero() {
				stopped = time.Now()
				stop()
			}
		}}
		stats, err := byRAM(t, ctx, l, 921600, job)
		if !errors.Is(err, context.Canceled) || stats.Wiped || time.Since(stopped) > 2*time.Second {
			t.Errorf("after %v: %+v, %v", time.Since(stopped), stats, err)
		}
	})
}

// A loader in RAM that nobody speaks to any more overwrites what it holds by itself.
func TestRAMThatIsForgotten(t *testing.T) {
	key := testKey(t, 32)
	fault := sim.Fault{Kind: sim.DropCodeByte, At: 40_000, Times: -1}
	virtual(t, sim.Options{Faults: []sim.Fault{fault}}, Options{}, func(ctx context.Context, device *sim.Chip, l *Loader) {
		if _, err := byRAM(t, ctx, l, 921600, chip.RAMJob{Images: ramImages(t, key, 0xf), Key: key, Config: 0xf}); !errors.Is(err, chip.ErrRAM) {
			t.Fatal(err)
		}
		time.Sleep(12 * time.Second)
		if err := l.Connect(ctx); err != nil {
			t.Fatal(err)
		}
		if at := bytes.IndexFunc(device.RAM(ramData, ramDataSize), func(r rune) bool { return r != 0 }); at >= 0 {
			t.Errorf("what the loader held is left at %#x", ramData+at)
		}
	})
}
