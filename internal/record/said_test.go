package record

import (
	"math/rand/v2"
	"reflect"
	"testing"
)

// What an entry says again word for word is read as if it were said for the first time,
// with whatever follows behind it or is left out there, and never goes the long way.
func TestSaidAgain(t *testing.T) {
	var before said
	rnd := rand.New(rand.NewPCG(13, 14))
	texts := []string{"", "a", "ab", `a"`, `","job":"x`}
	e := Entry{Version: Version}
	for range 5000 {
		fields := []*string{&e.Station, &e.Operator, &e.Software, &e.Origin, &e.Job, &e.Revision, &e.JobHash, &e.Batch, &e.Slot, &e.Run, &e.Serial, &e.Step}
		switch i := rnd.IntN(len(fields) + 3); i {
		case len(fields):
			e.MAC[5] = byte(rnd.IntN(3))
		case len(fields) + 1:
			e.Quota, e.Number = rnd.IntN(2), rnd.IntN(2)
		case len(fields) + 2:
			e.Simulated = !e.Simulated
		default:
			*fields[i] = texts[rnd.IntN(len(texts))]
		}
		var got Entry
		l := line{text: string(mustMarshal(t, e)), said: &before, lists: &alone}
		if !l.scan(&got) || !reflect.DeepEqual(got, e) {
			t.Fatalf("%s was read as %+v", l.text, got)
		}
	}
}

// Eight bytes at a time are looked at as each by itself.
func TestOrdinary(t *testing.T) {
	rnd := rand.New(rand.NewPCG(15, 16))
	for range 20000 {
		var b [24]byte
		for i := range b {
			if b[i] = 'a'; rnd.IntN(16) == 0 {
				b[i] = byte(rnd.IntN(256))
			}
		}
		s, from := string(b[:rnd.IntN(len(b))]), 0
		if len(s) > 0 {
			from = rnd.IntN(len(s))
		}
		want := from
		for want < len(s) && plainByte[s[want]] {
			want++
		}
		if got := ordinary(s, from); got != want {
			t.Fatalf("%q from %d on: got %d, want %d", s, from, got, want)
		}
	}
}
