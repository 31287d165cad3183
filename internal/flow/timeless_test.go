package flow_test

import (
	"sync"
	"testing"
	"testing/synctest"

	"station/internal/hsm/hsmtest"
)

var moduleLoaded sync.Once

// timeless runs a test where waiting takes no time, and a machine that does a lot
// else cannot be too slow. The token's module is loaded before: it serves the
// next test too.
func timeless(test func(t *testing.T)) func(t *testing.T) {
	return func(t *testing.T) {
		moduleLoaded.Do(func() { hsmtest.Token(t) })
		synctest.Test(t, test)
	}
}
