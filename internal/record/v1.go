package record

import (
	"bytes"
	"encoding/json"
	"time"

	"station/internal/chip"
)

// Canonical tells whether raw are the only bytes that the entry e, read from
// them, can have in its version. A field that the version does not have is
// damage, also where a later version has it. Of a version newer than this
// program only white space is known.
func Canonical(e *Entry, raw []byte) bool {
	var form any
	switch {
	case e.Version > Version:
		var b bytes.Buffer
		return json.Compact(&b, raw) == nil && bytes.Equal(b.Bytes(), raw)
	case e.Version == Version:
		form = e
	case e.Version == 1:
		form = new(entry1)
		if json.Unmarshal(raw, form) != nil {
			return false
		}
	default:
		return false
	}
	b, err := json.Marshal(form)
	return err == nil && bytes.Equal(b, raw)
}

// entry1 is Entry as version 1 had it. It never changes: the bytes of old
// entries are held against it. Their meaning is read as Entry, which has kept
// all of these fields.
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
