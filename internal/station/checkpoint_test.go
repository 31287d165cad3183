package station

import (
	"crypto/ecdsa"
	"testing"

	"station/internal/flow/flowtest"
	"station/internal/hsm"
	"station/internal/ledger"
	"station/internal/record"
)

// The token signs the ledger's head while the line runs and at its end, and
// the check holds every signature against the log.
func TestSigned(t *testing.T) {
	s := flowtest.New(t, tokenKeys, flowtest.ExampleJob)
	if _, err := s.Token.Init(t.Context(), hsm.Signer, hsm.Signer.Label()); err != nil {
		t.Fatal(err)
	}
	key, err := s.Token.Signer(t.Context(), hsm.Signer.Label())
	if err != nil {
		t.Fatal(err)
	}
	book := &Signed{Ledger: s.Ledger, Key: key, Every: 10}
	remark := record.Entry{Kind: record.KeyImported, Simulated: true}
	for range 17 {
		if _, err := book.Append(remark); err != nil {
			t.Fatal(err)
		}
		book.signs.Wait()                                  // so that the count below is certain
		if _, err := s.Ledger.Append(remark); err != nil { // as a guest's entry
			t.Fatal(err)
		}
	}
	if err := book.Finish(); err != nil {
		t.Fatal(err)
	}
	var audit ledger.Audit
	for f := range s.Ledger.Check(&audit) {
		t.Error(f)
	}
	// After about 10, 20 and 30 entries, and at the end; the signing key's own entry
	// comes with the first.
	if audit.Checkpoints != 4 {
		t.Errorf("%d checkpoints, want 4", audit.Checkpoints)
	}
	signed, err := s.Ledger.LastCheckpoint()
	if err != nil {
		t.Fatal(err)
	}
	c, err := ledger.OpenCheckpoint(signed, key.Public().(*ecdsa.PublicKey))
	if size, _, _ := s.Ledger.Head(); err != nil || c.Size != size {
		t.Errorf("the last checkpoint has %d of %d entries, %v", c.Size, size, err)
	}
	if err := book.Finish(); err != nil { // nothing is left to sign
		t.Error(err)
	}
	if s.Ledger.Check(&audit)(func(ledger.Fault) bool { return true }); audit.Checkpoints != 4 {
		t.Errorf("%d checkpoints after nothing was written", audit.Checkpoints)
	}
}
