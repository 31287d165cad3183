package racetest

import (
	"os"
	"strconv"
	"testing"
)

// Setting is how many cases a test tries that has as many as one likes: the number from 1
// in that variable of the environment, otherwise where it is not set.
func Setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is not a number from 1", name, v)
	}
	return n
}
