package report

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
)

// opened is a line with an open batch of so many devices.
func opened(t *testing.T, simulated bool, devices int) *line {
	t.Helper()
	x := newLine(t, simulated)
	x.add(record.Entry{Kind: record.BatchOpened, Batch: "b1", Quota: devices, Job: "lamp", JobHash: sha(4), Operator: "anna"})
	return x
}

func balanceOf(t *testing.T, x *line, batch string) *Balance {
	t.Helper()
	b, err := BalanceOf(x.l, headOf(t, x.l).Size, batch, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBatchBalances(t *testing.T) {
	x := opened(t, false, 3)
	for n := range 3 {
		x.do(visit{n: n, slot: "1", batch: "b1"})
	}
	x.do(visit{n: 9, slot: "1", batch: "b2"}) // another one
	got := *balanceOf(t, x, "b1")
	want := Balance{Batch: "b1", Job: "lamp", JobHash: sha(4), Opened: got.Opened, First: 1, Last: got.Last,
		Ordered: 3, Numbers: 3, Keys: 3, Started: 3, Passed: 3}
	if a, b := asJSON(t, got), asJSON(t, want); a != b || !got.Balanced() {
		t.Errorf("got  %s\nwant %s", a, b)
	}
}

// A device is scrapped, one more is ordered for it and passes, and the order is
// what it was again: that balances, and nothing more can be made.
func TestBatchIsAmendedUpAndDown(t *testing.T) {
	x := opened(t, false, 1)
	amend := func(quota int) {
		x.add(record.Entry{Kind: record.BatchAmended, Batch: "b1", Quota: quota, Operator: "eve", Message: "one was scrapped"})
	}
	x.do(visit{n: 1, slot: "1", batch: "b1", end: "SCRAP E-FUSE-WRONG"})
	if _, err := x.l.Reserve(record.Entry{MAC: mac(2), Batch: "b1", Job: "lamp", JobHash: sha(4)}); !errors.Is(err, record.ErrQuota) {
		t.Errorf("a second device of one: %v", err)
	}
	amend(2)
	x.do(visit{n: 2, slot: "1", batch: "b1"})
	amend(1)
	b := balanceOf(t, x, "b1")
	if b.Ordered != 1 || b.Numbers != 2 || b.Passed != 1 || b.Scrapped != 1 || len(b.Amended) != 2 || !b.Balanced() {
		t.Errorf("got %s", asJSON(t, *b))
	}
	if _, err := x.l.Reserve(record.Entry{MAC: mac(3), Batch: "b1", Job: "lamp", JobHash: sha(4)}); !errors.Is(err, record.ErrQuota) {
		t.Errorf("a third device: %v", err)
	}
	if _, err := x.l.Append(record.Entry{Kind: record.BatchAmended, Batch: "b1", Quota: -1, Operator: "eve", Message: "no"}); !errors.Is(err, record.ErrQuota) {
		t.Errorf("a quota below nothing: %v", err)
	}
}

// A late batch in a long ledger is counted from its first entry on.
func TestBatchIsReadFromItsBegin(t *testing.T) {
	x := newLine(t, false)
	for n := range 5 {
		x.do(visit{n: n, slot: "1", batch: "b1"})
	}
	head := headOf(t, x.l).Size
	x.do(visit{n: 9, slot: "1", batch: "b2"})
	var read []uint64
	b, err := BalanceOf(x.l, headOf(t, x.l).Size, "b2", func(entries, total uint64) { read = append(read, entries) })
	if err != nil || b.First != head || b.Passed != 1 || len(read) == 0 || read[0] != head+1 {
		t.Errorf("got %+v, %v, read entries %v, want from %d on", b, err, read, head+1)
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A batch in which everything went wrong at least once.
func TestBatchThatDoesNotBalance(t *testing.T) {
	x := opened(t, false, 10)
	x.do(visit{n: 1, slot: "1", batch: "b1"})
	x.do(visit{n: 2, slot: "1", batch: "b1", end: "RETRY E-BOOT-MARKER"})
	x.do(visit{n: 2, slot: "1", batch: "b1", again: true})
	x.do(visit{n: 3, slot: "1", batch: "b1", end: "SCRAP E-FUSE-WRONG"})
	x.do(visit{n: 4, slot: "1", batch: "b1", end: "QUARANTINE E-BOOT-SELFKEY"})
	x.do(visit{n: 5, slot: "1", batch: "b1", end: "STATION E-HSM"}) // its number is skipped
	x.do(visit{n: 6, slot: "1", batch: "b1", end: "pulled"})        // before it had one
	x.do(visit{n: 7, slot: "1", batch: "b1", end: "RETRY E-BOOT-MARKER"})
	x.do(visit{n: 8, slot: "1", batch: "b1", end: "RETRY E-BOOT-MARKER"})
	x.do(visit{n: 8, slot: "1", batch: "b2", again: true})
	got := balanceOf(t, x, "b1")
	want := Balance{Ordered: 10, Numbers: 7, Keys: 6, Skipped: 1, Refused: 2, Started: 5, Passed: 2, Scrapped: 1, Quarantined: 1, Unfinished: 1, Moved: 1}
	if got.Ordered != want.Ordered || got.Numbers != want.Numbers || got.Keys != want.Keys || got.Skipped != want.Skipped || got.Refused != want.Refused || got.Started != want.Started ||
		got.Passed != want.Passed || got.Scrapped != want.Scrapped || got.Quarantined != want.Quarantined || got.Unfinished != want.Unfinished || got.Moved != want.Moved {
		t.Errorf("got  %+v\nwant %+v", *got, want)
	}
	if len(got.SkippedNumbers) != 1 || got.SkippedNumbers[0] != 5 {
		t.Errorf("skipped: %v, want 5", got.SkippedNumbers)
	}
	text := strings.Join(got.Differences, "\n")
	for _, want := range []string{
		"1 device started that had no end: " + mac(7).String(),
		"8 of 10 ordered devices are missing",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %q", want, text)
		}
	}
	if got.Balanced() || len(got.Differences) != 2 {
		t.Errorf("differences %q", got.Differences)
	}
	// What was released is on its way again.
	x.add(record.Entry{Kind: record.Released, Message: "it was looked at", MAC: mac(4), Operator: "eve"})
	if got := balanceOf(t, x, "b1"); got.Quarantined != 0 || got.Unfinished != 2 {
		t.Errorf("released: %d in quarantine, %d unfinished", got.Quarantined, got.Unfinished)
	}
}

// Keys without numbers, and numbers that were never given.
func TestKeysAndNumbersDisagree(t *testing.T) {
	x := opened(t, false, 0)
	x.add(record.Entry{Kind: record.KeyAssigned, MAC: mac(1), Batch: "b1", Keys: []record.Key{{Purpose: chip.FlashEncryption, ID: keyID(1), Policy: "derived"}}},
		record.Entry{Kind: record.Sealed, MAC: mac(1), Batch: "b1"})
	got := balanceOf(t, x, "b1")
	if got.Keys != 1 || got.Numbers != 0 || len(got.Differences) != 1 || !strings.Contains(got.Differences[0], "1 keys and 0 skipped numbers are not 0 numbers") {
		t.Errorf("got %+v", *got)
	}
	f := &batchFold{Balance: Balance{Ordered: 2}, most: 2, numbers: map[int]chip.MAC{1: mac(1), 3: mac(3), 4: mac(4)}, keyed: map[chip.MAC]bool{mac(1): true, mac(3): true, mac(4): true}}
	f.Keys = 3
	f.settle()
	for _, want := range []string{"numbers were never given: 2", "2 of 2 ordered devices are missing", "3 numbers were taken of 2"} {
		if !strings.Contains(strings.Join(f.Differences, "\n"), want) {
			t.Errorf("no %q in %q", want, f.Differences)
		}
	}
}

// A device that is turned away before it has a key costs the batch nothing.
func TestATenthDevice(t *testing.T) {
	x := opened(t, false, 2)
	x.do(visit{n: 1, slot: "1", batch: "b1"})
	x.do(visit{n: 2, slot: "1", batch: "b1"})
	run := record.Entry{MAC: mac(3), Batch: "b1", Job: "lamp", JobHash: sha(4), Run: "3"}
	seen, failed := run, run
	seen.Kind, failed.Kind, failed.Verdict, failed.Code = record.DeviceSeen, record.Failed, record.Station, "E-QUOTA"
	x.add(seen, failed)
	got := balanceOf(t, x, "b1")
	if got.Refused != 1 || got.Started != 2 || got.Passed != 2 || !got.Balanced() {
		t.Errorf("got %+v", *got)
	}
	if lot, _, err := x.l.Lot("batch:b1"); err != nil || lot.Refused != 1 || lot.Devices != 2 {
		t.Errorf("lot %+v, %v", lot, err)
	}
	// In another batch it is made, and refused no more.
	x.do(visit{n: 3, slot: "1", batch: "b2"})
	if got := balanceOf(t, x, "b1"); got.Refused != 0 || got.Moved != 0 || !got.Balanced() {
		t.Errorf("made elsewhere: %+v", *got)
	}
}

// A device that was begun in one batch and finished in another counts there.
func TestBegunHereFinishedThere(t *testing.T) {
	x := opened(t, false, 1)
	x.do(visit{n: 1, slot: "1", batch: "b2", end: "RETRY E-BOOT-MARKER"})
	x.do(visit{n: 1, slot: "1", batch: "b1", again: true})
	got, other := balanceOf(t, x, "b1"), balanceOf(t, x, "b2")
	if got.Numbers != 1 || got.Keys != 1 || got.Started != 1 || got.Joined != 1 || got.Passed != 1 || !got.Balanced() {
		t.Errorf("finished: %+v", *got)
	}
	if other.Numbers != 1 || other.Keys != 1 || other.Started != 0 || other.Moved != 1 || !other.Balanced() {
		t.Errorf("begun: %+v", *other)
	}
}

// A batch whose device moved away gets room by another quota, and balances once the
// quota is what was ordered again.
func TestRoomForADeviceThatMoved(t *testing.T) {
	x := opened(t, false, 1)
	amend := func(quota int) {
		x.add(record.Entry{Kind: record.BatchAmended, Batch: "b1", Quota: quota, Operator: "eve", Message: "one moved"})
	}
	x.do(visit{n: 1, slot: "1", batch: "b1", end: "RETRY E-BOOT-MARKER"})
	x.do(visit{n: 1, slot: "1", batch: "b2", again: true})
	next := record.Entry{MAC: mac(2), Batch: "b1", Job: "lamp", JobHash: sha(4)}
	if _, err := x.l.Reserve(next); !errors.Is(err, record.ErrQuota) || !strings.Contains(err.Error(), "station batch amend b1 --quota N") {
		t.Errorf("its one number is used: got %v", err)
	}
	amend(2)
	x.do(visit{n: 2, slot: "1", batch: "b1"})
	amend(1)
	if b := balanceOf(t, x, "b1"); b.Moved != 1 || b.Numbers != 2 || b.Passed != 1 || !b.Balanced() {
		t.Errorf("got %+v", *b)
	}
}

// Another quota stands in the account, with who and why.
func TestAmendedBatch(t *testing.T) {
	x := opened(t, false, 3)
	x.do(visit{n: 1, slot: "1", batch: "b1"})
	if balanceOf(t, x, "b1").Balanced() {
		t.Error("two are missing, and it balances")
	}
	x.add(record.Entry{Kind: record.BatchAmended, Batch: "b1", Quota: 1, Operator: "eve", Message: "order reduced"})
	got := balanceOf(t, x, "b1")
	if got.Ordered != 1 || !got.Balanced() || len(got.Amended) != 1 || got.Amended[0].From != 3 || got.Amended[0].To != 1 {
		t.Errorf("got %+v", *got)
	}
	if !strings.Contains(asText(got), "3 to 1 by eve: order reduced") {
		t.Errorf("no amendment in\n%s", asText(got))
	}
}

func asText(b *Balance) string {
	var out []string
	for _, l := range b.Lines() {
		out = append(out, l[0]+" "+l[1])
	}
	return strings.Join(out, "\n")
}

// What happens after the closing changes neither account nor certificate, and
// is told as what it is.
func TestAClosedBatchIsFrozen(t *testing.T) {
	x := opened(t, false, 2)
	key := newKey(t)
	x.do(visit{n: 1, slot: "1", batch: "b1"})
	x.do(visit{n: 2, slot: "1", batch: "b1", end: "RETRY E-BOOT-MARKER"})
	x.add(record.Entry{Kind: record.BatchClosed, Batch: "b1", Operator: "anna", Message: "one is left"})
	before := balanceOf(t, x, "b1")
	c, err := Certify(x.l, key, "b1", Certificate{Issued: begin, Station: "bench-1", Operator: "anna", Software: "v1", Token: "pkcs11:token=line-1"})
	if err != nil {
		t.Fatal(err)
	}
	x.add(record.Entry{Kind: record.Failed, MAC: mac(1), Batch: "b1", Verdict: record.Quarantine, Code: "E-LEDGER-DISAGREES"})
	x.do(visit{n: 2, slot: "1", batch: "b2", again: true})
	after := balanceOf(t, x, "b1")
	since := after.Since
	after.Since = nil
	if a, b := asJSON(t, after), asJSON(t, before); a != b || before.Passed != 1 || before.Unfinished != 1 {
		t.Errorf("closed: %s\nlater:  %s", b, a)
	}
	want := []string{mac(1).String() + " was PASS and is QUARANTINE E-LEDGER-DISAGREES", mac(2).String() + " was RETRY and is PASS, counted in batch:b2"}
	if strings.Join(since, "|") != strings.Join(want, "|") {
		t.Errorf("since: %q\nwant   %q", since, want)
	}
	if err := c.CheckLedger(x.l); err != nil {
		t.Errorf("the certificate: %v", err)
	}
	if told, err := c.Since(x.l); err != nil || len(told) != 2 {
		t.Errorf("the certificate tells %q, %v", told, err)
	}
	again, err := Certify(x.l, key, "b1", Certificate{Issued: begin, Station: "bench-1", Operator: "bob", Software: "v1", Token: "pkcs11:token=line-1"})
	if err != nil || asJSON(t, again.Account) != asJSON(t, c.Account) {
		t.Errorf("certified again: %s, %v", asJSON(t, again.Account), err)
	}
	if lot, _, err := x.l.Lot("batch:b1"); err != nil || lot.Passed != 1 || lot.Devices != 2 {
		t.Errorf("lot %+v, %v", lot, err)
	}
}

func TestNoSuchBatch(t *testing.T) {
	x := opened(t, false, 1)
	if _, err := BalanceOf(x.l, headOf(t, x.l).Size, "b", nil); !errors.Is(err, ErrNoBatch) {
		t.Errorf("got %v", err)
	}
}

func TestRanges(t *testing.T) {
	for want, list := range map[string][]int{"": nil, "3": {3}, "3-5": {3, 4, 5}, "1, 3, 7-8": {1, 3, 7, 8}} {
		if got := ranges(list); got != want {
			t.Errorf("%v: got %q, want %q", list, got, want)
		}
	}
}

func TestCertificate(t *testing.T) {
	x := opened(t, false, 2)
	key := newKey(t)
	x.do(visit{n: 1, slot: "1", batch: "b1"})
	x.do(visit{n: 2, slot: "1", batch: "b1", end: "STATION E-HSM"})
	x.add(record.Entry{Kind: record.BatchClosed, Batch: "b1", Operator: "anna"})
	c, err := Certify(x.l, key, "b1", Certificate{Issued: begin.Add(time.Hour + time.Millisecond), Station: "bench-1",
		Operator: "anna\nbalanced     yes", Reason: "end of the year", Software: "v1", Token: "pkcs11:token=line-1"})
	if err != nil {
		t.Fatal(err)
	}
	file, err := c.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := CheckCertificate(file, &newKey(t).PublicKey, &key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"batch        b1", "ordered      2", "numbers      2", "keys made    1", "skipped      1: 2", "passed       1", "refused      1",
		"DIFFERENCE   1 of 2 ordered devices are missing", "balanced     NO", "operator     anna balanced yes", "reason       end of the year"} {
		if !strings.Contains("\n"+got.Text(), "\n"+line+"\n") {
			t.Errorf("no line %q in\n%s", line, got.Text())
		}
	}
	x.do(visit{n: 3, slot: "1", batch: "b3"}) // the log grows
	if err := got.CheckLedger(x.l); err != nil {
		t.Error(err)
	}
	if err := got.CheckLedger(opened(t, false, 1).l); !errors.Is(err, ErrProof) {
		t.Errorf("another ledger: got %v", err)
	}
	if _, err := CheckCertificate(file, &newKey(t).PublicKey); !errors.Is(err, ledger.ErrSignature) {
		t.Errorf("another key: got %v", err)
	}
}

// Whatever is changed in a certificate, it is found.
func TestEveryByteOfACertificateIsSigned(t *testing.T) {
	x := opened(t, false, 2)
	key := newKey(t)
	x.do(visit{n: 1, slot: "1", batch: "b1"})
	x.do(visit{n: 2, slot: "1", batch: "b1", end: "STATION E-HSM"})
	c, err := Certify(x.l, key, "b1", Certificate{Issued: begin, Station: "bench-1", Operator: "anna", Software: "v1", Token: "pkcs11:token=line-1"})
	if err != nil {
		t.Fatal(err)
	}
	file, err := c.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for i := range file {
		forged := bytes.Clone(file)
		if forged[i]++; json.Valid(forged) && strings.TrimSpace(string(forged)) != strings.TrimSpace(string(file)) {
			if got, err := CheckCertificate(forged, &key.PublicKey); err == nil && got.Text() != c.Text() {
				t.Errorf("byte %d may be changed: %s", i, forged[max(0, i-20):min(len(forged), i+20)])
			}
		}
	}
}

func TestSimulationIsNotCertified(t *testing.T) {
	x := opened(t, true, 1)
	x.do(visit{n: 1, slot: "1", batch: "b1"})
	if c, err := Certify(x.l, newKey(t), "b1", Certificate{}); !errors.Is(err, ErrSimulated) || c != nil {
		t.Errorf("got %v", err)
	}
}

// A certificate that was signed for another head than its checkpoint's proves nothing.
func TestCertificateOfAnotherHead(t *testing.T) {
	x, key := opened(t, false, 1), newKey(t)
	x.do(visit{n: 1, slot: "1", batch: "b1"})
	c, err := Certify(x.l, key, "b1", Certificate{Issued: begin, Operator: "anna"})
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Certificate){
		"":       func(*Certificate) {},
		"size":   func(c *Certificate) { c.Size++ },
		"root":   func(c *Certificate) { c.Root[0] ^= 1 },
		"origin": func(c *Certificate) { c.Origin = "another" },
	} {
		other := *c
		change(&other)
		if other.Signed, err = signText(other.Text(), other.Origin, key); err != nil {
			t.Fatal(err)
		}
		if err := other.check([]*ecdsa.PublicKey{&key.PublicKey}); errors.Is(err, ErrProof) != (name != "") || err != nil && name == "" {
			t.Errorf("another %s: %v", name, err)
		}
	}
}
