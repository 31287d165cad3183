package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"station/internal/record"
)

// remarks are one entry of each kind that a guest may append.
func remarks() []record.Entry {
	return []record.Entry{
		{Kind: record.LabelPrinted, MAC: mac(1), Operator: "anna", Decision: "print", Message: "zpl to /dev/usb/lp0"},
		{Kind: record.KeyRecovered, MAC: mac(1), Operator: "eve", Keys: record.FlashKey(key(1)), Decision: "wrap", Message: "RMA 4711"},
		{Kind: record.KeyImported, Operator: "eve", Keys: []record.Key{{ID: "shared:fleet-7:00", Policy: shared}}, Token: "4711"},
		{Kind: record.KeyRemoved, Operator: "eve", Keys: []record.Key{{ID: "shared:fleet-7:00", Policy: shared}}, Token: "4711", Decision: "removed"},
		{Kind: record.Released, MAC: mac(1), Operator: "anna", Message: "wrong job file"},
		{Kind: record.BatchOpened, Batch: "b1", Quota: 3, Job: "avior", Revision: "4", JobHash: "sha256:1", Operator: "anna"},
		{Kind: record.BatchClosed, Batch: "b1", Operator: "anna", Message: "order cancelled"},
	}
}

// Errors are the same ones at the other side of the door, with their text.
func TestErrorsPassTheDoor(t *testing.T) {
	for _, known := range doorErrors {
		was := fmt.Errorf("append: %s: %w: %q", record.BatchOpened, known.err, "b1")
		raw, err := json.Marshal(refuse(was))
		var r reply
		if err == nil {
			err = json.Unmarshal(raw, &r)
		}
		if err != nil {
			t.Fatal(err)
		}
		err = r.err()
		if !errors.Is(err, known.err) || err.Error() != was.Error() {
			t.Errorf("%s: got %v, want %v", known.name, err, was)
		}
		for _, other := range doorErrors {
			if other.err != known.err && errors.Is(err, other.err) {
				t.Errorf("%s became %s", known.name, other.name)
			}
		}
	}
	if err := (reply{Error: "new in a later version", Is: []string{"later"}}).err(); err == nil || err.Error() != "new in a later version" {
		t.Errorf("an error of a name that is not known: got %v", err)
	}
	if err := refuse(onDisk(fmt.Errorf("write: %w", errors.New("no space")))).err(); !errors.Is(err, ErrDisk) {
		t.Errorf("got %v", err)
	}
}

// Whatever would change what the ledger knows of a device is the line's.
func TestGuestsMayOnlyRemark(t *testing.T) {
	for _, e := range remarks() {
		said, err := guestEntry(e)
		if err != nil || !reflect.DeepEqual(said, e) {
			t.Errorf("%s: got %+v, %v", e.Kind, said, err)
		}
		e.Time, e.Index, e.Prev, e.Version = time.Now(), 7, 3, 9
		if said, err = guestEntry(e); err != nil || said.Index != 0 || said.Prev != 0 || said.Version != 0 || !said.Time.IsZero() {
			t.Errorf("%s: the ledger's own fields: got %+v, %v", e.Kind, said, err)
		}
		e.Fuses = record.Fuses{{Name: "BLOCK1", State: "hidden"}}
		if _, err := guestEntry(e); err == nil {
			t.Errorf("%s with fuses was taken", e.Kind)
		}
	}
	for _, e := range run(1) {
		if _, err := guestEntry(e); err == nil {
			t.Errorf("%s was taken", e.Kind)
		}
	}
	for _, kind := range []record.Kind{"", record.LedgerCreated, record.PlanApproved, record.SerialBound, record.NumberTaken,
		record.LedgerKey, record.Recovered, record.LineHalted, record.LineResumed, record.Failed, "device.invented"} {
		if _, err := guestEntry(record.Entry{Kind: kind, MAC: mac(1)}); err == nil {
			t.Errorf("%q was taken", kind)
		}
	}
	for _, e := range []record.Entry{
		{Kind: record.LabelPrinted, MAC: mac(1), Serial: "S-1"},
		{Kind: record.LabelPrinted, MAC: mac(1), Batch: "b1"},
		{Kind: record.BatchOpened, Operator: "anna", MAC: mac(1), Batch: "b1"},
		{Kind: record.Released, Operator: "anna", Message: "it was looked at", MAC: mac(1), Verdict: record.Pass},
	} {
		if _, err := guestEntry(e); err == nil {
			t.Errorf("%+v was taken", e)
		}
	}
}

func TestRequests(t *testing.T) {
	der, err := marshalKey(newKey(t).Public())
	if err != nil {
		t.Fatal(err)
	}
	many, _ := json.Marshal(request{Append: make([]record.Entry, maxGuestBatch+1)})
	good, _ := json.Marshal(request{Append: remarks()})
	introduced, _ := json.Marshal(request{Public: der})
	for _, c := range []struct{ line, fault string }{
		{string(good), ""},
		{string(introduced), ""},
		{"", "EOF"},
		{"{}", "want entries"},
		{"null", "want entries"},
		{`{"append":[]}`, "want entries"},
		{`{"checkpoint":"AAAA"}`, "want entries"},
		{`{"append":[{"kind":"label.printed"}],"public":"AAAA"}`, "want entries"},
		{`{"public":"AAAA"}`, "public key"},
		{`{"append":[{"kind":"label.printed","colour":1}]}`, "unknown field"},
		{`{"burn":1}`, "unknown field"},
		{`{"append":[{"kind":"device.sealed"}]}`, "only the process that has the devices"},
		{string(good) + string(good), "more than one"},
		{string(many), "are allowed"},
	} {
		_, err := parseRequest([]byte(c.line))
		if c.fault == "" && err != nil || c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)) {
			t.Errorf("%.80s: got %v, want %q", c.line, err, c.fault)
		}
	}
}

// Nothing that gets through says more than a guest may, and it says the same
// when it is said again.
func FuzzRequest(f *testing.F) {
	for _, e := range append(remarks(), run(1)...) {
		line, _ := json.Marshal(request{Append: []record.Entry{e}})
		f.Add(line)
	}
	der, _ := marshalKey(newKey(f).Public())
	line, _ := json.Marshal(request{Public: der, Checkpoint: []byte("origin\n1\nroot\n")})
	f.Add(line)
	f.Add([]byte(`{"append":[{"kind":"label.printed","mac":"24:0a:c4:01:02:03","time":"2026-11-20T08:00:00Z"}]}`))
	f.Add([]byte(`{"append":null,"public":""}{`))
	f.Fuzz(func(t *testing.T, line []byte) {
		q, err := parseRequest(line)
		if err != nil {
			if !reflect.DeepEqual(q, request{}) {
				t.Errorf("a bad request left %+v", q)
			}
			return
		}
		for _, e := range q.Append {
			var d, remarked record.Device
			e.Index = 1
			d.Apply(e)
			remarked.Apply(record.Entry{Kind: record.LabelPrinted, Index: 1, MAC: e.MAC, Simulated: e.Simulated})
			if _, may := guestKinds[e.Kind]; !may || e.MAC != (record.Entry{}).MAC && !reflect.DeepEqual(d, remarked) {
				t.Errorf("a guest may say %+v", e)
			}
		}
		again, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		if len(again) > maxRequest {
			return // of broken text, which is longer when it is escaped
		}
		if same, err := parseRequest(again); err != nil || !reflect.DeepEqual(same, q) {
			t.Errorf("said again: %+v, %v, want %+v", same, err, q)
		}
	})
}
