package record

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strconv"
	"testing"
	"time"
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
		skip := Without{Remarks: i%2 == 0, Fuses: i%5 == 0, Images: i%3 == 0}
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
		if skip.Images && read.Images == nil {
			whole.Images = nil
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

// Memory that is used again holds each entry until then, also what the next one says word
// for word as the one before.
func TestReaderAgain(t *testing.T) {
	var r Reader
	rnd := rand.New(rand.NewPCG(17, 18))
	for range 200 {
		r.Again()
		var got, want [7]Entry
		same := randomEntry(rnd)
		for i := range got {
			e := randomEntry(rnd)
			if i%2 == 0 {
				e.Station, e.Operator, e.Software, e.Job, e.Run, e.MAC = same.Station, same.Operator, same.Software, same.Job, same.Run, same.MAC
			}
			raw := mustMarshal(t, e)
			var err error
			if want[i], err = Decode(raw); err != nil {
				t.Fatal(err)
			}
			if err := r.Decode(raw, &got[i], Without{}); err != nil {
				t.Fatal(err)
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}
	e := plain(t)
	for i := range byte(3) { // the same but for what is not text
		r.Again()
		e.MAC[5] = i
		var got Entry
		if err := r.Decode(mustMarshal(t, e), &got, Without{}); err != nil || got.MAC != e.MAC {
			t.Errorf("got %+v, %v", got, err)
		}
	}
}

// A time is read as package time reads it, and nothing else for one.
func TestTimes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(19, 20))
	read := 0
	wrong := []string{"2026-02-29T01:02:03Z", "2026-04-31T01:02:03Z", "2026-00-01T01:02:03Z", "2026-13-01T01:02:03Z", "2026-01-00T01:02:03Z",
		"2026-01-01T24:02:03Z", "2026-01-01T01:60:03Z", "2026-01-01T01:02:60Z", "2026-01-01T01:02:03.Z", "2026-01-01T01:02:03.50Z", "2026-01-01 01:02:03Z"}
	for _, text := range wrong {
		for _, before := range []*said{nil, {day: day([]byte("2026-01-01")), midnight: 1767225600}} {
			l := line{text: `"` + text + `"`, said: before}
			if got := l.time(); !l.odd {
				t.Errorf("%s: got %v", text, got)
			}
		}
	}
	var before said
	var at time.Time
	for n := range 20000 {
		if n%3 > 0 { // often on the same day as the one before
			at = at.Add(time.Duration(rnd.Int64N(int64(8 * time.Hour))))
		} else {
			at = time.Unix(rnd.Int64N(1<<38)-1<<37, rnd.Int64N(1e9)).UTC()
		}
		if rnd.IntN(2) == 0 {
			at = at.Truncate([]time.Duration{time.Second, time.Millisecond, time.Microsecond}[rnd.IntN(3)])
		}
		text := []byte(at.Format(time.RFC3339Nano))
		for range rnd.IntN(3) {
			text[rnd.IntN(len(text))] = "0123456789T:-.Z"[rnd.IntN(15)]
		}
		l := line{text: `"` + string(text) + `"`}
		got := l.time()
		next := line{text: l.text, said: &before}
		if again := next.time(); next.odd != l.odd || !l.odd && again != got {
			t.Fatalf("%s: got %v (odd: %v) behind another time, %v alone (odd: %v)", text, again, next.odd, got, l.odd)
		}
		want, err := time.Parse(time.RFC3339Nano, string(text))
		if again := want.UTC().Format(time.RFC3339Nano); l.odd != (err != nil || again != string(text)) || !l.odd && got != want.UTC() {
			t.Fatalf("%s: got %v (odd: %v), want %v, %v", text, got, l.odd, want, err)
		}
		if !l.odd {
			read++
		}
	}
	if read < 5000 {
		t.Errorf("only %d times were read", read)
	}
}

// A number is read as package strconv reads it, and only in the form in which it writes it.
func TestNumbers(t *testing.T) {
	rnd := rand.New(rand.NewPCG(21, 22))
	read := 0
	for range 50000 {
		f := float64(rnd.Int64N(1<<(1+rnd.IntN(53)))) / []float64{1, 10, 1000, 1e6, 1e9, 3}[rnd.IntN(6)]
		text := strconv.AppendFloat(nil, f, 'f', -1, 64)
		for range rnd.IntN(3) {
			text[rnd.IntN(len(text))] = "0123456789.-e+"[rnd.IntN(14)]
		}
		l := line{text: string(text) + "}"}
		got := l.float()
		want, err := strconv.ParseFloat(string(text), 64)
		written, _ := json.Marshal(want)
		if bytes.ContainsRune(text, 'e') { // which it may leave to the long way
			continue
		}
		if l.odd != (err != nil || string(written) != string(text)) || !l.odd && (got != want || l.text[l.at:] != "}") {
			t.Fatalf("%s: got %v (odd: %v), want %v, %v", text, got, l.odd, want, err)
		}
		if !l.odd {
			read++
		}
	}
	if read < 10000 {
		t.Errorf("only %d numbers were read", read)
	}
}

func TestReaderOfDamage(t *testing.T) {
	var r Reader
	e := plain(t)
	if err := r.Decode([]byte(`{"v":2,"index":`), &e, Without{}); err == nil {
		t.Errorf("got %+v", e)
	}
	if err := r.Decode([]byte(`{"v":1,"index":7,"time":"2026-11-29T18:55:16Z","kind":"device.seen","mac":"24:0a:c4:01:02:03"}`), &e, Without{true, true, true}); err != nil ||
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
