package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/racetest"
	"station/internal/record"
)

// hostile clears the screen, hides what follows and turns the text around, in
// the ways that terminals know, and begins a line of its own. The rest of it is
// fine and has to stay.
const (
	hostile = "设备\x1b[2J\x1b]0;owned\x07\x1b[8m\u009b31m\u202eSSAP\u2066\u200b\ufeff\x7f\u2028\n" + forged + "\tPASS"
	forged  = "24:0a:c4:99:99:99"
)

// mustBePlain finds in an output what acts on a terminal, and lines that are not ours.
func mustBePlain(t *testing.T, what string, out []byte) {
	t.Helper()
	if bytes.HasPrefix(out, []byte(forged)) || bytes.Contains(out, []byte("\n"+forged)) {
		t.Errorf("%s: a forged line stands in\n%s", what, out)
	}
	for rest := out; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		if r == utf8.RuneError && n == 1 || r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)) {
			t.Errorf("%s: %q is raw in %q", what, rest[:n], out)
			return
		}
		rest = rest[n:]
	}
}

// hostileLedger has the text in every field in which somebody can have written.
func hostileLedger(t *testing.T, path string) {
	t.Helper()
	book, err := ledger.Open(path, ledger.Options{Create: true, Station: "bench " + hostile, Software: hostile})
	if err != nil {
		t.Fatal(err)
	}
	list := []record.Entry{
		{Kind: record.PlanApproved, Plan: "sha256:" + strings.Repeat("7", 64), Described: []string{hostile + " = " + hostile}, LineOperator: hostile},
		{Kind: record.LineHalted}, {Kind: record.LineResumed}, {Kind: record.KeyImported, Token: hostile},
		{Kind: record.BatchOpened, Batch: "b1", Quota: 9},
	}
	for i, end := range []string{"", "RETRY E-BOOT-MARKER"} {
		list = append(list, visitEntries(chip.MAC{0x24, 0x0a, 0xc4, 1, 2, byte(3 + i)}, "", end)...)
	}
	for k := range list {
		e := &list[k]
		e.Job, e.Revision, e.Operator, e.Slot, e.Message = "lamp "+hostile, hostile, "anna "+hostile, hostile, hostile
		for n := range e.Images {
			e.Images[n].Name, e.Images[n].Version = hostile, hostile
		}
	}
	if _, err := book.AppendAll(list); err != nil {
		t.Fatal(err)
	}
	if err := book.Close(); err != nil {
		t.Fatal(err)
	}
}

// hostilePlace has a ledger, a job, a station file and other files that hold
// the hostile text wherever they can, under a name that is hostile too.
func hostilePlace(t *testing.T) (dir string, files []string) {
	t.Helper()
	dir = t.TempDir()
	hostileLedger(t, filepath.Join(dir, "ledger.db"))
	quoted := strings.NewReplacer("\x1b", `\u001b`, "\x07", `\u0007`, "\x7f", `\u007f`, "\n", `\n`, "\t", `\t`).Replace(hostile)
	write := func(name, text string) {
		files = append(files, name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("station.toml", "id = \"bench\"\nledger = \"ledger.db\"\n[hsm]\nuri = \"pkcs11:token="+"x?module-path=/none\"\n")
	write("raw "+hostile, hostile)
	write("job.toml", "name = \""+quoted+"\"\n\""+quoted+"\" = 1\nrevision = \""+quoted+"\"\n[flash]\nsize = \""+quoted+"\"\n")
	for _, format := range []string{"station-export-proof/1", "station-batch-certificate/1", "station-device-proof/1", "station-consistency-proof/1"} {
		write(strings.ReplaceAll(format, "/", "-")+".json",
			fmt.Sprintf(`{"format":"%s","file":"%s","table":"%[2]s","batch":"%[2]s","origin":"%[2]s","%[2]s":"%[2]s"}`, format, quoted))
	}
	write("events.jsonl", fmt.Sprintf(`{"time":"2026-11-20T08:00:00Z","event":"line.ready","job":"%s","%[1]s":1`+"\n", quoted))
	line := strings.NewReplacer("\n", " ", "\t", " ").Replace(hostile)
	write("note.checkpoint", line+"\n1\n"+line+"\n\n— "+line+" AAAA\n")
	return dir, files
}

// Whatever others have written, no command says it raw: as an argument, as the
// value of each of its flags, in its files, in the ledger.
func TestNoCommandSaysForeignTextRaw(t *testing.T) {
	dir, files := hostilePlace(t)
	station := newCommands(t, dir)
	said, cases := 0, racetest.Sample(0)
	try := func(args ...string) {
		if cases.Out(sampleOf) {
			return
		}
		out, errOut, _ := station.run(time.Minute, args...)
		what := fmt.Sprintf("station %q", args)
		if len(args) > 1 && (args[1] == "export" || args[1] == "report") {
			// Forms of their own: a line break stays in its quotes, and is none in a page.
			out = bytes.ReplaceAll(out, []byte("\n"+forged), nil)
		}
		mustBePlain(t, what, out)
		mustBePlain(t, what, errOut)
		if bytes.Contains(append(out, errOut...), []byte("设备")) {
			said++
		}
	}
	var walk func(cmd *cobra.Command, path []string)
	walk = func(cmd *cobra.Command, path []string) {
		for _, c := range cmd.Commands() {
			walk(c, append(path[:len(path):len(path)], c.Name()))
		}
		try(append(path[:len(path):len(path)], hostile)...)
		if cmd.HasSubCommands() || cmd.Args == nil {
			return
		}
		with := func(more ...string) { try(append(path[:len(path):len(path)], more...)...) }
		if cmd.Args(cmd, nil) == nil { // takes none: what is there to be said
			if name := cmd.Name(); name != "sim" && name != "demo" && name != "export" {
				with()
			}
		}
		for _, f := range files {
			with(f)
		}
		if cmd.Flags().Lookup("json") != nil {
			with("--json")
			with("24:0a:c4:01:02:03", "--json")
		}
		try(append(append([]string{"__complete"}, path...), "")...) // what a shell is told to complete
		for _, flag := range []string{"job", "batch", "mac"} {
			if cmd.Flags().Lookup(flag) != nil {
				try(append(append([]string{"__complete"}, path...), "--"+flag, "")...)
			}
		}
		with("24:0a:c4:01:02:03", "--operator", "anna")
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Value.Type() != "bool" && cmd.Name() != "demo" {
				with("24:0a:c4:01:02:03", "--"+f.Name, hostile)
				with("--"+f.Name, hostile)
			}
		})
	}
	walk(rootCommand(), nil)
	for _, format := range []string{"csv", "jsonl"} {
		for _, table := range []string{"devices", "entries"} {
			try("ledger", "export", "--table", table, "--format", format)
		}
	}
	try("ledger", "report")
	for _, f := range files {
		try("ledger", "check", f, "--ledger", "ledger.db")
		try("run", "--job", f, "--port", "socket://"+hostile, "--headless")
		try("rehearse", "--job", f)
	}
	if want := 50; said < want && !racetest.Enabled || said == 0 {
		t.Errorf("only %d outputs tell of the text at all", said)
	}
}
