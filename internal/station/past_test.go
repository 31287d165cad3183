package station

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/ledger"
	"station/internal/record"
)

// What a line that is started anew remembers of failures alike, at the borders: a
// device that was burned after them passed, or a person let the line go on. Nothing
// else makes it forget, neither time nor what the ledger got from others.
func TestWhatALineRemembersOfFailuresAlike(t *testing.T) {
	job := flowtest.SmallProduct(t)
	visit := func(n int, kinds ...record.Kind) (list []record.Entry) {
		for _, kind := range kinds {
			e := record.Entry{Kind: kind, MAC: VirtualMAC(n), Simulated: true, Run: fmt.Sprint("run", n), JobHash: job.Digest()}
			if kind == record.Failed {
				e.Step, e.Verdict, e.Code = "boot", record.Retry, "E-BOOT-MARKER"
			}
			list = append(list, e)
		}
		return list
	}
	fails := func(n int) []record.Entry { return visit(n, record.BurnIntended, record.Failed) }
	passes := func(n int) []record.Entry { return visit(n, record.BurnIntended, record.Sealed) }
	edit := func(list []record.Entry, change func(*record.Entry)) []record.Entry {
		for i := range list {
			change(&list[i])
		}
		return list
	}
	others := make([]record.Entry, 6000)
	for i := range others {
		others[i] = record.Entry{Kind: record.DeviceSeen, MAC: VirtualMAC(1000 + i%9), Simulated: true, JobHash: "sha256:other"}
	}
	resumes := func(code flow.Code) []record.Entry {
		return []record.Entry{{Kind: record.LineResumed, Code: code, JobHash: job.Digest(), Simulated: true}}
	}
	for name, c := range map[string]struct {
		log  [][]record.Entry
		want string
	}{
		"nothing":                    {nil, ""},
		"two failed":                 {[][]record.Entry{fails(1), fails(2)}, "1b 2b"},
		"long ago":                   {[][]record.Entry{fails(1), fails(2), others, fails(3)}, "1b 2b 3b"},
		"one passed after":           {[][]record.Entry{fails(1), passes(2)}, ""},
		"one passed between":         {[][]record.Entry{fails(1), passes(2), fails(3)}, "3b"},
		"one that was begun before":  {[][]record.Entry{visit(2, record.BurnIntended), fails(1), visit(2, record.Sealed)}, "1b"},
		"one that was burned before": {[][]record.Entry{visit(2, record.BurnIntended), fails(1), edit(visit(2, record.Sealed), func(e *record.Entry) { e.Run = "later" })}, "1b"},
		"a person let it go on":      {[][]record.Entry{fails(1), resumes(flow.CodeAlike), fails(2)}, "2b"},
		"it went on after a fault":   {[][]record.Entry{fails(1), resumes("E-HSM-AWAY")}, "1b"},
		"of another job":             {[][]record.Entry{edit(fails(1), func(e *record.Entry) { e.JobHash = "sha256:other" }), fails(2), edit(passes(3), func(e *record.Entry) { e.JobHash = "sha256:other" })}, "2b"},
		"at another station":         {[][]record.Entry{edit(fails(1), func(e *record.Entry) { e.Station = "other" }), fails(2), edit(passes(3), func(e *record.Entry) { e.Station = "other" })}, "2b"},
		"before a burn":              {[][]record.Entry{visit(1, record.Failed), fails(2)}, "1 2b"},
		"burned in a visit before":   {[][]record.Entry{visit(1, record.BurnIntended), edit(visit(1, record.Failed), func(e *record.Entry) { e.Run = "later" })}, "1b"},
		"burned in a visit after":    {[][]record.Entry{visit(1, record.Failed), visit(1, record.BurnIntended)}, "1"},
		"at the door":                {[][]record.Entry{edit(visit(1, record.Failed), func(e *record.Entry) { e.Step = "admit" }), fails(2)}, "2b"},
	} {
		book, err := ledger.Open(filepath.Join(t.TempDir(), "ledger.db"), ledger.Options{Create: true, Simulated: true, Station: "test"})
		if err != nil {
			t.Fatal(err)
		}
		for _, list := range c.log {
			_, e := book.AppendAll(list)
			err = errors.Join(err, e)
		}
		past, e := Reread(book, "test", job, nil)
		if err = errors.Join(err, e, book.Close()); err != nil {
			t.Fatal(name, err)
		}
		var got []string
		for _, out := range past {
			text := fmt.Sprint(out.MAC[5])
			if out.Burned {
				text += "b"
			}
			got = append(got, text)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: remembers %q, want %q", name, got, c.want)
		}
	}
}
