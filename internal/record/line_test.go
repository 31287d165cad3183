package record

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"station/internal/racetest"
)

// plain is an entry with every field in it.
func plain(t testing.TB) Entry {
	var e Entry
	everyField(reflect.ValueOf(&e).Elem(), new(int))
	e.Version, e.About = Version, nil // about is left to the long way
	if _, ok := scan(mustMarshal(t, e)); !ok {
		t.Fatalf("a field of the entry is not in scan, or not in its place: %s", mustMarshal(t, e))
	}
	return e
}

func mustMarshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sameAsTheLongWay holds what scan takes against what the long way says.
func sameAsTheLongWay(t testing.TB, raw []byte) (ok bool) {
	t.Helper()
	e, ok := scan(raw)
	if !ok {
		return false
	}
	long, err := decode(raw)
	if err != nil || !reflect.DeepEqual(e, long) {
		t.Errorf("%s was read as\n%+v, the long way as\n%+v, %v", raw, e, long, err)
	}
	if again := mustMarshal(t, e); !bytes.Equal(again, raw) {
		t.Errorf("%s was taken for what is written, which is\n%s", raw, again)
	}
	return true
}

// Every field of an entry is read the short way, and alone too: all others are
// zero then, so that what is left out is.
func TestEveryFieldIsScanned(t *testing.T) {
	full := plain(t)
	sameAsTheLongWay(t, mustMarshal(t, full))
	for i := range reflect.TypeFor[Entry]().NumField() {
		e := Entry{Version: Version}
		field := reflect.ValueOf(&e).Elem().Field(i)
		field.Set(reflect.ValueOf(full).Field(i))
		if raw := mustMarshal(t, e); !sameAsTheLongWay(t, raw) {
			t.Errorf("%s goes the long way", raw)
		}
	}
}

// Entries of any content are taken, but for what is left to the long way; the
// same in other bytes is not.
func TestScanIsTheLongWay(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	entries, taken := 3000, 0
	if racetest.Enabled {
		entries = 300
	}
	for range entries {
		e := randomEntry(r)
		if r.IntN(2) == 0 {
			e.About = nil
		}
		raw := mustMarshal(t, e)
		if !sameAsTheLongWay(t, raw) {
			continue
		}
		taken++
		for _, other := range otherForms(raw) {
			if _, ok := scan(other); ok && !bytes.Equal(other, raw) {
				t.Errorf("%s was taken for what is written", other)
			}
		}
	}
	if taken < entries/3 {
		t.Errorf("only %d were taken", taken)
	}
}

// A byte of an entry that is lost, doubled or another makes it another entry
// or none, as the long way says.
func TestScanOfDamage(t *testing.T) {
	raw, cases := mustMarshal(t, plain(t)), racetest.Sample(0)
	for i := 0; i < len(raw); i += 1 + i%3 {
		if cases.Out(8) {
			continue
		}
		sameAsTheLongWay(t, slices.Delete(slices.Clone(raw), i, i+1))
		sameAsTheLongWay(t, slices.Insert(slices.Clone(raw), i, raw[i]))
		for _, c := range []byte{raw[i] ^ 1, raw[i] ^ 0x80, '0', '-', '.', 'e', '"', '\\', ' ', ','} {
			other := slices.Clone(raw)
			other[i] = c
			sameAsTheLongWay(t, other)
		}
		if _, ok := scan(raw[:i]); ok {
			t.Fatalf("%s was taken for an entry", raw[:i])
		}
	}
}

// What is a zero value is left out, and numbers, times and MACs have one form.
func TestScanTakesOneForm(t *testing.T) {
	full := plain(t)
	raw := mustMarshal(t, full)
	for _, c := range [][2]string{
		{`"station":"` + full.Station, `"station":"`}, {`"quota":`, `"quota":0,"number":0,"was":`}, {`"simulated":true`, `"simulated":false`},
		{`"v":3`, `"v":03`}, {`"v":3`, `"v":-3`}, {`"v":3`, `"v":18446744073709551619`}, {`"v":3`, `"v":2`},
		{`00Z`, `00+00:00`}, {`00Z"`, `00.0Z"`}, {`"2027-`, `"2027-1`}, {`"2027-01-15`, `"2027-02-30`},
		{`"encrypted":true`, `"encrypted":1`}, {`"kind":"`, `"kind":"\u0061`}, {`"kind":"`, `"kind":"<`}, {`"kind":"`, "\"kind\":\"\t"},
		{`"kind":"`, "\"kind\":\"\xff"}, {`"kind":"`, "\"kind\":\"\u2028"}, {`"public":"`, `"public":"=`},
	} {
		other := bytes.Replace(raw, []byte(c[0]), []byte(c[1]), 1)
		if _, ok := scan(other); ok || bytes.Equal(other, raw) {
			t.Errorf("%q for %q was taken", c[1], c[0])
		}
	}
}

// FuzzScan: what the short way takes, the long way takes for the same.
func FuzzScan(f *testing.F) {
	f.Add(mustMarshal(f, plain(f)))
	r := rand.New(rand.NewPCG(7, 8))
	for range 20 {
		f.Add(mustMarshal(f, randomEntry(r)))
	}
	f.Fuzz(func(t *testing.T, raw []byte) { sameAsTheLongWay(t, raw) })
}

// A time in another form than the one that is written goes the long way.
func TestOtherTimesAreNotScanned(t *testing.T) {
	const written = `"2026-11-29T18:55:16.25Z"`
	raw := mustMarshal(t, Entry{Version: Version, Time: time.Date(2026, 11, 29, 18, 55, 16, 250e6, time.UTC)})
	for _, other := range []string{"2026-11-29T18:55:16.250Z", "2026-11-29T18:55:16.Z", "2026-11-29T18:55:16.2500000001Z", "2026-11-29T8:55:16.25Z",
		"2026-11-29T18:55:16,25Z", "2026-11-29T18:55:16.25+00:00", "2026-11-29t18:55:16.25Z", "2026-11-31T18:55:16.25Z", "2026-11-29T24:00:00Z", ""} {
		changed := bytes.Replace(raw, []byte(written), []byte(`"`+other+`"`), 1)
		if _, ok := scan(changed); ok || bytes.Equal(changed, raw) {
			t.Errorf("%s was taken", changed)
		}
	}
	for _, nano := range []int{0, 1, 100, 999999999} {
		sameAsTheLongWay(t, mustMarshal(t, Entry{Version: Version, Time: time.Date(2026, 11, 29, 18, 55, 16, nano, time.UTC)}))
	}
}
