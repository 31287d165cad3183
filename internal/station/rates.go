package station

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"station/internal/flow"
	"station/internal/keyfile"
	"station/internal/port"
)

// Rates remembers in a file which rates each adapter can do. What it holds can
// be lost at any time: the line finds it out again.
type Rates struct {
	// Adapter names the adapter at a port, the same after each plug-in, and says
	// which rates its kind can do (nil: nothing is known).
	Adapter func(portName string) (name string, works func(baud int) bool)

	// Warning says that what was known was lost, and why; empty if it was not.
	Warning string

	mu    sync.Mutex
	path  string
	saved []byte
	known ratesFile
}

type ratesFile struct {
	Version  int                           `json:"version"`
	Adapters map[string]*flow.AdapterRates `json:"adapters"`
}

const ratesVersion = 1

// OpenRates reads the file beside a ledger. One that cannot be used is set
// aside under another name, and Warning says so; then nothing is known.
func OpenRates(ledgerPath string) *Rates {
	r := &Rates{Adapter: adapterAt, path: ratesPath(ledgerPath)}
	data, err := keyfile.Read(r.path, keyfile.SideFile)
	if err == nil {
		r.known, err = parseRates(data)
	}
	switch {
	case err == nil:
		r.saved = data
	case !errors.Is(err, fs.ErrNotExist):
		r.Warning = setAside(r.path, err)
	}
	if r.known.Adapters == nil {
		r.known = ratesFile{ratesVersion, map[string]*flow.AdapterRates{}}
	}
	return r
}

// parseRates reads the file strictly: whatever it holds, the line works with it.
func parseRates(data []byte) (known ratesFile, err error) {
	if err := json.Unmarshal(data, &known); err != nil {
		return ratesFile{}, err
	}
	if known.Version != ratesVersion {
		return ratesFile{}, fmt.Errorf("it is of version %d, not %d", known.Version, ratesVersion)
	}
	for name, l := range known.Adapters {
		if err := l.Check(); err != nil {
			return ratesFile{}, fmt.Errorf("adapter %q: %w", name, err)
		}
	}
	return known, nil
}

// setAside gives a file that cannot be used another name, and says so.
func setAside(path string, why error) (warning string) {
	kept := path + ".bad-" + time.Now().UTC().Format("20060102T150405.000Z")
	if err := os.Rename(path, kept); err != nil {
		return fmt.Sprintf("%s cannot be used (%v) nor set aside (%v); the rates of the adapters are found out again", path, why, err)
	}
	return fmt.Sprintf("%s cannot be used (%v); it is %s now, and the rates of the adapters are found out again", path, why, kept)
}

// At is what is known of the adapter at the port now.
func (r *Rates) At(portName string) flow.BaudRates {
	name, works := r.Adapter(portName)
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.known.Adapters[name]
	if l == nil {
		l = &flow.AdapterRates{}
		r.known.Adapters[name] = l
	}
	l.Works = works
	return &adapterRates{r, l}
}

// adapterRates is what is known of one adapter; what it learns goes into the file.
type adapterRates struct {
	rates *Rates
	known *flow.AdapterRates
}

func (a *adapterRates) Pick(limit int, not ...int) (int, string) {
	a.rates.mu.Lock()
	defer a.rates.mu.Unlock()
	return a.known.Pick(limit, not...)
}

func (a *adapterRates) Failed(baud int) {
	a.rates.mu.Lock()
	defer a.rates.mu.Unlock()
	a.known.Failed(baud)
	a.rates.save()
}

func (a *adapterRates) Done(baud, blocks, again int) {
	a.rates.mu.Lock()
	defer a.rates.mu.Unlock()
	a.known.Done(baud, blocks, again)
	a.rates.save()
}

// save writes the file where it would change. A disk that does not take it
// costs nothing but what was learned: what it may not cost is told by the ledger.
func (r *Rates) save() {
	known := ratesFile{r.known.Version, map[string]*flow.AdapterRates{}}
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
	if keyfile.Replace(r.path, 0o644, b) == nil {
		r.saved = b
	}
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
