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

// bend is the script command bend FILE TEXT: it changes a bit in the first
// place where the file holds the text.
func bend(ts *testscript.TestScript, _ bool, args []string) {
	data, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	at := bytes.Index(data, []byte(args[1]))
	if at < 0 {
		ts.Fatalf("%s holds no %q", args[0], args[1])
	}
	data[at] ^= 0x10
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o600))
}
