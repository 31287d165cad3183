//go:build race

package racetest

// Enabled: everything takes several times as long.
const Enabled = true
