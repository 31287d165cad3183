package bench

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"station/internal/flow"
	"station/internal/port"
)

// Rates remembers in a file which rates each adapter can do. What it holds can
// be lost at any time: the line finds it out again.
type Rates struct {
	// Adapter names the adapter at a port, the same after each plug-in, and says
	// which rates its kind can do (nil: nothing is known).
	Adapter func(portName string) (name string, works func(baud int) bool)

	mu    sync.Mutex
	path  string
	saved []byte
	known ratesFile
}

type ratesFile struct {
	Version  int                     `json:"version"`
	Adapters map[string]*flow.Ladder `json:"adapters"`
}

const ratesVersion = 1

// OpenRates reads the file beside a ledger. One that is missing, damaged or of
// another version counts as empty.
func OpenRates(ledgerPath string) *Rates {
	r := &Rates{Adapter: adapterAt, path: strings.TrimSuffix(ledgerPath, filepath.Ext(ledgerPath)) + ".adapters.json"}
	r.saved, _ = os.ReadFile(r.path)
	if json.Unmarshal(r.saved, &r.known) != nil || r.known.Version != ratesVersion {
		r.known = ratesFile{}
	}
	if r.known.Adapters == nil {
		r.known.Adapters = map[string]*flow.Ladder{}
	}
	r.known.Version = ratesVersion
	return r
}

// Speed is what is known of the adapter at the port now.
func (r *Rates) Speed(portName string) flow.Speed {
	name, works := r.Adapter(portName)
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.known.Adapters[name]
	if l == nil {
		l = &flow.Ladder{}
		r.known.Adapters[name] = l
	}
	l.Works = works
	return &adapterSpeed{r, l}
}

// adapterSpeed is one adapter's ladder; what it learns goes into the file.
type adapterSpeed struct {
	rates  *Rates
	ladder *flow.Ladder
}

func (a *adapterSpeed) Pick(limit int, not ...int) (int, string) {
	a.rates.mu.Lock()
	defer a.rates.mu.Unlock()
	return a.ladder.Pick(limit, not...)
}

func (a *adapterSpeed) Failed(baud int) {
	a.rates.mu.Lock()
	defer a.rates.mu.Unlock()
	a.ladder.Failed(baud)
	a.rates.save()
}

func (a *adapterSpeed) Done(baud, blocks, again int) {
	a.rates.mu.Lock()
	defer a.rates.mu.Unlock()
	a.ladder.Done(baud, blocks, again)
	a.rates.save()
}

// save writes the file where it would change. A disk that does not take it
// costs nothing but what was learned: what it may not cost is told by the ledger.
func (r *Rates) save() {
	known := ratesFile{r.known.Version, map[string]*flow.Ladder{}}
	for name, l := range r.known.Adapters {
		if len(l.Barred) > 0 {
			known.Adapters[name] = l
		}
	}
	b, err := json.MarshalIndent(known, "", "  ")
	b = append(b, '\n')
	if err != nil || bytes.Equal(b, r.saved) || len(known.Adapters) == 0 && r.saved == nil {
		return
	}
	if replaceFile(r.path, b) == nil {
		r.saved = b
	}
}

// replaceFile writes a file whole or not at all.
func replaceFile(path string, b []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func adapterAt(portName string) (name string, works func(baud int) bool) {
	if strings.Contains(portName, "://") {
		return portName, nil
	}
	all, _ := port.List()
	return adapterOf(all, portName)
}

// adapterOf names an adapter by maker, product, serial number and USB socket,
// any other port by its own name.
func adapterOf(all []port.Info, portName string) (name string, works func(baud int) bool) {
	for _, i := range all {
		if i.VID != "" && i.Is(portName) {
			return strings.Join([]string{i.VID, i.PID, i.Serial, i.Path}, " "), i.Adapter().Works
		}
	}
	return portName, nil
}
