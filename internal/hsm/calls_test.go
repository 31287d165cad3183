package hsm_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"station/internal/chip"
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
		t.Logf("%s: %d calls, %v at a far token", what, n, time.Duration(n)*farAway)
		if time.Duration(n)*farAway > mostFar || int(counted) != n {
			t.Errorf("%s: %d calls of %v each, want at most %v; counted %d", what, n, farAway, mostFar, counted)
		}
	}
	for _, p := range []hsm.Policy{hsm.Derived, hsm.Shared, hsm.Random} {
		calls(string(p), func() {
			deviceKey(t, token, hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: mac, Size: 32, Policy: p, Label: p.Role().Label()})
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

// What nobody can change of a key is read once in a session, and again when the
// session is new or somebody asks how the token is. What can be changed is read
// at every use.
func TestFixedAttributesAreReadOnce(t *testing.T) {
	cfg, faults := hsmtest.Faulty(t, hsmtest.Known(t, hsmtest.Token(t, hsm.Master), "loose", hsmtest.Master))
	token := hsmtest.Open(t, cfg)
	reads := func(label string) int {
		n := faults.Calls("C_GetAttributeValue")
		r := derived(32)
		r.Label = label
		deviceKey(t, token, r)
		return faults.Calls("C_GetAttributeValue") - n
	}
	fixed := hsm.Master.Label()
	reads("loose") // it has to be vouched for once
	if a, b, c := reads(fixed), reads(fixed), reads("loose"); a != 1 || b != 0 || c != 1 {
		t.Errorf("read %d times and %d times, one that can be changed %d times, want 1, 0 and 1", a, b, c)
	}
	faults.Set("C_GetSessionInfo 0xb3 1 0") // the session is lost
	if n := reads(fixed); n == 0 {
		t.Error("not read in a new session")
	}
	if n := reads(fixed); n != 0 {
		t.Errorf("read %d times again", n)
	}
	faults.Set("ATTRIBUTE 0x162 -1 0") // EXTRACTABLE: another key under an old handle
	if err := token.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := token.DeviceKey(t.Context(), derived(32))
	wantError(t, err, hsm.ErrAttributes, "EXTRACTABLE is true")
}

// A key that is taken away and made anew under its label is another object.
func TestAKeyMadeAnewIsReadAnew(t *testing.T) {
	cfg := hsmtest.Token(t, hsm.Master)
	token := hsmtest.Open(t, cfg)
	deviceKey(t, token, derived(32))
	hsmtest.Session(t, cfg, func(c *pkcs11.Ctx, s pkcs11.SessionHandle) {
		_ = c.FindObjectsInit(s, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_LABEL, hsm.Master.Label())})
		keys, _, err := c.FindObjects(s, 10)
		if err := errors.Join(err, c.FindObjectsFinal(s)); err != nil || len(keys) != 1 {
			t.Fatalf("%d keys, %v", len(keys), err)
		}
		if err := c.DestroyObject(s, keys[0]); err != nil {
			t.Fatal(err)
		}
	})
	open := append(hsmtest.MasterTemplate(hsm.Master.Label()), pkcs11.NewAttribute(pkcs11.CKA_VALUE, hsmtest.Master))
	for i, a := range open {
		if a.Type == pkcs11.CKA_EXTRACTABLE {
			open[i] = pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, true)
		}
	}
	hsmtest.Create(t, cfg, open...)
	_, err := token.DeviceKey(t.Context(), derived(32))
	wantError(t, err, hsm.ErrAttributes, "EXTRACTABLE is true")
}
