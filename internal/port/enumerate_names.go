//go:build darwin && !cgo

package port

import "go.bug.st/serial"

// Blind says why List shows names only.
const Blind = "this build cannot ask macOS for adapters (built without cgo): names only, no USB sockets; ports open as ever"

// enumerate reads the names from /dev; what stands behind them only IOKit
// knows, a library of C.
func enumerate() ([]Info, error) {
	names, err := serial.GetPortsList()
	if err != nil {
		return nil, err
	}
	var all []Info
	for _, name := range names {
		all = append(all, Info{Name: name})
	}
	return all, nil
}
