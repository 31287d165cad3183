package tomlfile

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// What is absurd is refused quickly, and in few words.
func TestAbsurdFiles(t *testing.T) {
	const n = 250 << 10
	for name, text := range map[string]string{
		"lists":       "a = " + strings.Repeat("[", n),
		"closed":      "a = " + strings.Repeat("[", n/2) + strings.Repeat("]", n/2),
		"tables":      "a = " + strings.Repeat("{a=", n/3),
		"dotted":      strings.Repeat("a.", n/2) + "a = 1",
		"header":      "[" + strings.Repeat("a.", n/2) + "a]",
		"unknown":     strings.Repeat("[[a]]\n", n/6),
		"keys":        manyKeys(n / 10),
		"long key":    strings.Repeat("k", n) + " = 1",
		"long text":   "name = '" + strings.Repeat("k", n) + "'",
		"images":      strings.Repeat("[[image]]\nsize='x'\n", n/19),
		"deep image":  strings.Repeat("[image.a]\n", n/10),
		"too long":    strings.Repeat("#", 300<<10),
		"too much":    strings.Repeat("#\n", 150<<10),
		"many tables": "[image]\n" + strings.Repeat("[image.x]\na=1\n", n/14),
	} {
		var c config
		begun := time.Now()
		err := Decode("job.toml", []byte(text), &c).Err()
		took := time.Since(begun)
		var said int
		if err != nil {
			said = len(err.Error())
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		t.Logf("%s: %v, %d bytes said, %d MB from the system", name, took, said, m.Sys>>20)
		if said > 64<<10 || err == nil {
			t.Errorf("%s: %d bytes said", name, said)
		}
		if took > 10*time.Second {
			t.Errorf("%s: %v", name, took)
		}
	}
}

// Of many faults the first are told, and how many more there are; of a long text
// its beginning.
func TestFewFaultsInShort(t *testing.T) {
	var c config
	err := Decode("job.toml", []byte(strings.Repeat("k", maxText+1)+" = 1\n"+manyKeys(maxFaults+6)), &c).Err()
	if err == nil {
		t.Fatal("no fault")
	}
	said := strings.Split(err.Error(), "\n")
	if len(said) != maxFaults+1 || said[maxFaults] != "and 7 more" {
		t.Errorf("%d lines, the last %q", len(said), said[len(said)-1])
	}
	if want := "job.toml:1: " + strings.Repeat("k", maxText) + " ...: unknown key"; !strings.HasPrefix(said[0], want) {
		t.Errorf("got %d bytes: %.50s", len(said[0]), said[0])
	}
	text := "name = '" + strings.Repeat("v", 2*maxText) + "'\ncolour = '" + strings.Repeat("v", 2*maxText) + "'"
	for line := range strings.Lines(Decode("job.toml", []byte(text), &c).Err().Error()) {
		if len(line) > maxText+100 {
			t.Errorf("%d bytes of one fault", len(line))
		}
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("k")
		b.WriteString(strings.Repeat("x", i%7))
		b.WriteString(strings.Repeat("y", i/7%5))
		b.WriteString(string(rune('a'+i%26)) + "=1\n")
	}
	return b.String()
}
