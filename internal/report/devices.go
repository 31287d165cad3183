package report

import (
	"iter"
	"runtime"
	"slices"

	"station/internal/ledger"
	"station/internal/record"
)

// deviceRows yields the wanted devices, each as it was before index size, and
// holds every device against the log on the way.
func deviceRows(l *ledger.Ledger, size uint64, f Filter) iter.Seq2[[]string, error] {
	f = f.of(l)
	return func(yield func([]string, error) bool) {
		rows := devicesOf(l, size, func(d *record.Device, entries []record.Entry) []string { return f.deviceRow(d, entries) })
		for row, err := range rows {
			if (row != nil || err != nil) && !yield(row, err) {
				return
			}
		}
	}
}

// deviceRow is nil for a device that is not wanted.
func (f Filter) deviceRow(d *record.Device, entries []record.Entry) []string {
	verdict, code := d.State()
	if !f.wantsDevice(d, verdict, entries) {
		return nil
	}
	return cells(deviceColumns, &deviceRow{d, verdict, code, lastSealed(entries)})
}

// devicesOf yields what is made of each device and its entries, in the order of the
// MACs, each as it was before index size; every device is held against the log. Nothing of
// a device or its entries may be held in that. It works on several batches of devices at
// once and keeps their order.
func devicesOf[T any](l *ledger.Ledger, size uint64, of func(*record.Device, []record.Entry) T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		told, err := l.Told(size)
		if err != nil {
			yield(none, err)
			return
		}
		stop := make(chan struct{})
		defer close(stop)
		for out := range deviceBatches(told, of, stop) {
			b := <-out
			for i := range b.made {
				if b.is[i] && !yield(b.made[i], nil) {
					return
				}
			}
			if b.err != nil {
				yield(none, b.err)
				return
			}
		}
		if err := told.Rest(); err != nil {
			yield(none, err)
		}
	}
}

// deviceBatches makes the batches until stop is closed.
func deviceBatches[T any](told *ledger.Told, of func(*record.Device, []record.Entry) T, stop <-chan struct{}) <-chan chan batch[T] {
	queue := make(chan chan batch[T], runtime.GOMAXPROCS(0))
	go func() {
		defer close(queue)
		for list, err := range told.Devices() {
			out := make(chan batch[T], 1)
			select {
			case queue <- out:
			case <-stop:
				return
			}
			go func() {
				b := batch[T]{made: make([]T, list.Len()), is: make([]bool, list.Len())}
				b.err = told.Hold(list, func(i int, d *record.Device, entries []record.Entry) error {
					b.made[i], b.is[i] = of(d, entries), true
					return nil
				})
				if b.err == nil {
					b.err = err
				}
				out <- b
			}()
		}
	}()
	return queue
}

// batch is what was made of some devices; not of those that came later.
type batch[T any] struct {
	made []T
	is   []bool
	err  error
}

// lastSealed is the entry that sealed the device last; a zero one where none did.
func lastSealed(entries []record.Entry) *record.Entry {
	for i := range slices.Backward(entries) {
		if entries[i].Kind == record.Sealed {
			return &entries[i]
		}
	}
	return new(record.Entry)
}
