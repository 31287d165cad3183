//go:build race

package station

// raceEnabled: everything takes several times as long, and the points that are
// tried are fewer.
const raceEnabled = true
