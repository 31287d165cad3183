package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/firmware"
	"station/internal/flow"
)

// A line whose images, slot and device say the hostile text, and whose device
// fails: neither its events, nor what a person reads, nor the files
// that it writes say any of it raw. So does what its ledger says later.
func TestALineSaysForeignTextPlain(t *testing.T) {
	w := newWorkplace(t)
	text := plainLine(hostile)
	w.product("small", `name = "station-example"`, `name = "设备"`, `marker = "station-example: ready"`, `marker = "never said"`, `timeout = "10s"`, `timeout = "3s"`)
	w.write("small/app.bin", rewritten(t, w.read("small/app.bin"), firmware.FirstData+16, text[:31]+"\x00", firmware.FirstData+48, text[:31]+"\x00"))
	c := w.sim("--boot", "--mac", fileMAC, "--flash-size", "1MB")
	station := string(w.read("station.toml"))
	w.write("station.toml", strings.Replace(station, `id = "bench-1"`, "id = "+quoted(text), 1)+"[[slot]]\nname = "+quoted(text)+"\nport = "+quoted(c.address)+"\n")
	out, _ := w.run(0, "job", "check", "small/job.toml")
	mustBePlain(t, "job check", []byte(out))
	_, after, _ := strings.Cut(out, "plan digest  ")
	cmd := w.command("run", "--headless", "--once", "--verbose", "--job", "small/job.toml", "--port", c.address, "--approve", strings.Fields(after)[0],
		"--operator", "anna 设备", "--log", "log.jsonl", "--junit", "visit.xml")
	var events bytes.Buffer
	told, stderr := watchRun(t, cmd, func(e flow.Event) {
		fmt.Fprintf(&events, "%+v\n", e)
		c.press(e)
	})
	if code := cmd.ProcessState.ExitCode(); code != exitFailed || !strings.Contains(events.String(), "设备") {
		t.Fatalf("exit code %d\n%s%v", code, stderr, told)
	}
	mustBePlain(t, "standard error", []byte(stderr))
	for _, name := range []string{"log.jsonl", "visit.xml"} {
		b, err := os.ReadFile(filepath.Join(w.dir, name))
		if err != nil || !bytes.Contains(b, []byte("设备")) && name == "visit.xml" {
			t.Errorf("%s: %v\n%s", name, err, b)
		}
		mustBePlain(t, name, b)
	}
	var words bytes.Buffer
	say := plainLines(&words, nil)
	for _, e := range append(told, flow.Event{Event: flow.DeviceFailed, Slot: hostile, Detail: hostile}) {
		say(e)
	}
	mustBePlain(t, "events in words", words.Bytes())
	for _, args := range [][]string{{"list"}, {"list", "--json"}, {"show", fileMAC}, {"verify"}} {
		out, errOut := w.run(0, append([]string{"ledger"}, args...)...)
		mustBePlain(t, fmt.Sprint("ledger ", args), []byte(out+errOut))
	}
}
