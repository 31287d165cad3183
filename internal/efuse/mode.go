package efuse

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// Mode is how far a device is closed.
type Mode string

// The modes, named as ESP-IDF names them.
const (
	Release     Mode = "release"     // encryption can never be switched off
	Development Mode = "development" // the flash may be rewritten over the serial port
)

// The stages of a plan, in the order in which they are burned.
const (
	StageKey     = "key"         // the key, into BLOCK1, still readable
	StageProtect = "key-protect" // BLOCK1 compared, then hidden and frozen
	StageConfig  = "config"      // what must be right before encryption is on
	StageCount   = "count"       // FLASH_CRYPT_CNT: encryption on
	StageLock    = "lock"        // write protections of the job
	StageFreeze  = "freeze"      // WR_DIS itself
	StageUART    = "uart"        // UART_DOWNLOAD_DIS: the end of serial access
)

var stageNames = []string{StageKey, StageProtect, StageConfig, StageCount, StageLock, StageFreeze, StageUART}

// burnable are the fields that a plan may hold, and where. Everything else is
// never burned.
var burnable = map[string]string{
	"FLASH_CRYPT_CONFIG":    StageConfig,
	"DISABLE_DL_ENCRYPT":    StageConfig,
	"DISABLE_DL_DECRYPT":    StageConfig,
	"DISABLE_DL_CACHE":      StageConfig,
	"JTAG_DISABLE":          StageConfig,
	"CONSOLE_DEBUG_DISABLE": StageConfig,
	"DISABLE_BT":            StageConfig,
	"DISABLE_SDIO_HOST":     StageConfig,
	"ABS_DONE_0":            StageConfig,
	"ABS_DONE_1":            StageConfig,
	"FLASH_CRYPT_CNT":       StageCount,
	"UART_DOWNLOAD_DIS":     StageUART,
}

// lockBits are the WR_DIS bits with a stage of their own, "" those that are
// never burned; the others belong to lock.
var lockBits = map[int]string{1: StageFreeze, 3: StageConfig, 7: StageProtect, 11: ""}

// stageOf says in which stage a set, or one bit of a mask, is burned.
func stageOf(set Set) (string, bool) {
	switch set.Field {
	case "RD_DIS":
		return StageProtect, set.Value == 1
	case "WR_DIS":
		for _, one := range set.each() {
			if stage, ok := lockBits[bits.TrailingZeros32(one.Value)]; ok && stage == "" {
				return "", false
			}
		}
		if stage, ok := lockBits[bits.TrailingZeros32(set.Value)]; ok {
			return stage, true
		}
		return StageLock, true
	}
	stage, ok := burnable[set.Field]
	return stage, ok
}

// defaults are the fuses of each mode (ESP-IDF flash_encryption_secure_features.c
// and the release check of flash_encrypt.c). The protections of the key are
// not up to a job: the bootloader stops at a key without both.
var defaults = map[Mode][]Set{
	Release: {
		{"FLASH_CRYPT_CONFIG", 15}, {"DISABLE_DL_ENCRYPT", 1}, {"DISABLE_DL_DECRYPT", 1}, {"DISABLE_DL_CACHE", 1},
		{"JTAG_DISABLE", 1}, {"CONSOLE_DEBUG_DISABLE", 1}, {"WR_DIS", 1 << 3}, {"FLASH_CRYPT_CNT", 127},
	},
	Development: {
		{"FLASH_CRYPT_CONFIG", 15}, {"DISABLE_DL_DECRYPT", 1}, {"DISABLE_DL_CACHE", 1},
		{"JTAG_DISABLE", 1}, {"CONSOLE_DEBUG_DISABLE", 1}, {"WR_DIS", 1 << 3}, {"FLASH_CRYPT_CNT", 1},
	},
}

// Options are what a job says about fuses.
type Options struct {
	Mode      Mode
	KeyPolicy string // public, goes into the digest: "derived", "shared fleet-7"
	// Fuses are the job's own values by name (see ParseSet), in place of the
	// mode's. A 0 takes a fuse out of the plan.
	Fuses map[string]uint32
	// Weak accepts a FLASH_CRYPT_CONFIG other than 15.
	Weak bool
}

// New makes the plan of a job's devices. A *RefusedError has every reason
// against it.
func New(o Options) (Plan, error) {
	var r refusal
	wanted := o.wanted(&r)
	key := &Key{Policy: o.KeyPolicy}
	var p Plan
	var needs []Set
	for _, name := range stageNames {
		s := Stage{Name: name, Needs: slices.Clone(needs)}
		switch name {
		case StageKey:
			s.Key = key
		case StageProtect:
			s.Compare = key
			s.Sets = []Set{{"RD_DIS", 1}, {"WR_DIS", 1 << 7}}
		}
		for _, set := range wanted {
			if stage, ok := stageOf(set); stage == name || !ok && name == StageConfig {
				s.add(set)
			}
		}
		if s.Key != nil || len(s.Sets) > 0 {
			p = append(p, s)
		}
		needs = append(needs, s.Sets...)
	}
	p.check(&r)
	if err := r.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// wanted is the mode's fuses with the job's in their place, in the order of
// rank; the bits of masks one by one.
func (o Options) wanted(r *refusal) []Set {
	base, ok := defaults[o.Mode]
	if !ok {
		r.add(ErrPlan, "mode %q is neither release nor development", o.Mode)
	}
	want := map[string]Set{}
	for _, set := range base {
		want[set.name()] = set
	}
	for name, value := range o.Fuses {
		o.override(r, want, name, value)
	}
	var sets []Set
	for _, set := range want {
		sets = append(sets, set)
	}
	slices.SortFunc(sets, func(a, b Set) int { return rank(a) - rank(b) })
	return sets
}

func (o Options) override(r *refusal, want map[string]Set, name string, value uint32) {
	set, err := ParseSet(name, value)
	if err != nil {
		r.add(ErrPlan, "%v", err)
		return
	}
	if set.isMask() && !strings.Contains(name, ".") {
		r.add(ErrPlan, "fuse %s: name its bits one by one, such as %s.BLOCK1", name, name)
		return
	}
	if set.isMask() && value == 0 {
		off, _ := ParseSet(name, 1)
		if stage, _ := stageOf(off); stage == StageProtect {
			r.add(ErrPlan, "%v: the key's protections are not optional", off)
		}
		delete(want, off.name())
		return
	}
	switch {
	case set.Field == "FLASH_CRYPT_CONFIG":
		if set.Value != 15 && !o.Weak {
			r.add(ErrPlan, "FLASH_CRYPT_CONFIG = %d weakens the encryption; the job must say that it wants that", set.Value)
		}
		want[set.Field] = set // 0 stays in the plan: the chip must hold just that
	case set.Field != "FLASH_CRYPT_CNT" && value == 0:
		delete(want, set.Field)
	default:
		for _, one := range set.each() {
			want[one.name()] = one
		}
	}
}

// rank orders sets by the field table, the bits of masks after all values, as
// they are burned.
func rank(s Set) int {
	i := slices.IndexFunc(Fields, func(f Field) bool { return f.Name == s.Field })
	if s.isMask() {
		return len(Fields) + 32*i + bits.TrailingZeros32(s.Value)
	}
	return i
}

// add joins bits of the same mask.
func (s *Stage) add(set Set) {
	for i, have := range s.Sets {
		if have.Field == set.Field {
			s.Sets[i].Value |= set.Value
			return
		}
	}
	s.Sets = append(s.Sets, set)
}

// wants is the value that the plan gives a field, 0 if none.
func (p Plan) wants(field string) uint32 {
	var v uint32
	for _, s := range p {
		for _, set := range s.Sets {
			if set.Field == field {
				v |= set.Value
			}
		}
	}
	return v
}

// open are the fuses that ESP-IDF's release check demands, and what a device
// without them leaves open.
var open = []struct{ field, about string }{
	{"DISABLE_DL_ENCRYPT", "the serial loader can encrypt and write flash with the device's key"},
	{"DISABLE_DL_DECRYPT", "the serial loader can read the flash decrypted"},
	{"DISABLE_DL_CACHE", "the serial loader can read the flash decrypted through the cache"},
	{"JTAG_DISABLE", "a debugger can stop the chip and read its memory"},
	{"CONSOLE_DEBUG_DISABLE", "the BASIC console in ROM stays reachable"},
}

// Warnings says in what the plan is weaker than the mode's name promises.
func (p Plan) Warnings(m Mode) []string {
	var out []string
	if c := p.wants("FLASH_CRYPT_CONFIG"); c == 0 {
		out = append(out, "FLASH_CRYPT_CONFIG = 0: the key does not change with the flash address, so equal blocks look equal everywhere and can be moved unnoticed")
	} else if c != 15 {
		out = append(out, fmt.Sprintf("FLASH_CRYPT_CONFIG = %d: only part of the key changes with the flash address", c))
	}
	for _, o := range open {
		if p.wants(o.field) == 0 && (m == Release || o.field != "DISABLE_DL_ENCRYPT") {
			out = append(out, o.field+" is not burned: "+o.about)
		}
	}
	if p.wants("WR_DIS")>>3&1 == 0 {
		out = append(out, "WR_DIS bit 3 is not burned: DIS_CACHE stays writable, and burning it destroys the device")
	}
	if m == Release && p.wants("FLASH_CRYPT_CNT") != 127 && p.wants("WR_DIS")>>2&1 == 0 {
		out = append(out, "FLASH_CRYPT_CNT has free bits and is not write-protected: encryption can be switched off again")
	}
	return out
}
