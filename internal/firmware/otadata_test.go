package firmware

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
)

func TestOTAEntryCRC(t *testing.T) {
	for seq, want := range map[uint32]string{1: "9a984347", 2: "7437f655", 3: "11504aed", 4: "a8689d70", 5: "cd0f21c8"} {
		got := OTAEntry{Seq: seq, State: OTAUndefined}.Bytes()
		if hex.EncodeToString(got[otaCRCAt:]) != want || len(got) != OTAEntrySize {
			t.Errorf("sequence %d: got crc %x, want %s", seq, got[otaCRCAt:], want)
		}
	}
	const template = "01000000" + "ffffffffffffffffffffffffffffffffffffffff" + "ffffffff" + "9a984347"
	if got := hex.EncodeToString(OTAEntry{Seq: 1, State: OTAUndefined}.Bytes()); got != template {
		t.Errorf("got %s, want %s", got, template)
	}
}

func TestOTAData(t *testing.T) {
	for _, v := range []struct {
		name  string
		data  OTAData
		slots int
		slot  int
		ok    bool
	}{
		{"empty", OTAData{{Seq: 0, State: OTAUndefined}, {Seq: 0, State: OTAUndefined}}, 2, 0, false},
		{"first", OTAData{{Seq: 1, State: OTAUndefined}, {Seq: 0, State: OTAUndefined}}, 2, 0, true},
		{"larger sequence", OTAData{{Seq: 1, State: OTAValid}, {Seq: 2, State: OTANew}}, 2, 1, true},
		{"wraps", OTAData{{Seq: 5, State: OTAValid}, {Seq: 4, State: OTAValid}}, 3, 1, true},
		{"invalid falls back", OTAData{{Seq: 3, State: OTAValid}, {Seq: 4, State: OTAInvalid}}, 2, 0, true},
		{"all aborted", OTAData{{Seq: 3, State: OTAAborted}, {Seq: 4, State: OTAInvalid}}, 2, 0, false},
		{"no slots", OTAData{{Seq: 1, State: OTAValid}}, 0, 0, false},
	} {
		t.Run(v.name, func(t *testing.T) {
			if slot, ok := v.data.Slot(v.slots); slot != v.slot || ok != v.ok {
				t.Errorf("got slot %d, %v; want %d, %v", slot, ok, v.slot, v.ok)
			}
			b := v.data.Bytes()
			got, err := ParseOTAData(b)
			if err != nil || len(b) != OTADataSize || !bytes.Equal(got.Bytes(), b) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	if got, err := ParseOTAData(EmptyOTAData()); err != nil || got != (OTAData{{Seq: 0, State: OTAUndefined}, {Seq: 0, State: OTAUndefined}}) {
		t.Errorf("empty: got %v, %v", got, err)
	}
}

// An entry with a wrong CRC is none, as the bootloader has it.
func TestOTAEntriesWithAWrongCRC(t *testing.T) {
	damaged := OTAData{{Seq: 1, State: OTAValid}, {Seq: 2, State: OTAValid}}.Bytes()
	damaged[SectorSize+otaCRCAt]++
	got, err := ParseOTAData(damaged)
	if slot, ok := got.Slot(2); err != nil || slot != 0 || !ok || got[0].Damaged || !got[1].Damaged {
		t.Errorf("got %v, slot %d, %v, %v", got, slot, ok, err)
	}
	arduino := fixture(t, "cases/arduino-boot_app0/boot_app0.bin")
	got, err = ParseOTAData(arduino)
	if slot, ok := got.Slot(2); err != nil || got[0].Seq != 1 || got[1] != (OTAEntry{State: OTAUndefined, Damaged: true}) || slot != 0 || !ok {
		t.Errorf("boot_app0.bin: got %v, slot %d, %v, %v", got, slot, ok, err)
	}
	if info := Describe("boot_app0.bin", arduino); info.Kind != "otadata" || len(info.Faults) > 0 {
		t.Errorf("boot_app0.bin: got %+v", info)
	}
	_, err = ParseOTAData(make([]byte, 32))
	wantFaults(t, err, "otadata has 0x20 bytes, want 0x2000")
}

func TestOTAStateWords(t *testing.T) {
	got, err := json.Marshal([]OTAState{OTANew, OTAPending, OTAValid, OTAInvalid, OTAAborted, OTAUndefined, 9})
	if want := `["new","pending","valid","invalid","aborted","undefined","0x9"]`; err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
}

func FuzzOTAData(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00"), []byte(strings.Repeat("\xff", 32)))
	f.Add(OTAEntry{Seq: 7, State: OTAValid}.Bytes(), OTAEntry{Seq: 8}.Bytes())
	f.Fuzz(func(t *testing.T, a, b []byte) {
		raw := EmptyOTAData()
		copy(raw, a[:min(len(a), OTAEntrySize)])
		copy(raw[SectorSize:], b[:min(len(b), OTAEntrySize)])
		d, err := ParseOTAData(raw)
		if err != nil {
			return
		}
		for n := range d {
			d[n].Damaged = false // what is written anew has no entry there
		}
		if again, err := ParseOTAData(d.Bytes()); err != nil || again != d {
			t.Fatalf("%v became %v (%v)", d, again, err)
		}
		if slot, ok := d.Slot(3); ok && (slot < 0 || slot > 2) {
			t.Fatalf("slot %d of 3", slot)
		}
	})
}
