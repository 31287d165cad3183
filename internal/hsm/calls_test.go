package hsm_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
)

// What a call costs where the token is behind a network, and what the key step
// of a device took when every attribute was a call of its own.
const (
	farAway  = 50 * time.Millisecond
	mostFar  = 3300 * time.Millisecond / 5
	mostKeys = int(mostFar / farAway) // 13 calls
)

// A device's key takes few calls into the module, whatever the policy, and so
// does a signature.
func TestFewCallsForAKey(t *testing.T) {
	cfg, faults := hsmtest.Faulty(t, hsmtest.Token(t, hsm.Master, hsm.KEK, hsm.SharedKey, hsm.Signer))
	token := hsmtest.Open(t, cfg)
	signer, err := token.Signer(t.Context(), hsm.Signer.Label())
	if err != nil {
		t.Fatal(err)
	}
	calls := func(what string, fn func()) {
		fn() // the first of a session brings in the wrapping key
		n, counted := faults.All(), token.Calls()
		fn()
		n, counted = faults.All()-n, token.Calls()-counted
		t.Logf("%s: %d calls", what, n)
		if n > mostKeys || int(counted) != n {
			t.Errorf("%s: %d calls, want at most %d; counted %d", what, n, mostKeys, counted)
		}
	}
	for _, p := range []hsm.Policy{hsm.Derived, hsm.Shared, hsm.Random} {
		calls(string(p), func() {
			deviceKey(t, token, hsm.Request{MAC: mac, Size: 32, Policy: p, Label: p.Role().Label()})
		})
	}
	calls("signature", func() {
		if _, err := signer.Sign(nil, make([]byte, 32), nil); err != nil {
			t.Error(err)
		}
	})
}

// Eight slots that want a key at once wait for one another's keys and for
// nothing else: with every call slow, the last one has its key after eight.
func TestEightSlotsAtAFarToken(t *testing.T) {
	cfg, faults := hsmtest.Faulty(t, hsmtest.Token(t, hsm.Master))
	token := hsmtest.Open(t, cfg)
	deviceKey(t, token, derived(32))
	faults.Set("ALL 0 -1 5")
	n := faults.All()
	var slots sync.WaitGroup
	for range 8 {
		slots.Go(func() {
			k, err := token.DeviceKey(context.Background(), derived(32))
			k.Secret.Destroy()
			if err != nil {
				t.Error(err)
			}
		})
	}
	slots.Wait()
	if n = faults.All() - n; n > 8*mostKeys {
		t.Errorf("%d calls for eight keys, want at most %d", n, 8*mostKeys)
	}
	if two := faults.Calls("TWO"); two != 0 {
		t.Errorf("%d times two threads were in the module", two)
	}
}
