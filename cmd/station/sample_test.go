package main

// sample counts the cases of a test that starts a program for each of them.
type sample int

// out tells whether the next case is not in the sample that the race detector takes.
func (s *sample) out() bool {
	*s++
	return int(*s-1)%sampleOf != 0
}
