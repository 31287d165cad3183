package bootlog

import (
	"bytes"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"station/internal/racetest"
)

// After each piece a Watch says what Parse and Marker say of the whole.
func TestWatch(t *testing.T) {
	files, err := filepath.Glob("../../fixtures/boot/*.log")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, file := range files {
		log := fixture(t, strings.TrimSuffix(filepath.Base(file), ".log"))
		log = append(log, "\x1b[0;32mI (1) lamp: ready\x1b[0m\r\nand so on"...)
		w := NewWatch("lamp: ready")
		var cases racetest.Sample
		for at := 0; at < len(log); {
			end := min(len(log), at+1+rnd.IntN(70))
			w.Add(log[at:end])
			at = end
			if cases.Out(10) {
				continue
			}
			if got, want := w.Report(), Parse(log[:at]); !reflect.DeepEqual(got, want) {
				t.Fatalf("%s, %d bytes: got %+v, want %+v", file, at, got, want)
			}
			line, found := w.Marker()
			if wantLine, want := Marker(log[:at], "lamp: ready"); line != wantLine || found != want {
				t.Fatalf("%s, %d bytes: got %q, want %q", file, at, line, wantLine)
			}
		}
	}
}

// What never ends a line is neither kept nor looked at again and again.
func TestWatchForgets(t *testing.T) {
	w := NewWatch("x")
	for range 1000 {
		w.Add(bytes.Repeat([]byte{0xff}, 100))
	}
	w.Add([]byte("\nrst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n"))
	for range 1000 {
		w.Add(bytes.Repeat([]byte{'x'}, 100))
	}
	if cap(w.l.line) > 1<<12 || cap(w.l.rune) > 64 || len(w.Report().Resets) != 1 {
		t.Errorf("room for %d and %d bytes, %+v", cap(w.l.line), cap(w.l.rune), w.Report())
	}
}

// A chatty application, in the pieces in which an adapter delivers it.
func BenchmarkWatch(b *testing.B) {
	log := bytes.Repeat([]byte("\x1b[0;32mI (1234) lamp: nothing new to tell about the light\x1b[0m\r\n"), 2000)
	b.SetBytes(int64(len(log)))
	for b.Loop() {
		w := NewWatch("never")
		for at := 0; at < len(log); at += 62 {
			w.Add(log[at:min(len(log), at+62)])
			if _, found := w.Marker(); found || w.Report().Loop {
				b.Fatal("found")
			}
		}
	}
}
