package hsm_test

import (
	"context"
	"errors"
	"os"
	"regexp"
	"runtime/debug"
	"testing"

	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
)

// locked is how much memory this process keeps from the swap: the pages of
// secrets that are not destroyed.
func locked(t *testing.T) string {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	return string(regexp.MustCompile("(?m)^VmLck:.*$").Find(status))
}

// A key that arrives when its caller has given up is overwritten at once, not
// when the garbage collector finds it.
func TestAKeyThatNobodyTakesIsDestroyed(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	cfg, faults := hsmtest.Faulty(t, hsmtest.Token(t, hsm.Master))
	token := hsmtest.Open(t, cfg)
	for range 2 { // the first brings in what stays
		k, err := token.DeviceKey(t.Context(), derived(32))
		if err != nil {
			t.Fatal(err)
		}
		k.Secret.Destroy()
	}
	before := locked(t)
	k := deviceKey(t, token, derived(32))
	if held := locked(t); held == before {
		t.Fatalf("a key does not show: %s", held)
	}
	k.Secret.Destroy()
	faults.Set("C_Sign 0 1 -1")
	ctx, cancel := context.WithCancel(t.Context())
	signs := faults.Calls("C_Sign")
	done := make(chan error)
	go func() {
		k, err := token.DeviceKey(ctx, derived(32))
		k.Secret.Destroy()
		done <- err
	}()
	for faults.Calls("C_Sign") == signs {
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	faults.Set()    // now it comes
	check(t, token) // it waits until the module is free
	if after := locked(t); after != before {
		t.Errorf("before %s, after %s", before, after)
	}
}
