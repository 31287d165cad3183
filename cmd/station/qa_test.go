package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
)

// recordLedger is the script command record FILE BATCH N [END]: it lets N more
// devices of the batch visit a slot, as a line would record it. END is how the
// visits end, such as "SCRAP E-FUSE-WRONG"; without it they pass. A FILE that
// begins with sim is a simulated ledger.
func recordLedger(ts *testscript.TestScript, _ bool, args []string) {
	simulated := strings.HasPrefix(args[0], "sim")
	l, err := ledger.Open(ts.MkAbs(args[0]), ledger.Options{Create: true, Station: "bench-1", Software: "v1", Simulated: simulated})
	ts.Check(err)
	defer l.Close()
	size, _, err := l.Head()
	ts.Check(err)
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	for i := range n {
		mac := chip.MAC{0x24, 0x0a, 0xc4, 0, byte(size), byte(i + 1)}
		list := visitEntries(mac, args[1], strings.Join(args[3:], " "))
		for k := range list {
			list[k].Simulated = simulated
		}
		_, err := l.AppendAll(list)
		ts.Check(err)
	}
}

// bindNames gives a device of a ledger a serial number and an ID.
func bindNames(ts *testscript.TestScript, _ bool, args []string) {
	l, err := ledger.Open(ts.MkAbs(args[0]), ledger.Options{Station: "bench-1", Software: "v1"})
	ts.Check(err)
	defer l.Close()
	mac, err := chip.ParseMAC(args[1])
	ts.Check(err)
	for _, e := range []record.Entry{
		{Kind: record.SerialBound, Serial: args[2]},
		{Kind: record.IdentityMade, About: record.NamesIdentity(record.Identity{ID: args[3], Label: "station-identity"})},
	} {
		e.MAC, e.Operator = mac, "anna"
		_, err := l.Append(e)
		ts.Check(err)
	}
}

// visitEntries are the entries of one visit.
func visitEntries(mac chip.MAC, batch, end string) []record.Entry {
	blank := record.Fuses{{Name: "BLOCK0", Words: strings.Fields("00000000 c4010203 0038240a 0000a200 00000136 00000000 00000004")}, {Name: "BLOCK1", State: "empty"}, {Name: "BLOCK2", State: "empty"}}
	locked := record.Fuses{{Name: "BLOCK0", Words: strings.Fields("07f10088 c4010203 0038240a 0000a200 00000136 f0000000 000003c4")}, {Name: "BLOCK1", State: "hidden"}, {Name: "BLOCK2", State: "empty"}}
	id := fmt.Sprintf("derived:station-master:%x%02x%02x", mac[:], mac[4], mac[5])
	list := []record.Entry{
		{Kind: record.DeviceSeen, Step: "connect", Fuses: blank, Identity: &chip.Identity{MAC: mac, Revision: 300}},
		{Kind: record.NumberTaken, Step: "key", Undeclared: true},
		{Kind: record.KeyAssigned, Step: "key", Keys: []record.Key{{Purpose: chip.FlashEncryption, ID: id, Policy: "derived", Wrapped: []byte("wrapped"), Escrow: []byte("escrow")}}},
		{Kind: record.FlashVerified, Step: "flash", Keys: record.FlashKey(id), Images: []record.Image{{Name: "app", Address: 0x10000, Size: 16, Encrypted: true,
			Plain: "sha256:" + strings.Repeat("a", 64), Flash: fmt.Sprintf("sha256:%064x", mac[:]), Version: "1.0.0"}}},
		{Kind: record.BurnIntended, Step: "burn-key", Stage: "key", Fuses: blank},
		{Kind: record.BurnSettled, Step: "burn-key", Stage: "key", Fuses: locked},
	}
	verdict, code, failed := strings.Cut(end, " ")
	if failed {
		list = append(list, record.Entry{Kind: record.Failed, Step: "boot", Verdict: record.Verdict(verdict), Code: record.Code(code), Message: "it failed"})
	} else {
		list = append(list, record.Entry{Kind: record.Sealed, Step: "seal", Keys: record.FlashKey(id), Verdict: record.Pass, Fuses: locked})
	}
	for i := range list {
		e := &list[i]
		e.MAC, e.Batch, e.Job, e.Revision, e.JobHash = mac, batch, "lamp", "4", "sha256:"+strings.Repeat("4", 64)
		e.Slot, e.Run, e.Operator = "1", fmt.Sprintf("run-%x", mac[:]), "anna"
	}
	return list
}

// flip is the script command flip FILE: it changes one byte in the middle.
func flip(ts *testscript.TestScript, _ bool, args []string) {
	data, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	data[len(data)/2] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o600))
}
