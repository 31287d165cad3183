package main

import (
	"bytes"
	"encoding/binary"
	"os"

	"github.com/rogpeppe/go-internal/testscript"
)

// header is the script command header FILE newest|oldest: it changes a
// bit in one of a ledger's two header pages, the one of the last commit or the
// one of the commit before.
func header(ts *testscript.TestScript, _ bool, args []string) {
	data, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	const page, txid = 8192, 64
	at := 0
	if first, second := binary.NativeEndian.Uint64(data[txid:]), binary.NativeEndian.Uint64(data[page+txid:]); (first < second) == (args[1] == "newest") {
		at = page
	}
	data[at+40] ^= 0x10
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o600))
}

// bend is the script command bend FILE TEXT: it changes a bit wherever the file
// holds the text, also in pages that are out of use.
func bend(ts *testscript.TestScript, _ bool, args []string) {
	text, other := []byte(args[1]), []byte(args[1])
	other[0] ^= 0x10
	before := []byte(ts.ReadFile(args[0]))
	after := bytes.ReplaceAll(before, text, other)
	if bytes.Equal(before, after) {
		ts.Fatalf("%s holds no %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), after, 0o600))
}
