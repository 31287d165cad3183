package job

import (
	"encoding"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"station/internal/chip"
	"station/internal/tomlfile"
)

// Size is a number of bytes, written "4MB", "320K" or as a number.
type Size uint32

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(b []byte) error {
	text := strings.TrimSuffix(strings.ToUpper(string(b)), "B")
	unit := uint64(1)
	switch {
	case strings.HasSuffix(text, "M"):
		text, unit = text[:len(text)-1], 1<<20
	case strings.HasSuffix(text, "K"):
		text, unit = text[:len(text)-1], 1<<10
	}
	n, err := strconv.ParseUint(text, 0, 32)
	if err != nil || n*unit > 1<<31 {
		return fmt.Errorf("%q is not a size; write it like 4MB", b)
	}
	*s = Size(n * unit)
	return nil
}

func (s Size) String() string {
	switch {
	case s != 0 && s%(1<<20) == 0:
		return fmt.Sprintf("%dMB", s>>20)
	case s != 0 && s%(1<<10) == 0:
		return fmt.Sprintf("%dKB", s>>10)
	}
	return fmt.Sprint(uint32(s))
}

// Duration is a time.Duration written like "10s".
type Duration time.Duration

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil || v <= 0 {
		return fmt.Errorf("%q is not a time; write it like \"10s\"", b)
	}
	*d = Duration(v)
	return nil
}

func (d Duration) String() string { return time.Duration(d).String() }

// Values that are one word out of a short list.
type (
	FlashMode   string // how the flash is read: dio, dout, qio, qout or keep
	FlashFreq   string // at which frequency, as the chip has them: 40m, 80m … or keep
	FlashErase  string // what is emptied besides the images: images (nothing), nvs, data or chip
	FlashLoader string // what writes the images: rom or ram
	Reset       string // how a device is reset: classic or manual
)

// Word reads a word that must be one of those known, and names the one that was
// probably meant where it is none.
func Word(b []byte, known ...string) (string, error) {
	if !slices.Contains(known, string(b)) {
		meant := ""
		if near := tomlfile.Nearest(string(b), known); near != "" {
			meant = fmt.Sprintf("; did you mean %q?", near)
		}
		return "", fmt.Errorf("%q is not known; write one of %s%s", b, strings.Join(known, ", "), meant)
	}
	return string(b), nil
}

// UnmarshalText reads a flash mode.
func (m *FlashMode) UnmarshalText(b []byte) error {
	w, err := Word(b, "dio", "dout", "qio", "qout", "keep")
	*m = FlashMode(w)
	return err
}

// UnmarshalText reads a flash frequency.
func (f *FlashFreq) UnmarshalText(b []byte) error {
	w, err := Word(b, append(chip.SpeedNames(chip.Families...), "keep")...)
	*f = FlashFreq(w)
	return err
}

// UnmarshalText reads what is erased.
func (e *FlashErase) UnmarshalText(b []byte) error {
	w, err := Word(b, "nvs", "images", "data", "chip")
	*e = FlashErase(w)
	return err
}

// LoaderRAM is the value of flash.loader for ours.
const LoaderRAM FlashLoader = "ram"

// UnmarshalText reads a loader.
func (l *FlashLoader) UnmarshalText(b []byte) error {
	w, err := Word(b, "rom", string(LoaderRAM))
	*l = FlashLoader(w)
	return err
}

// UnmarshalText reads a way to reset.
func (r *Reset) UnmarshalText(b []byte) error {
	w, err := Word(b, "classic", "manual")
	*r = Reset(w)
	return err
}

var _ = []encoding.TextUnmarshaler{new(Size), new(Duration), new(FlashMode), new(FlashFreq), new(FlashErase), new(FlashLoader), new(Reset)}
