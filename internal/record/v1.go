package record

import (
	"slices"
	"time"

	"station/internal/chip"
)

// entry1 is Entry as version 1 had it. It never changes: the bytes of old
// entries are held against it, and entry gives their meaning.
type entry1 struct {
	Version   int        `json:"v"`
	Index     uint64     `json:"index"`
	Time      time.Time  `json:"time"`
	Kind      string     `json:"kind"`
	Station   string     `json:"station,omitempty"`
	Operator  string     `json:"operator,omitempty"`
	Software  string     `json:"software,omitempty"`
	Simulated bool       `json:"simulated,omitempty"`
	Origin    string     `json:"origin,omitempty"`
	Prev      uint64     `json:"prev,omitempty"`
	ClockBack float64    `json:"clockBack,omitempty"`
	Job       string     `json:"job,omitempty"`
	Revision  string     `json:"revision,omitempty"`
	JobHash   string     `json:"jobDigest,omitempty"`
	Batch     string     `json:"batch,omitempty"`
	Quota     int        `json:"quota,omitempty"`
	Number    int        `json:"number,omitempty"`
	Slot      string     `json:"slot,omitempty"`
	Run       string     `json:"run,omitempty"`
	MAC       chip.MAC   `json:"mac,omitzero"`
	Serial    string     `json:"serial,omitempty"`
	Step      string     `json:"step,omitempty"`
	Decision  string     `json:"decision,omitempty"`
	Identity  *identity1 `json:"identity,omitempty"`
	KeyID     string     `json:"keyId,omitempty"`
	Policy    string     `json:"policy,omitempty"`
	Wrapped   []byte     `json:"wrapped,omitempty"`
	Escrow    []byte     `json:"escrow,omitempty"`
	Token     string     `json:"token,omitempty"`
	Public    []byte     `json:"public,omitempty"`
	Plan      string     `json:"planDigest,omitempty"`
	Stage     string     `json:"stage,omitempty"`
	Burns     []burn1    `json:"burns,omitempty"`
	Fuses     *fuses1    `json:"fuses,omitempty"`
	Images    []image1   `json:"images,omitempty"`
	Boot      *boot1     `json:"boot,omitempty"`
	Verdict   string     `json:"verdict,omitempty"`
	Code      string     `json:"code,omitempty"`
	Message   string     `json:"message,omitempty"`
	Seconds   float64    `json:"seconds,omitempty"`
}

type identity1 struct {
	MAC       chip.MAC      `json:"mac"`
	Revision  chip.Revision `json:"revision"`
	Package   string        `json:"package"`
	Crystal   int           `json:"crystalMHz"`
	Coding    chip.Coding   `json:"coding"`
	FlashID   uint32        `json:"flashId"`
	FlashSize uint32        `json:"flashSize"`
}

type burn1 struct {
	Field string `json:"field"`
	Old   string `json:"old"`
	New   string `json:"new"`
}

type fuses1 struct {
	Block0 []string `json:"block0"`
	Block1 string   `json:"block1"`
	Block2 string   `json:"block2"`
	Block3 []string `json:"block3"`
}

type image1 struct {
	Name      string `json:"name"`
	Address   uint32 `json:"address"`
	Size      int    `json:"size"`
	Encrypted bool   `json:"encrypted"`
	Plain     string `json:"plain"`
	Flash     string `json:"flash"`
	MD5       string `json:"md5"`
	Version   string `json:"version"`
}

type boot1 struct {
	Digest  string  `json:"digest"`
	Marker  string  `json:"marker"`
	Seconds float64 `json:"seconds"`
}

// entry is what the entry says, as it is said now.
func (o *entry1) entry() Entry {
	return Entry{
		Version: o.Version, Index: o.Index, Time: o.Time, Kind: Kind(o.Kind),
		Station: o.Station, Operator: o.Operator, Software: o.Software, Simulated: o.Simulated,
		Origin: o.Origin, Prev: o.Prev, ClockBack: o.ClockBack,
		Job: o.Job, Revision: o.Revision, JobHash: o.JobHash, Batch: o.Batch, Quota: o.Quota, Number: o.Number,
		Slot: o.Slot, Run: o.Run, MAC: o.MAC, Serial: o.Serial, Step: o.Step, Decision: o.Decision,
		Identity: o.Identity.identity(), Keys: o.keys(),
		Token: o.Token, Public: o.Public, Plan: o.Plan, Stage: o.Stage,
		Burns: convert(o.Burns, func(b burn1) FuseChange { return FuseChange(b) }),
		Fuses: o.Fuses.fuses(), Images: convert(o.Images, image1.image), Boot: (*Boot)(o.Boot),
		Verdict: Verdict(o.Verdict), Code: Code(o.Code), Message: o.Message, Seconds: o.Seconds,
	}
}

// keys are the entry's keys: version 1 knew those for flash encryption, which
// the ESP32 has in BLOCK1, and the token's own.
func (o *entry1) keys() []Key {
	if o.KeyID == "" && o.Policy == "" && o.Wrapped == nil && o.Escrow == nil {
		return nil
	}
	k := Key{Purpose: chip.FlashEncryption, ID: o.KeyID, Policy: o.Policy, Wrapped: o.Wrapped, Escrow: o.Escrow}
	switch Kind(o.Kind) {
	case KeyImported, KeyRemoved:
		k.Purpose = ""
	case KeyAssigned:
		k.Blocks = []string{"BLOCK1"}
	}
	return []Key{k}
}

func convert[A, B any](list []A, one func(A) B) []B {
	var out []B
	for _, a := range list {
		out = append(out, one(a))
	}
	return out
}

func (i *identity1) identity() *chip.Identity {
	if i == nil {
		return nil
	}
	return &chip.Identity{MAC: i.MAC, Revision: i.Revision, Package: i.Package, Crystal: i.Crystal, Coding: i.Coding,
		FlashID: i.FlashID, FlashSize: i.FlashSize}
}

// fuses names the blocks: version 1 knew those of the ESP32 alone.
func (f *fuses1) fuses() Fuses {
	if f == nil {
		return nil
	}
	return Fuses{{Name: "BLOCK0", Words: slices.Clone(f.Block0)}, SealedBlock("BLOCK1", f.Block1),
		SealedBlock("BLOCK2", f.Block2), {Name: "BLOCK3", Words: slices.Clone(f.Block3)}}
}

func (i image1) image() Image {
	return Image{Name: i.Name, Address: i.Address, Size: i.Size, Encrypted: i.Encrypted, Plain: i.Plain, Flash: i.Flash,
		MD5: i.MD5, Version: i.Version}
}
