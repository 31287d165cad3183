package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"station/internal/ledger"
	"station/internal/record"
)

func TestProofOfAnExport(t *testing.T) {
	x := recorded(t, false)
	key := newKey(t)
	head, err := HeadOf(x.l, key)
	if err != nil {
		t.Fatal(err)
	}
	for _, tb := range Tables {
		for _, f := range Formats {
			file, p := export(t, Export{File: "x", Table: tb, Format: f, Filter: Filter{Batch: "b1"}, Made: begin}, head)
			if err := p.Sign(key); err != nil {
				t.Fatal(err)
			}
			x.do(visit{n: 100 + len(file), slot: "1"}) // the log grows meanwhile
			data, err := p.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			q, err := ParseExportProof(data)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(q.CheckFile(bytes.NewReader(file)), q.CheckSigned(&key.PublicKey), q.CheckLedger(x.l)); err != nil {
				t.Errorf("%s as %s: %v", tb.Name, f, err)
			}
			if err := q.CheckSigned(&newKey(t).PublicKey); !errors.Is(err, ledger.ErrSignature) {
				t.Errorf("another key: got %v", err)
			}
			file[len(file)/2] ^= 1
			if err := q.CheckFile(bytes.NewReader(file)); !errors.Is(err, ErrProof) {
				t.Errorf("a changed file: got %v", err)
			}
		}
	}
}

// Whatever is changed in a proof, it is found.
func TestEveryFieldOfAProofIsSigned(t *testing.T) {
	x := recorded(t, false)
	key := newKey(t)
	head, err := HeadOf(x.l, key)
	if err != nil {
		t.Fatal(err)
	}
	_, p := export(t, Export{File: "x.csv", Table: Tables[0], Format: CSV, Filter: Filter{Batch: "b1", From: begin}, Made: begin, Software: "v1"}, head)
	if err := p.Sign(key); err != nil {
		t.Fatal(err)
	}
	data, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	for name, value := range fields {
		changed := "1" + string(value) // of a number
		if value[0] == '"' {
			changed = `"1` + string(value[1:])
		} else if value[0] == '{' {
			changed = strings.Replace(string(value), "b1", "b2", 1)
		}
		forged := bytes.Replace(data, append([]byte(`"`+name+`": `), indentedLike(t, data, name)...), []byte(`"`+name+`": `+changed), 1)
		if bytes.Equal(forged, data) {
			t.Fatalf("%s was not changed", name)
		}
		q, err := ParseExportProof(forged)
		if err == nil {
			err = q.CheckSigned(&key.PublicKey)
		}
		if err == nil {
			t.Errorf("%s may be changed", name)
		}
	}
	if _, err := ParseExportProof(bytes.Replace(data, []byte("{"), []byte(`{"more":1,`), 1)); err == nil {
		t.Error("a field that nobody signed is accepted")
	}
}

// indentedLike is the value of a field as it stands in the file.
func indentedLike(t *testing.T, data []byte, name string) []byte {
	t.Helper()
	_, rest, ok := bytes.Cut(data, []byte(`"`+name+`": `))
	if !ok {
		t.Fatalf("no field %s", name)
	}
	var raw json.RawMessage
	if err := json.NewDecoder(bytes.NewReader(rest)).Decode(&raw); err != nil {
		t.Fatal(err)
	}
	return raw
}

// An export of one ledger is not one of another, nor of a shorter one.
func TestProofAgainstAnotherLedger(t *testing.T) {
	x, other := recorded(t, false), recorded(t, false)
	_, p := export(t, Export{Table: Tables[0], Format: CSV}, headOf(t, x.l))
	if err := p.CheckLedger(other.l); !errors.Is(err, ErrProof) {
		t.Errorf("another ledger: got %v", err)
	}
	if err := p.CheckSigned(&newKey(t).PublicKey); !errors.Is(err, ErrUnsigned) {
		t.Errorf("not signed: got %v", err)
	}
	for what, forge := range map[string]func(q *ExportProof){
		"longer":     func(q *ExportProof) { q.Size += 100 },
		"root":       func(q *ExportProof) { q.Root[0] ^= 1 },
		"rows":       func(q *ExportProof) { q.Rows++ },
		"cells":      func(q *ExportProof) { q.Cells = strings.Repeat("0", 64) },
		"filter":     func(q *ExportProof) { q.Filter.Batch = "b1" },
		"simulation": func(q *ExportProof) { q.Simulated = true },
		"table":      func(q *ExportProof) { q.Table = "nothing" },
		"columns":    func(q *ExportProof) { q.Columns++ },
	} {
		q := *p
		forge(&q)
		if err := q.CheckLedger(x.l); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if err := p.CheckLedger(x.l); err != nil {
		t.Error(err)
	}
}

// The root is hashed anew from the entries, at every size of the tree.
func TestRootAt(t *testing.T) {
	x := newLine(t, false)
	for range 40 {
		x.add(record.Entry{Kind: "remark", Message: "one more"})
		size, want, err := x.l.Head()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := rootAt(x.l, size); err != nil || got != want {
			t.Errorf("%d entries: got %v, %v, want %v", size, got, err, want)
		}
	}
	for _, size := range []uint64{0, 1000} {
		if _, err := rootAt(x.l, size); err == nil {
			t.Errorf("%d entries: no error", size)
		}
	}
}
