package chip

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Summary is what people are told of a family.
type Summary struct {
	Name       string `json:"name"`
	Title      string `json:"title"`
	State      string `json:"state"`      // proved against the chip's own ROM, or tabled: held against known answers alone
	Bootloader string `json:"bootloader"` // flash address
	Crystals   string `json:"crystals"`   // MHz
	Cipher     string `json:"cipher"`     // by the length of the key, shortest first
	Key        string `json:"key"`        // blocks that may hold the key for flash encryption
	Count      string `json:"count"`      // the field that switches encryption on
	Coding     string `json:"coding"`     // of key blocks
	Signed     string `json:"signed"`     // kinds of keys that sign for secure boot, by version
	Burns      string `json:"burns"`      // crystals at which the burn timing is known, MHz
}

// The states of a family.
const (
	StateProved = "proved"
	StateTabled = "tabled"
)

// Summary tells what the family is.
func (f *Family) Summary() Summary {
	s := Summary{Name: f.Name, Title: f.Title, State: StateTabled, Bootloader: fmt.Sprintf("%#x", f.Bootloader), Crystals: numbers(f.Crystals),
		Cipher: f.ciphers(), Count: f.Seal.Count, Coding: "none or 3/4", Burns: "none", Signed: f.SignedBy()}
	if f.Proved {
		s.State = StateProved
	}
	blocks := f.Seal.Keys[FlashEncryption].Blocks
	s.Key = blocks[0]
	if n := len(blocks); n > 1 {
		s.Key += " to " + blocks[n-1]
	}
	if f.Efuse.Blocks[f.Efuse.Block(blocks[0])].Coding == ReedSolomon {
		s.Coding = "Reed-Solomon"
	}
	var timed []int
	for mhz := range f.Efuse.Timing {
		timed = append(timed, mhz)
	}
	if slices.Sort(timed); timed != nil {
		s.Burns = numbers(timed)
	}
	return s
}

// SignedBy names the kinds of keys that sign for secure boot: "RSA-3072 or ECDSA P-256".
func (f *Family) SignedBy() string {
	var versions []string
	for _, version := range slices.Sorted(maps.Keys(f.Seal.SecureBoot)) {
		var kinds []string
		for _, kind := range f.Seal.SecureBoot[version].Keys {
			kinds = append(kinds, string(kind))
		}
		versions = append(versions, fmt.Sprintf("%s (version %d)", strings.Join(kinds, " or "), version))
	}
	return strings.Join(versions, ", ")
}

// ciphers names them by the length of the key.
func (f *Family) ciphers() string {
	var names []string
	for _, bits := range slices.Sorted(maps.Keys(f.Seal.FlashKeys)) {
		names = append(names, string(f.CipherOf(bits)))
	}
	return strings.Join(slices.Compact(names), ", ")
}

func numbers(list []int) string {
	return strings.Trim(strings.Join(strings.Fields(fmt.Sprint(list)), ", "), "[]")
}
