// Package racetest tells tests that the race detector runs. What has very many
// cases, each of them as good as the others to find a race, tries a sample of
// them then, in make test; make cases tries all of them, without the detector.
package racetest

// Sample counts the cases of a test.
type Sample int

// Out tells whether the next case is not in the sample: one of so many is.
// Without the detector all are.
func (s *Sample) Out(of int) bool {
	*s++
	return Enabled && int(*s-1)%of != 0
}
