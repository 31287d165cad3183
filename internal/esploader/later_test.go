package esploader

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/sim"
)

// A chip after the ESP32 says who it is, is written and read back, at every
// speed; its key blocks show in no trace.
func TestVirtualC3(t *testing.T) {
	var trace bytes.Buffer
	opts := Options{Trace: func(_ byte, frame []byte) { trace.Write(frame) }}
	virtual(t, sim.Options{Chip: chip.ESP32C3, MAC: [6]byte{0x60, 0x55, 0xf9, 1, 2, 3}, Minor: 4, Package: 1}, opts, func(ctx context.Context, device *sim.Chip, l *Loader) {
		if err := l.Connect(ctx); err != nil {
			t.Fatal(err)
		}
		for _, baud := range []int{460800, 921600, 2000000} {
			if err := l.SetBaud(ctx, baud); err != nil {
				t.Error(err)
			}
		}
		id, err := l.Identify(ctx)
		want := chip.Identity{Chip: "esp32c3", MAC: chip.MAC{0x60, 0x55, 0xf9, 1, 2, 3}, Revision: 4, Package: "ESP8685 (QFN28)", Crystal: 40,
			FlashID: 0x1640ef, FlashSize: 4 << 20, Simulated: true}
		if err != nil || id != want {
			t.Fatalf("got %+v, %v\nwant %+v", id, err, want)
		}
		data := bytes.Repeat([]byte("the firmware of a C3 "), 1000)
		if _, err := l.WriteFlash(ctx, 0x10000, len(data), bytes.NewReader(data), nil); err != nil {
			t.Fatal(err)
		}
		if got := device.Flash()[0x10000:][:len(data)]; !bytes.Equal(got, data) {
			t.Error("the flash holds something else")
		}
		e := chip.ESP32C3.Efuse
		for _, reg := range []uint32{e.Blocks[4].Write, e.Check, e.Check + 8} {
			if err := l.WriteReg(ctx, chip.Set(reg, keyWords[0])); err != nil {
				t.Fatal(err)
			}
			if v, err := l.ReadReg(ctx, reg); err != nil || v != keyWords[0] {
				t.Fatal(v, err)
			}
		}
		if bytes.Contains(trace.Bytes(), binary.LittleEndian.AppendUint32(nil, keyWords[0])) {
			t.Error("the trace shows a word of a key")
		}
	})
}

// In secure download mode the loader of each family answers, and nothing can be done with it:
// that of the S2 does not even say which chip it is.
func TestSecureDownloadMode(t *testing.T) {
	for _, f := range chip.Families {
		o := sim.Options{Chip: f}
		words := sim.FactoryWords(o)
		if _, has := f.Efuse.Field("ENABLE_SECURITY_DOWNLOAD"); !has {
			continue
		}
		sim.SetFieldOf(o.Chip, &words, "ENABLE_SECURITY_DOWNLOAD", 1)
		o.Words = &words
		virtual(t, o, Options{}, func(ctx context.Context, _ *sim.Chip, l *Loader) {
			err := l.Connect(ctx)
			if !errors.Is(err, chip.ErrDownloadDisabled) || !strings.Contains(err.Error(), "secure download mode") {
				t.Errorf("%s: got %v", f.Title, err)
			}
		})
	}
}

// The C2's ROM computes speeds as if its crystal had 40 MHz: with one of 26 it is asked
// for another number, and both ends meet.
func TestSpeedsOfTheC2(t *testing.T) {
	for _, mhz := range chip.ESP32C2.Crystals {
		virtual(t, sim.Options{Chip: chip.ESP32C2, Crystal: mhz}, Options{}, func(ctx context.Context, _ *sim.Chip, l *Loader) {
			if err := l.Connect(ctx); err != nil {
				t.Fatal(err)
			}
			for _, baud := range []int{921600, 115200, 460800} {
				if err := l.SetBaud(ctx, baud); err != nil {
					t.Errorf("%d MHz: %v", mhz, err)
				}
			}
			if id, err := l.Identify(ctx); err != nil || id.Crystal != mhz || id.Chip != "esp32c2" {
				t.Errorf("%d MHz: got %+v, %v", mhz, id, err)
			}
		})
	}
}
