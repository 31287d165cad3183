package record

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"
)

// AppendLine appends the device as encoding/json writes it, in a fraction of the time.
func (d *Device) AppendLine(b []byte) []byte {
	w := writer{b}
	w.text(`{"mac":`, d.MAC.String())
	if d.MAC.IsZero() {
		w.b = append(b, `{"mac":""`...)
	}
	w.optText(`,"chip":`, d.Chip)
	w.uint(`,"first":`, d.First)
	w.uint(`,"last":`, d.Last)
	w.time(`,"seen":`, d.Seen)
	w.time(`,"updated":`, d.Updated)
	w.product(d)
	w.made(d)
	w.state(d)
	return append(w.b, '}')
}

// writer appends fields, each behind the name that it is given with. Methods named opt
// leave out a zero value.
type writer struct{ b []byte }

// product writes what the device is to be.
func (w *writer) product(d *Device) {
	w.text(`,"job":`, d.Job)
	w.optText(`,"revision":`, d.Revision)
	w.text(`,"jobDigest":`, d.JobHash)
	w.text(`,"batch":`, d.Batch)
	w.optText(`,"visited":`, d.Visited)
	w.text(`,"serial":`, d.Serial)
	w.bool(`,"simulated":`, d.Simulated)
	w.optAny(`,"numbers":`, d.Numbers, len(d.Numbers) > 0)
}

// made writes what it was given.
func (w *writer) made(d *Device) {
	optEach(w, `,"keys":`, d.Keys, w.key)
	w.optAny(`,"identity":`, d.Identity, d.Identity != nil)
	w.optAny(`,"images":`, d.Images, len(d.Images) > 0)
	w.optUint(`,"flashed":`, d.Flashed)
	optEach(w, `,"fuses":`, d.Fuses, w.block)
	w.optTexts(`,"intended":`, d.Intended)
	w.optTexts(`,"settled":`, d.Settled)
}

// state writes how far it has come.
func (w *writer) state(d *Device) {
	w.uint(`,"runs":`, uint64(d.Runs))
	w.optUint(`,"failures":`, uint64(d.Failures))
	w.bool(`,"booted":`, d.Booted)
	w.bool(`,"sealed":`, d.Sealed)
	w.optText(`,"sealedJob":`, d.SealedJob)
	w.optText(`,"sealedDigest":`, d.SealedHash)
	w.text(`,"verdict":`, string(d.Verdict))
	w.text(`,"code":`, string(d.Code))
	w.bool(`,"setAside":`, d.SetAside)
	w.optText(`,"setAsideBy":`, string(d.SetAsideBy))
	w.optText(`,"setAsideAs":`, string(d.SetAsideAs))
	w.optText(`,"conflict":`, d.Conflict)
	if d.Conflicted {
		w.bool(`,"conflicted":`, true)
	}
	w.optUint(`,"moves":`, uint64(d.Moves))
}

func (w *writer) key(k *Key) {
	w.b = append(w.b, '{')
	from := len(w.b)
	w.optText(`,"purpose":`, string(k.Purpose))
	w.optTexts(`,"blocks":`, k.Blocks)
	w.optAny(`,"bits":`, k.Bits, k.Bits != 0)
	w.text(`,"id":`, k.ID)
	w.optText(`,"policy":`, k.Policy)
	w.optBytes(`,"wrapped":`, k.Wrapped)
	w.optBytes(`,"escrow":`, k.Escrow)
	w.optText(`,"escrowTo":`, k.EscrowTo)
	w.b = append(append(w.b[:from], w.b[from+1:]...), '}') // without the first comma
}

func (w *writer) block(f *Block) {
	w.text(`{"name":`, f.Name)
	w.optText(`,"state":`, f.State)
	w.optText(`,"digest":`, f.Digest)
	w.optTexts(`,"words":`, f.Words)
	w.b = append(w.b, '}')
}

// value appends a text with its quotes.
func (w *writer) value(s string) {
	if ordinary(s, 0) < len(s) {
		quoted, _ := json.Marshal(s) // a text always marshals
		w.b = append(w.b, quoted...)
		return
	}
	w.b = append(append(append(w.b, '"'), s...), '"')
}

func (w *writer) text(name, s string) {
	w.b = append(w.b, name...)
	w.value(s)
}

func (w *writer) optText(name, s string) {
	if s != "" {
		w.text(name, s)
	}
}

func (w *writer) optTexts(name string, list []string) {
	optEach(w, name, list, func(s *string) { w.value(*s) })
}

func (w *writer) optBytes(name string, b []byte) {
	if len(b) > 0 {
		w.b = append(base64.StdEncoding.AppendEncode(append(append(w.b, name...), '"'), b), '"')
	}
}

func (w *writer) uint(name string, n uint64) {
	w.b = strconv.AppendUint(append(w.b, name...), n, 10)
}

func (w *writer) optUint(name string, n uint64) {
	if n != 0 {
		w.uint(name, n)
	}
}

func (w *writer) bool(name string, is bool) {
	w.b = strconv.AppendBool(append(w.b, name...), is)
}

func (w *writer) time(name string, t time.Time) {
	w.b = append(t.AppendFormat(append(append(w.b, name...), '"'), time.RFC3339Nano), '"')
}

// optAny writes what is rare, or seldom more than nothing.
func (w *writer) optAny(name string, v any, has bool) {
	if has {
		b, _ := json.Marshal(v) // plain structs, numbers and texts always marshal
		w.b = append(append(w.b, name...), b...)
	}
}

func optEach[T any](w *writer, name string, list []T, one func(*T)) {
	if len(list) == 0 {
		return
	}
	w.b = append(w.b, name...)
	for i := range list {
		w.b = append(w.b, "[,"[min(i, 1)])
		one(&list[i])
	}
	w.b = append(w.b, ']')
}
