// Package flow seals devices: the procedure of one device, the line of slots
// and the events that tell what happens.
//
// It knows no screen, no PKCS#11, no database, no serial port: what it needs
// of them it declares here as small interfaces. A step is irreversible because
// it has a Burn function, which returns the fuses wanted as data; the runner
// holds the program's only call of efuse.Burn.
package flow
