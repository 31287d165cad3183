//go:build race

package station

// raceEnabled: everything takes several times as long, and of the points that
// are tried elsewhere a few are tried here.
const raceEnabled = true
