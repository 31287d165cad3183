package report

import (
	"iter"
	"runtime"
	"slices"

	"station/internal/ledger"
	"station/internal/record"
)

// deviceRows yields the wanted devices, each as it was before index size, and
// holds every device against the log on the way. It works on several batches of
// devices at once and keeps their order.
func deviceRows(l *ledger.Ledger, size uint64, f Filter) iter.Seq2[[]string, error] {
	f = f.of(l)
	return func(yield func([]string, error) bool) {
		told, err := l.Told(size)
		if err != nil {
			yield(nil, err)
			return
		}
		stop := make(chan struct{})
		defer close(stop)
		for out := range deviceBatches(told, f, stop) {
			b := <-out
			for _, row := range b.rows {
				if row != nil && !yield(row, nil) {
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
func deviceBatches(told *ledger.Told, f Filter, stop <-chan struct{}) <-chan chan batch {
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
				rows, bad := deviceBatch(told, list, f)
				if bad == nil {
					bad = err
				}
				out <- batch{rows, bad}
			}()
		}
	}()
	return queue
}

// batch is the rows of some devices; nil for one that is not wanted.
type batch struct {
	rows [][]string
	err  error
}

func deviceBatch(told *ledger.Told, list []ledger.Stored, f Filter) (rows [][]string, err error) {
	rows = make([][]string, len(list))
	err = told.Hold(list, func(i int, d record.Device, entries []record.Entry) error {
		if f.wantsDevice(&d, entries) {
			rows[i] = cells(deviceColumns, &deviceRow{d, lastSealed(entries)})
		}
		return nil
	})
	return rows, err
}

// lastSealed is the entry that sealed the device last; a zero one where none did.
func lastSealed(entries []record.Entry) record.Entry {
	for _, e := range slices.Backward(entries) {
		if e.Kind == record.Sealed {
			return e
		}
	}
	return record.Entry{}
}
