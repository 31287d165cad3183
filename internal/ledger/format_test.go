package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"station/internal/record"
)

// What projections are written as has one version: a program that writes the same
// entries otherwise has to count it up, or older ones take its projections for
// damaged, and it theirs.
func TestProjectionsHaveTheirVersion(t *testing.T) {
	now := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	o := bench
	o.Now = func() time.Time { now = now.Add(time.Second); return now }
	l := start(t, o)
	add(t, l, run(1)...)
	identity := record.NamesIdentity(record.Identity{ID: "aa", Label: "master", Certificate: &record.Certificate{Serial: "01", SHA256: "sha256:1", DER: []byte("der")}})
	add(t, l,
		record.Entry{Kind: record.IdentityMade, MAC: mac(1), Operator: "eve", About: identity},
		record.Entry{Kind: record.Failed, MAC: mac(2), Verdict: record.Quarantine, Code: "E-CHIP"},
		record.Entry{Kind: record.BatchOpened, Batch: "b1", Quota: 2, Operator: "anna"}, leaseOf(1, 5, 2),
		record.Entry{Kind: record.PlanApproved, Plan: "sha256:1", Operator: "anna"})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	sum, records := sha256.New(), 0
	tamper(t, l.Path(), func(tx *txn) (err error) {
		for _, name := range projections {
			err = errors.Join(err, tx.bucket(name).ForEach(func(k, v []byte) error {
				records++
				for _, part := range [][]byte{[]byte(name), k, v} {
					part = append([]byte(number(uint64(len(part)))), part...)
					sum.Write(part)
				}
				return nil
			}))
		}
		return err
	})
	const version, want = 17, "6d575d2d603977d5"
	if got := hex.EncodeToString(sum.Sum(nil)[:8]); records < 8 || projection != version || got != want {
		t.Errorf("%d records of projections of version %d are %s, want version %d and %s: what is written has changed, so its version must", records, projection, got, version, want)
	}
}
