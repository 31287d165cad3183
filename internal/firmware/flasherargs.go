package firmware

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// FlasherArgs is what an ESP-IDF build says about how to flash it: its
// flasher_args.json.
type FlasherArgs struct {
	Chip  string      `json:"chip"`  // "esp32"
	Mode  string      `json:"mode"`  // "dio"; "keep" or empty: as the images have it
	Freq  string      `json:"freq"`  // "40m"
	Size  string      `json:"size"`  // "4MB"; "detect" and "keep" are possible
	Files []FlashFile `json:"files"` // by address
}

// FlashFile is one image of the build.
type FlashFile struct {
	Name      string `json:"name,omitempty"` // "bootloader", "app", "partition-table", "otadata"…
	File      string `json:"file"`           // relative to the JSON file
	Address   uint32 `json:"address"`
	Encrypted bool   `json:"encrypted"` // the build wants it encrypted
}

// rawArgs is the file as it is written; every other object that has a file is
// an image, under its name.
type rawArgs struct {
	Settings struct {
		Mode string `json:"flash_mode"`
		Freq string `json:"flash_freq"`
		Size string `json:"flash_size"`
	} `json:"flash_settings"`
	WriteFlash []string     `json:"write_flash_args"`
	Files      orderedFiles `json:"flash_files"`
	Extra      struct {
		Chip string `json:"chip"`
	} `json:"extra_esptool_args"`
}

type rawImage struct {
	Offset    string          `json:"offset"`
	File      string          `json:"file"`
	Encrypted json.RawMessage `json:"encrypted"` // "true" or "false", as a string
}

// orderedFiles keeps an address that stands there twice, which a map would
// drop without a word.
type orderedFiles []rawImage

func (o *orderedFiles) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.New("flash_files is not an object of address and file")
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		image := rawImage{Offset: key.(string)} // object keys are strings
		if err := d.Decode(&image.File); err != nil {
			return err
		}
		*o = append(*o, image)
	}
	return nil
}

// ParseFlasherArgs reads a flasher_args.json and reports every fault; file is
// its name for them.
func ParseFlasherArgs(file string, b []byte) (*FlasherArgs, error) {
	f := &faults{file: file}
	var raw rawArgs
	var all map[string]json.RawMessage
	if err := errors.Join(decode(b, &raw), decode(b, &all)); err != nil {
		f.at(lineOf(b, err), "not a flasher_args.json of an ESP-IDF build: %v", first(err))
		return nil, f.err()
	}
	a := &FlasherArgs{Chip: raw.Extra.Chip, Mode: raw.Settings.Mode, Freq: raw.Settings.Freq, Size: raw.Settings.Size}
	a.fromArguments(raw.WriteFlash)
	for _, image := range raw.Files {
		a.add("", image, f)
	}
	for name, value := range all {
		var image rawImage
		if json.Unmarshal(value, &image) == nil && image.File != "" && image.Offset != "" {
			a.add(name, image, f)
		}
	}
	if len(a.Files) == 0 {
		f.add("names no images; build the project first, with idf.py build")
	}
	slices.SortFunc(a.Files, func(x, y FlashFile) int {
		return cmp.Or(cmp.Compare(x.Address, y.Address), cmp.Compare(x.Name, y.Name), cmp.Compare(x.File, y.File))
	})
	slices.SortFunc(f.list, func(x, y error) int { return cmp.Compare(x.Error(), y.Error()) })
	return a, f.err()
}

// fromArguments fills what flash_settings left open from the arguments of
// write_flash: --flash_mode dio, in newer builds --flash-mode dio.
func (a *FlasherArgs) fromArguments(args []string) {
	for n := 0; n+1 < len(args); n++ {
		switch args[n] {
		case "--flash_mode", "--flash-mode":
			a.Mode = cmp.Or(a.Mode, args[n+1])
		case "--flash_freq", "--flash-freq":
			a.Freq = cmp.Or(a.Freq, args[n+1])
		case "--flash_size", "--flash-size":
			a.Size = cmp.Or(a.Size, args[n+1])
		}
	}
}

// add joins the entry of flash_files with the one under the image's name.
func (a *FlasherArgs) add(name string, image rawImage, f *faults) {
	if image.Offset == "" && image.File == "" {
		return // ESP-IDF 3.3 writes such pairs for what a project does not have
	}
	addr, err := strconv.ParseUint(image.Offset, 0, 32)
	if err != nil {
		f.add("%q is not a flash address like 0x10000", image.Offset)
		return
	}
	if image.File == "" {
		f.add("names no file for address %#x; build the project again", addr)
		return
	}
	encrypted := strings.Trim(string(image.Encrypted), `"`) == "true"
	for n, have := range a.Files {
		if have.Address != uint32(addr) {
			continue
		}
		if have.File == image.File && name != "" {
			a.Files[n].Name = cmp.Or(have.Name, name)
			a.Files[n].Encrypted = have.Encrypted || encrypted
			return
		}
		f.add("%s and %s are both for address %#x", min(have.File, image.File), max(have.File, image.File), addr)
		return
	}
	a.Files = append(a.Files, FlashFile{Name: name, File: image.File, Address: uint32(addr), Encrypted: encrypted})
}

// TableOffset is where the build has its partition table; 0 where it names none.
// Old builds write the name with an underscore.
func (a *FlasherArgs) TableOffset() uint32 {
	for _, file := range a.Files {
		if file.Name == "partition-table" || file.Name == "partition_table" {
			return file.Address
		}
	}
	return 0
}

// ImageFiles is the build as a layout wants it; dir is where the JSON file is.
// An image that the build does not mark as encrypted is left to the partition
// table, because builds without flash encryption mark none.
func (a *FlasherArgs) ImageFiles(dir string) []ImageFile {
	var list []ImageFile
	for _, file := range a.Files {
		image := ImageFile{Build: true, Name: file.Name, File: filepath.Join(dir, filepath.FromSlash(file.File)), Address: file.Address}
		if filepath.IsAbs(file.File) {
			image.File = file.File
		}
		if file.Encrypted {
			image.Encrypt = &file.Encrypted
		}
		list = append(list, image)
	}
	return list
}

func decode(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more follows after the end of the object")
	}
	return nil
}

// first is the first of joined errors: both decoders report a syntax error.
func first(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()[0]
	}
	return err
}

// lineOf finds the line of a JSON error, 0 where it has none.
func lineOf(b []byte, err error) int {
	offset := int64(-1)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = syntax.Offset
	} else if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		offset = kind.Offset
	}
	if offset < 0 || offset > int64(len(b)) {
		return 0
	}
	return 1 + bytes.Count(b[:offset], []byte("\n"))
}
