package boltfile

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

// A cursor finds what a look-up finds: backwards key by key, near and far, keys that are
// there and those that are not, in a tree and in a bucket that lies in its parent.
func TestCursor(t *testing.T) {
	path := build(t, 400)
	want := dumpBolt(t, path)
	_, s := openFile(t, path)
	rnd := rand.New(rand.NewPCG(5, 6))
	for _, name := range []string{"big", "gone", "small"} {
		b, err := s.Bucket(name)
		if err != nil {
			t.Fatal(err)
		}
		var c Cursor
		c.Reset(b)
		at := 0
		for range 8000 {
			if at--; at < 0 || rnd.IntN(20) == 0 {
				at = rnd.IntN(1700)
			}
			key := fmt.Sprintf("%08d", at)
			value, err := c.Get([]byte(key))
			if have, ok := want["/"+name+"/"+key]; err != nil || string(value) != have || ok != (value != nil) {
				t.Fatalf("%s/%s: got %x, %v, want %x", name, key, value, err, have)
			}
		}
	}
}

// A cursor that is reset to another bucket finds what is there, in the memory that it has,
// and writes to no page that other look-ups remember.
func TestCursorAgain(t *testing.T) {
	path := build(t, 400)
	want := dumpBolt(t, path)
	_, s := openFile(t, path)
	rnd := rand.New(rand.NewPCG(7, 8))
	var c Cursor
	for range 300 {
		name := []string{"big", "gone", "small"}[rnd.IntN(3)]
		b, err := s.Bucket(name)
		if err != nil {
			t.Fatal(err)
		}
		c.Reset(b)
		for range 60 {
			key := fmt.Sprintf("%08d", rnd.IntN(1700))
			get := c.Get
			if rnd.IntN(3) == 0 {
				get = b.Get
			}
			value, err := get([]byte(key))
			if have := want["/"+name+"/"+key]; err != nil || string(value) != have {
				t.Fatalf("%s/%s: got %x, %v, want %x", name, key, value, err, have)
			}
		}
	}
}

// A page on the way that is damaged is an error for its keys, each time, and for no others.
func TestCursorOfDamage(t *testing.T) {
	path := build(t, 1000)
	f, s := openFile(t, path)
	b, err := s.Bucket("big")
	if err != nil {
		t.Fatal(err)
	}
	first := "~"
	var last page
	w := walk{b: b, yield: func(it Item, _ error) bool { first = min(first, string(it.Key)); return true }, page: func(p page) { last = p }}
	w.visit(b.root, nil, nil, 0)
	key, _ := last.key(0)
	flip(t, f, int64(last.id)*int64(s.PageSize()), 0xff)
	b, err = reopen(t, f).Bucket("big")
	if err != nil {
		t.Fatal(err)
	}
	var c Cursor
	c.Reset(b)
	for range 2 {
		var bad *PageError
		for range 2 {
			if value, err := c.Get(key); !errors.As(err, &bad) || bad.Page != last.id {
				t.Errorf("a damaged leaf: got %x, %v", value, err)
			}
		}
		if value, err := c.Get([]byte(first)); err != nil || value == nil {
			t.Errorf("another leaf: got %x, %v", value, err)
		}
	}
}
