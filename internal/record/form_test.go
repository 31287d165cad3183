package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"station/internal/chip"
	"station/internal/racetest"
)

// everyField gives every field of a struct, and of those in it, a value of its
// own that is not zero.
func everyField(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		everyField(v.Elem(), n)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1_800_000_000, 0).UTC()))
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("json") != "-" { // not in entries
				everyField(v.Field(i), n)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		for i := range 3 {
			everyField(v.Index(i), n)
		}
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]int{"a <lot>": *n, "another": 1}))
	case reflect.Array:
		for i := range v.Len() {
			everyField(v.Index(i), n)
		}
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint64, reflect.Uint32, reflect.Uint16, reflect.Uint8:
		v.SetUint(uint64(*n) % 200)
	case reflect.Float64:
		v.SetFloat(float64(*n) + 0.5)
	default:
		panic(v.Kind())
	}
}

// leaves are all texts, numbers and true values in a JSON value.
func leaves(v any) (list []string) {
	switch v := v.(type) {
	case map[string]any:
		for _, x := range v {
			list = append(list, leaves(x)...)
		}
	case []any:
		for _, x := range v {
			list = append(list, leaves(x)...)
		}
	default:
		list = append(list, fmt.Sprint(v))
	}
	return list
}

func leavesOf(t *testing.T, raw []byte) []string {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return leaves(v)
}

// What an entry of version 1 says, it still says when it is read now.
func TestVersion1LosesNothing(t *testing.T) {
	var old entry1
	everyField(reflect.ValueOf(&old).Elem(), new(int))
	old.Version = 1
	raw, err := json.Marshal(old)
	if err != nil {
		t.Fatal(err)
	}
	e, err := Decode(raw)
	if err != nil || !Canonical(&e, raw) {
		t.Fatalf("%s: %v, or not canonical", raw, err)
	}
	now, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	have := leavesOf(t, now)
	for _, leaf := range leavesOf(t, raw) {
		if !slices.Contains(have, leaf) {
			t.Errorf("%s was lost in %s", leaf, now)
		}
	}
}

// random fills a value as no program would, but in the form of an entry.
func random(r *rand.Rand, v reflect.Value, name string) {
	if r.IntN(3) == 0 {
		return
	}
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.UnixMilli(r.Int64N(4e12)).UTC()))
		return
	case Fuses:
		v.Set(reflect.ValueOf(randomFuses(r)))
		return
	case []Key:
		v.Set(reflect.ValueOf(randomKeys(r)))
		return
	case json.RawMessage:
		v.SetBytes([]byte(`{"serial":"4711","list":[1,2.5,true,null,"é"]}`))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		random(r, v.Elem(), name)
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.Tag.Get("json") != "-" {
				random(r, v.Field(i), f.Name)
			}
		}
	case reflect.Slice:
		n := 1 + r.IntN(4)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			random(r, v.Index(i), name)
		}
	case reflect.Array:
		for i := range v.Len() {
			random(r, v.Index(i), name)
		}
	case reflect.String:
		v.SetString([]string{"a", "ota_0", "<b>&", "é 中", "\u2028", `"quoted" \`, "\t\n", strings.Repeat("x", 300)}[r.IntN(8)])
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(r.Int64())
	case reflect.Uint64, reflect.Uint32, reflect.Uint16, reflect.Uint8:
		v.SetUint(r.Uint64() >> (64 - v.Type().Bits()))
	case reflect.Float64:
		v.SetFloat(r.NormFloat64() * 1e6)
	default:
		panic(name + ": " + v.Kind().String())
	}
}

// randomFuses has blocks of any number and length.
func randomFuses(r *rand.Rand) (f Fuses) {
	for i := range r.IntN(12) {
		name := fmt.Sprintf("BLOCK_%d", i)
		switch r.IntN(3) {
		case 0:
			words := make([]uint32, 1+r.IntN(16))
			for i := range words {
				words[i] = r.Uint32()
			}
			f = append(f, WordsBlock(name, words))
		case 1:
			f = append(f, SealedBlock(name, states[r.IntN(len(states))]))
		case 2:
			f = append(f, SealedBlock(name, fmt.Sprintf("sha256:%064x", r.Uint64())))
		}
	}
	return f
}

// randomKeys are keys for any purposes, in any number of blocks.
func randomKeys(r *rand.Rand) (keys []Key) {
	for i := range 1 + r.IntN(4) {
		k := Key{ID: fmt.Sprintf("derived:m:%016x", r.Uint64()), Policy: "derived", Wrapped: []byte{byte(i)}}
		if i > 0 {
			k.Purpose = chip.Purpose(fmt.Sprint("purpose-", i))
		}
		for b := range r.IntN(3) {
			k.Blocks = append(k.Blocks, fmt.Sprintf("BLOCK_KEY%d", b))
		}
		keys = append(keys, k)
	}
	return keys
}

func randomEntry(r *rand.Rand) Entry {
	var e Entry
	random(r, reflect.ValueOf(&e).Elem(), "")
	e.Version = Version
	return e
}

// An entry is what was written, and has one form only.
func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var cases racetest.Sample
	for range 2000 {
		e := randomEntry(r)
		if cases.Out(10) {
			continue
		}
		if err := CheckForm(&e); err != nil {
			t.Fatalf("%+v: %v", e, err)
		}
		raw, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(raw)
		if err != nil || !Canonical(&got, raw) {
			t.Fatalf("%s: %v, or not canonical", raw, err)
		}
		again, err := json.Marshal(got)
		if err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("%s became %s, %v", raw, again, err)
		}
		for _, other := range otherForms(raw) {
			if got, err := Decode(other); err == nil && Canonical(&got, other) {
				t.Fatalf("%s was taken for what is written", other)
			}
		}
	}
}

// otherForms say the same as an entry, or more, in bytes that are never written.
func otherForms(raw []byte) [][]byte {
	change := func(old, now string) []byte { return bytes.Replace(raw, []byte(old), []byte(now), 1) }
	return [][]byte{
		append(slices.Clone(raw), '\n'),
		change(`{"v":`, `{ "v":`),
		change(`{"v":3,`, `{"grams":7,"v":3,`),
		change(`{"v":3,`, `{"v":3,"grams":7,`),
		change(`{"v":3,`, `{"v":3,"v":3,`),
		change(`{"v":3,`, `{"v":3.0,`),
		change(`{"v":3,`, `{"v":1,"station":"",`),
		change(`"kind"`, `"kin\u0064"`),
		change(`"kind"`, `"Kind"`),
	}
}

// What no entry may hold is refused when it is written, and is damage where it
// stands nevertheless.
func TestForm(t *testing.T) {
	word := []string{"0000000f"}
	for name, e := range map[string]Entry{
		"a block without a name":     {Fuses: Fuses{{State: BlockEmpty}}},
		"a block twice":              {Fuses: Fuses{{Name: "B", State: BlockEmpty}, {Name: "B", State: BlockHidden}}},
		"a block without content":    {Fuses: Fuses{{Name: "B"}}},
		"a block with two contents":  {Fuses: Fuses{{Name: "B", State: BlockWritten, Words: word}}},
		"a state that there is not":  {Fuses: Fuses{{Name: "B", State: "burned"}}},
		"a digest that is none":      {Fuses: Fuses{{Name: "B", Digest: "sha256:00"}}},
		"a word that is none":        {Fuses: Fuses{{Name: "B", Words: []string{"f"}}}},
		"a word in capitals":         {Fuses: Fuses{{Name: "B", Words: []string{"0000000F"}}}},
		"words and a digest as well": {Fuses: Fuses{{Name: "B", Words: word, Digest: "sha256:" + strings.Repeat("0", 64)}}},
		"a key without an ID":        {Keys: []Key{{Purpose: chip.FlashEncryption, Policy: "derived"}}},
		"two keys for one purpose":   {Keys: append(FlashKey("a"), FlashKey("b")...)},
		"two keys for none":          {Keys: []Key{{ID: "a"}, {ID: "b"}}},
		"a key in a nameless block":  {Keys: []Key{{ID: "a", Blocks: []string{"BLOCK1", ""}}}},
		"more that is not an object": {About: json.RawMessage(`[1]`)},
		"more that is not text":      {About: json.RawMessage("{\"a\":\"\xff\"}")},
	} {
		e.Version, e.Kind = Version, DeviceSeen
		if CheckForm(&e) == nil {
			t.Errorf("%s was written", name)
		}
		raw, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Decode(raw); err == nil && Canonical(&got, raw) {
			t.Errorf("%s was read", name)
		}
	}
}

// Of an entry that is newer than this program only what all versions have is
// read, whatever became of the rest.
func TestNewerEntry(t *testing.T) {
	raw := fmt.Appendf(nil, `{"v":%d,"index":7,"time":"2026-11-20T09:00:00Z","kind":"device.seen","station":[1],"mac":%q,"prev":3,"fuses":{"a":1}}`, Version+1, mac)
	e, err := Decode(raw)
	want := Entry{Version: Version + 1, Index: 7, Time: time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC), Kind: DeviceSeen, MAC: mac, Prev: 3}
	if err != nil || !reflect.DeepEqual(e, want) || !Canonical(&e, raw) {
		t.Errorf("got %+v, %v", e, err)
	}
	if spaced := bytes.Replace(raw, []byte(`,"index"`), []byte(`, "index"`), 1); Canonical(&e, spaced) {
		t.Error("white space was taken")
	}
}

// The fuses of version 1 are those of the ESP32, by name.
func TestVersion1Fuses(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	raw := `{"v":1,"index":0,"time":"2026-11-20T08:00:00Z","kind":"device.seen","fuses":{"block0":["00000001"],"block1":"hidden","block2":"` + digest + `","block3":["0000000a","0000000b"]}}`
	e, err := Decode([]byte(raw))
	want := Fuses{{Name: "BLOCK0", Words: []string{"00000001"}}, {Name: "BLOCK1", State: BlockHidden}, {Name: "BLOCK2", Digest: digest},
		{Name: "BLOCK3", Words: []string{"0000000a", "0000000b"}}}
	if err != nil || !reflect.DeepEqual(e.Fuses, want) {
		t.Errorf("got %v, %v", e.Fuses, err)
	}
}

// The keys of version 1 have their purposes and the ESP32's block by now.
func TestVersion1Keys(t *testing.T) {
	const id = `"keyId":"derived:m:01","policy":"derived"`
	device := Key{Purpose: chip.FlashEncryption, ID: "derived:m:01", Policy: "derived"}
	assigned := device
	assigned.Blocks = []string{"BLOCK1"}
	for kind, want := range map[Kind]Key{KeyAssigned: assigned, BurnSettled: device, Sealed: device,
		KeyImported: {ID: device.ID, Policy: "derived"}, KeyRemoved: {ID: device.ID, Policy: "derived"}} {
		raw := fmt.Appendf(nil, `{"v":1,"index":0,"time":"2026-11-20T08:00:00Z","kind":%q,%s}`, kind, id)
		e, err := Decode(raw)
		if err != nil || !reflect.DeepEqual(e.Keys, []Key{want}) || !Canonical(&e, raw) {
			t.Errorf("%s: got %+v, %v", kind, e.Keys, err)
		}
	}
	e := Entry{Keys: []Key{{ID: "token"}, {Purpose: chip.FlashEncryption, ID: "flash"}, {Purpose: "hmac", ID: "hmac"}}}
	if e.FlashKey().ID != "flash" || e.TokenKey().ID != "token" || e.KeyFor("hmac").ID != "hmac" || e.KeyFor("none").ID != "" || e.KeyIDs() != "token; flash; hmac" {
		t.Errorf("got %+v", e)
	}
}

// FuzzDecode: whatever the bytes are, what is taken for an entry has these bytes
// as its only form.
func FuzzDecode(f *testing.F) {
	var old entry1
	everyField(reflect.ValueOf(&old).Elem(), new(int))
	old.Version = 1
	first, err := json.Marshal(old)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(first)
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		raw, err := json.Marshal(randomEntry(r))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte(`{"v":4,"index":1,"time":"2026-11-20T08:00:00Z","kind":"x"}`))
	if lines, err := os.ReadFile("../../fixtures/ledger/v1/device.proof"); err != nil {
		f.Fatal(err)
	} else {
		f.Add(lines)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := Decode(raw)
		if err != nil || e.Version > Version || !Canonical(&e, raw) {
			return
		}
		if e.Version != versionOf(raw) {
			t.Fatalf("version %d of %s", e.Version, raw)
		}
		e.Version = Version
		now, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(now)
		if err != nil || !reflect.DeepEqual(got, e) && !bytes.Equal(marshal(t, got), now) {
			t.Errorf("%s: %+v became %+v, %v", raw, e, got, err)
		}
		var d Device
		d.Apply(e)
	})
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
