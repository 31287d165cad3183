package report

import (
	"encoding/json"
	"iter"
	"runtime"
	"slices"

	"github.com/tidwall/gjson"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
)

// deviceRows yields the wanted devices, each as it was before index size, and
// holds every device against the log on the way. It works on several batches of
// devices at once and keeps their order.
func deviceRows(l *ledger.Ledger, size uint64, f Filter) iter.Seq2[[]string, error] {
	f = f.of(l)
	return func(yield func([]string, error) bool) {
		told, err := l.Told()
		if err != nil {
			yield(nil, err)
			return
		}
		stop := make(chan struct{})
		defer close(stop)
		for out := range deviceBatches(l, told, size, f, stop) {
			b := <-out
			for _, cells := range b.rows {
				if !yield(cells, nil) {
					return
				}
			}
			if b.err != nil {
				yield(nil, b.err)
				return
			}
		}
		if err := told.Rest(); err != nil {
			yield(nil, err)
		}
	}
}

// deviceBatches makes the batches until stop is closed.
func deviceBatches(l *ledger.Ledger, told *ledger.Told, size uint64, f Filter, stop <-chan struct{}) <-chan chan batch {
	queue := make(chan chan batch, runtime.GOMAXPROCS(0))
	go func() {
		defer close(queue)
		for list, err := range told.Devices() {
			out := make(chan batch, 1)
			select {
			case queue <- out:
			case <-stop:
				return
			}
			go func() {
				rows, bad := deviceBatch(l, told, list, size, f)
				if bad == nil {
					bad = err
				}
				out <- batch{rows, bad}
			}()
		}
	}()
	return queue
}

// batch is the rows of some devices.
type batch struct {
	rows [][]string
	err  error
}

func deviceBatch(l *ledger.Ledger, told *ledger.Told, list []ledger.Stored, size uint64, f Filter) (rows [][]string, err error) {
	if err := told.Hold(list); err != nil {
		return nil, err
	}
	r := newRow(deviceColumns)
	for _, d := range list {
		v := &device{l: l, json: d.Device, last: d.LastLine, images: d.FlashedLine, lastIndex: d.Last}
		wanted, err := v.fill(r, size, f)
		if err != nil {
			return rows, err
		}
		if wanted {
			rows = append(rows, slices.Clone(r.cells))
		}
	}
	return rows, nil
}

// device is one device on its way into a row.
type device struct {
	l         *ledger.Ledger
	json      []byte // of record.Device, without its images
	images    []byte // an entry that has them; nil for none
	last      []byte // its last entry; nil where that came later
	lastIndex uint64
	entries   []record.Entry // all up to the last one, where they were needed
}

// judged are the fields of a device that decide on its verdict and its number.
var judged = map[string]bool{"first": true, "numbers": true, "batch": true, "job": true, "simulated": true, "setAside": true, "setAsideAs": true, "setAsideBy": true,
	"sealed": true, "verdict": true, "code": true, "runs": true}

// fill makes the row of the device as it was before index size. It is false
// where the device is not wanted.
func (v *device) fill(r *row, size uint64, f Filter) (bool, error) {
	r.clear()
	r.fill(v.json, "", judged)
	if r.found["first"].Uint() >= size {
		return false, nil
	}
	if v.lastIndex >= size {
		if err := v.goBack(size); err != nil {
			return false, err
		}
		r.clear()
		r.fill(v.json, "", judged)
	}
	sealed := r.found["sealed"].Bool()
	verdict, code := record.Device{SetAside: r.found["setAside"].Bool(), SetAsideAs: record.Verdict(r.found["setAsideAs"].Str),
		SetAsideBy: record.Code(r.found["setAsideBy"].Str), Sealed: sealed, Verdict: record.Verdict(r.found["verdict"].Str), Code: record.Code(r.found["code"].Str), Runs: int(r.found["runs"].Int())}.State()
	r.set("verdict", string(verdict))
	r.set("code", string(code))
	lot := record.Entry{Batch: r.found["batch"].Str, Job: r.found["job"].Str, Simulated: r.found["simulated"].Bool()}.Lot()
	r.set("number", r.found["numbers"].Map()[lot].Raw)
	if !f.row(r, "") {
		return false, nil
	}
	if in, err := v.visited(r, f); err != nil || !in {
		return false, err
	}
	if v.images != nil {
		r.fill(v.images, "flash.", nil)
	}
	if !sealed {
		return true, nil
	}
	seal, err := v.seal()
	if err == nil {
		r.fill(seal, "seal.", nil)
	}
	return true, err
}

// history is all entries of the device up to its last one.
func (v *device) history() ([]record.Entry, error) {
	if v.entries != nil {
		return v.entries, nil
	}
	mac, err := chip.ParseMAC(gjson.GetBytes(v.json, "mac").Str)
	if err != nil {
		return nil, err
	}
	list, err := v.l.History(mac)
	v.entries = slices.DeleteFunc(list, func(e record.Entry) bool { return e.Index > v.lastIndex })
	return v.entries, err
}

// before is the device as it was before index size; v's entries end there too.
func (v *device) before(size uint64) (then record.Device, err error) {
	list, err := v.history()
	v.entries = slices.DeleteFunc(list, func(e record.Entry) bool { return e.Index >= size })
	for _, e := range v.entries {
		then.Apply(e)
	}
	return then, err
}

// goBack makes the device what it was before index size.
func (v *device) goBack(size uint64) error {
	then, err := v.before(size)
	if err != nil {
		return err
	}
	v.last, v.lastIndex, v.images = nil, then.Last, nil
	if then.Flashed > 0 {
		// Only its images are wanted of the entry that verified them.
		if v.images, err = json.Marshal(record.Entry{Images: then.Images}); err != nil {
			return err
		}
	}
	then.Images = nil
	v.json, err = json.Marshal(then)
	return err
}

// visited tells whether the device has an entry in the filter's time.
func (v *device) visited(r *row, f Filter) (bool, error) {
	if !f.timed() || f.hasTime(r, "firstSeen") || f.hasTime(r, "lastEntry") {
		return true, nil
	}
	// Between the first entry and the last there may be one in the range.
	list, err := v.history()
	return slices.ContainsFunc(list, func(e record.Entry) bool { return f.in(e.Time) }), err
}

// seal is the entry that sealed the device last. It is nearly always the
// device's last one.
func (v *device) seal() ([]byte, error) {
	if v.last != nil && gjson.GetBytes(v.last, "kind").Str == string(record.Sealed) {
		return v.last, nil
	}
	list, err := v.history()
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].Kind == record.Sealed {
			return json.Marshal(list[i])
		}
	}
	return nil, err
}
