//go:build !darwin || cgo

package port

import "go.bug.st/serial/enumerator"

// Blind says why List shows names only. Empty: it shows adapters too.
const Blind = ""

// enumerate asks the system for its serial ports.
func enumerate() ([]Info, error) {
	found, err := enumerator.GetDetailedPortsList()
	if err != nil {
		return nil, err
	}
	var all []Info
	for _, d := range found {
		all = append(all, Info{Name: d.Name, VID: d.VID, PID: d.PID, Serial: d.SerialNumber, Product: d.Product})
	}
	return all, nil
}
