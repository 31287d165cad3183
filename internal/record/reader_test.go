package record

import (
	"math/rand/v2"
	"reflect"
	"testing"
)

// Entries read one after the other are those that Decode reads, whatever comes in
// between, and stay so; what nobody asks for may be missing, and nothing else.
func TestReader(t *testing.T) {
	var r Reader
	rnd := rand.New(rand.NewPCG(9, 10))
	var got, want []Entry
	short := 0
	for i := range 600 {
		e := randomEntry(rnd)
		if i%3 > 0 {
			e.About = nil
		}
		if i%7 == 0 {
			e.Burns = []FuseChange{{Field: "A}]", Old: `"}],"`, New: `}]}`}, {Field: `,"verdict":"PASS"`, Old: "}],", New: "}]"}}
		}
		raw := mustMarshal(t, e)
		whole, err := Decode(raw)
		skip := Without{Remarks: i%2 == 0, Fuses: i%5 == 0}
		var read Entry
		if err2 := r.Decode(raw, &read, skip); err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		if skip.Remarks && read.Burns == nil && whole.Burns != nil {
			short++
			whole.Burns = nil
		}
		if skip.Remarks && read.Boot == nil {
			whole.Boot = nil
		}
		if skip.Remarks && read.Message == "" {
			whole.Message = ""
		}
		if skip.Fuses && read.Fuses == nil {
			whole.Fuses = nil
		}
		got, want = append(got, read), append(want, whole)
	}
	for i := range got {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("got %+v, want %+v", got[i], want[i])
		}
	}
	if short < 50 {
		t.Errorf("only %d lists were passed over", short)
	}
}

func TestReaderOfDamage(t *testing.T) {
	var r Reader
	e := plain(t)
	if err := r.Decode([]byte(`{"v":2,"index":`), &e, Without{}); err == nil {
		t.Errorf("got %+v", e)
	}
	if err := r.Decode([]byte(`{"v":1,"index":7,"time":"2026-11-29T18:55:16Z","kind":"device.seen","mac":"24:0a:c4:01:02:03"}`), &e, Without{true, true}); err != nil ||
		e.Index != 7 || e.Kind != DeviceSeen || e.Station != "" {
		t.Errorf("an entry of version 1: got %+v, %v", e, err)
	}
}

// A device is written as encoding/json writes it: with every field, with none, with each
// alone, and with texts of any kind.
func TestAppendLine(t *testing.T) {
	var full Device
	everyField(reflect.ValueOf(&full).Elem(), new(int))
	same := func(d Device) {
		t.Helper()
		if got, want := string(d.AppendLine(nil)), string(mustMarshal(t, d)); got != want {
			t.Errorf("got\n%s, want\n%s", got, want)
		}
	}
	same(Device{})
	same(full)
	for i := range reflect.TypeFor[Device]().NumField() {
		var d Device
		reflect.ValueOf(&d).Elem().Field(i).Set(reflect.ValueOf(full).Field(i))
		same(d)
	}
	rnd := rand.New(rand.NewPCG(11, 12))
	for range 300 {
		var d Device
		for range 1 + rnd.IntN(12) {
			e := randomEntry(rnd)
			e.MAC = full.MAC
			d.Apply(e)
		}
		d.Serial, d.Batch = `<"\`+"\u2028\xff&é", "\x00\x7f"
		same(d)
		d.Keys, d.Fuses, d.Intended = []Key{{}, {ID: "a<b"}}, Fuses{{Words: []string{""}}, {}}, []string{}
		d.Updated = d.Updated.Add(1)
		same(d)
	}
}
