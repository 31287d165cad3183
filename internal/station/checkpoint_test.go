package station

import (
	"crypto/ecdsa"
	"testing"

	"station/internal/hsm"
	"station/internal/ledger"
	"station/internal/record"
)

// The token signs the ledger's head while the line runs and at its end, and
// the check holds every signature against the log.
func TestSigned(t *testing.T) {
	s := newStation(t, exampleJob)
	if _, err := s.token.Init(t.Context(), hsm.Signer, hsm.Signer.Label()); err != nil {
		t.Fatal(err)
	}
	key, err := s.token.Signer(t.Context(), hsm.Signer.Label())
	if err != nil {
		t.Fatal(err)
	}
	book := &Signed{Ledger: s.ledger, Key: key, Every: 10}
	remark := record.Entry{Kind: record.KeyImported, Simulated: true}
	for range 17 {
		if _, err := book.Append(remark); err != nil {
			t.Fatal(err)
		}
		book.signs.Wait()                                  // so that the count below is certain
		if _, err := s.ledger.Append(remark); err != nil { // as a guest's entry
			t.Fatal(err)
		}
	}
	if err := book.Finish(); err != nil {
		t.Fatal(err)
	}
	var audit ledger.Audit
	for f := range s.ledger.Check(&audit) {
		t.Error(f)
	}
	// After about 10, 20 and 30 entries, and at the end; the signing key's own entry
	// comes with the first.
	if audit.Checkpoints != 4 {
		t.Errorf("%d checkpoints, want 4", audit.Checkpoints)
	}
	signed, err := s.ledger.LastCheckpoint()
	if err != nil {
		t.Fatal(err)
	}
	c, err := ledger.OpenCheckpoint(signed, key.Public().(*ecdsa.PublicKey))
	if size, _, _ := s.ledger.Head(); err != nil || c.Size != size {
		t.Errorf("the last checkpoint has %d of %d entries, %v", c.Size, size, err)
	}
	if err := book.Finish(); err != nil { // nothing is left to sign
		t.Error(err)
	}
	if s.ledger.Check(&audit)(func(ledger.Fault) bool { return true }); audit.Checkpoints != 4 {
		t.Errorf("%d checkpoints after nothing was written", audit.Checkpoints)
	}
}
