package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"station/internal/ledger"
)

// What the program wrote and said, held against the model of a soak.

// follow gives the model what the ledger has got since.
func (s *soak) follow() {
	book, err := ledger.Open(filepath.Join(s.dir, "ledger.db"), ledger.Options{ReadOnly: true})
	if err != nil {
		s.t.Fatal(err)
	}
	defer book.Close()
	for e, err := range book.Entries(s.read) {
		if err != nil {
			s.t.Fatal(err)
		}
		b, err := json.Marshal(e)
		var f fact
		if err == nil {
			err = json.Unmarshal(b, &f)
		}
		if err != nil {
			s.t.Fatal(err)
		}
		s.predict(s.read)
		s.fact(f)
		s.read++
	}
	s.predict(s.read)
}

// fact finds the visit that an entry is of.
func (s *soak) fact(e fact) {
	if e.MAC != "" {
		s.model.thing(e.MAC).entries++
	}
	switch {
	case e.Kind == "label.printed":
		s.model.must(s.model.thing(e.MAC).verdict() == "PASS", "a label of %s, which is %s", e.MAC, s.model.thing(e.MAC).verdict())
		s.labelled[e.MAC] = true
		return
	case s.model.people(e), e.Run == "":
		return
	}
	v := s.runs[e.Run]
	if v == nil {
		i := slices.IndexFunc(s.queue[e.Slot], func(v *visit) bool { return v.mac == e.MAC })
		if i < 0 {
			s.t.Fatalf("nobody put %s into slot %s: %+v", e.MAC, e.Slot, e)
		}
		v = s.queue[e.Slot][i]
		s.queue[e.Slot] = s.queue[e.Slot][i+1:]
		s.runs[e.Run] = v
	}
	s.model.told(e, v)
}

// act is a command beside the line. What it may answer is asked of the model
// as it was before, meanwhile and after.
type act struct {
	args     []string
	from, to uint64 // the ledger's size before and after
	code     int
	said     string // its error
	want     func() int
	may      []int
}

// predict asks the model about the commands that were at work at this size.
func (s *soak) predict(size uint64) {
	for _, a := range s.acts {
		if a.from <= size && size <= a.to {
			a.may = append(a.may, a.want())
		}
	}
}

func (s *soak) size() uint64 {
	book, err := ledger.Open(filepath.Join(s.dir, "ledger.db"), ledger.Options{ReadOnly: true})
	if err != nil {
		s.t.Error(err)
		return 0
	}
	defer book.Close()
	n, _, err := book.Head()
	if err != nil {
		s.t.Error(err)
	}
	return n
}

// do runs a command in this process, as its main does.
func (s *soak) do(want func() int, args ...string) string {
	a := &act{args: args, from: s.size(), want: want}
	var out bytes.Buffer
	root := rootCommand()
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(append(args, "--station", filepath.Join(s.dir, "station.toml")))
	err := root.ExecuteContext(context.Background())
	a.code, a.to, a.said = exitCode(err), s.size(), fmt.Sprint(err)
	s.acts = append(s.acts, a)
	s.commands++
	if a.code != 0 {
		s.refused++
	}
	return out.String()
}

// judge holds the exit codes of commands against the model.
func (s *soak) judge() {
	for _, a := range s.acts {
		s.model.must(slices.Contains(a.may, a.code), "%v: exit code %d (%s), want one of %v", a.args, a.code, a.said, a.may)
	}
	s.acts = nil
}

// exports is the code with which an export of all devices ends.
func (s *soak) exports() int {
	for _, d := range s.model.things {
		if d.seen {
			return exitOK
		}
	}
	return exitFailed // there is none
}

func always(code int) func() int { return func() int { return code } }

func (s *soak) file(name string) string { return filepath.Join(s.dir, name) }

// compare holds what the program prints of devices and batches against the model.
func (s *soak) compare() {
	listed := map[string]string{}
	for line := range strings.Lines(s.do(always(0), "ledger", "list")) {
		f := strings.Fields(line)
		mac, f := f[0], f[1:]
		if f[0] == "esp32" { // unknown of a device that was never recognised
			f = f[1:]
		}
		listed[mac] = f[0]
		if strings.HasPrefix(f[1], "E-") {
			listed[mac] += " " + f[1]
		}
	}
	delete(listed, "MAC")
	exported := map[string]string{}
	for line := range strings.Lines(s.do(s.exports, "ledger", "export", "--format", "jsonl")) {
		var row struct {
			MAC, Verdict, Code, KeyID, Job, JobDigest, Batch, Serial string
			Number                                                   int
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			s.model.wrong("export: %q: %v", line, err)
		}
		exported[row.MAC] = strings.TrimSpace(row.Verdict + " " + row.Code)
		d := s.model.thing(row.MAC)
		s.model.must(d.key == "" || row.KeyID == d.key && row.Job == d.job && row.JobDigest == d.digest && row.Batch == d.batch && row.Serial == d.serial && row.Number == d.numbers[d.batch], "export: %+v, want %+v", row, d)
	}
	for mac, d := range s.model.things {
		if d.seen {
			s.model.must(listed[mac] == d.verdict() && exported[mac] == d.verdict(), "%s is %q in the list and %q in the export, want %q", mac, listed[mac], exported[mac], d.verdict())
		}
	}
	s.accounts()
	if s.shifts%5 == 1 {
		s.do(always(0), "ledger", "verify")
	}
	s.follow()
	s.judge()
}

// accounts holds the table of batches against the model, and of two all that the
// program tells.
func (s *soak) accounts() {
	rows := map[string]string{}
	for line := range strings.Lines(s.do(always(0), "batch", "show")) {
		f := strings.Fields(line)
		rows[f[0]] = f[1] + " " + strings.Join(f[max(0, len(f)-7):], " ")
	}
	for batch, b := range s.model.batches {
		a := s.model.account(batch)
		want := fmt.Sprintln(pick(b.frozen != nil, "closed", "open"), a.Ordered, a.Numbers, a.Refused, a.Started, a.Passed, a.Scrapped, a.Quarantined)
		s.model.must(rows[batch] == strings.TrimSpace(want), "batch %s is %q in the table, want %q", batch, rows[batch], want)
	}
	for range min(2, len(s.batches)) {
		batch := s.batches[s.IntN(len(s.batches))]
		var a account
		if s.model.batches[batch] == nil {
			continue
		}
		if err := json.Unmarshal([]byte(s.do(always(0), "batch", "show", batch, "--json")), &a); err != nil {
			s.model.wrong("batch %s: %v", batch, err)
		}
		s.model.must(a == s.model.account(batch), "batch %s comes to %+v, want %+v", batch, a, s.model.account(batch))
	}
}

// The model's files know no package of the program.
func TestTheModelOfASoakKnowsNothingOfTheProgram(t *testing.T) {
	for _, name := range []string{"soak_model_test.go", "soak_visit_test.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			if strings.HasPrefix(i.Path.Value, `"station/`) {
				t.Errorf("%s imports %s", name, i.Path.Value)
			}
		}
	}
}
