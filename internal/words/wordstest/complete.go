// Package wordstest holds languages against each other.
package wordstest

import (
	"reflect"
	"regexp"
	"slices"
	"testing"
	"unicode"
)

var verbs = regexp.MustCompile(`%\[\d\][a-z]`)

// Complete demands that two languages, structures of the same type, say everything,
// with the same values in it. What a map has in the first one alone is missing in the
// second one.
func Complete(t testing.TB, a, b any) {
	t.Helper()
	complete(t, "", reflect.ValueOf(a), reflect.ValueOf(b))
}

func complete(t testing.TB, name string, a, b reflect.Value) {
	t.Helper()
	switch a.Kind() {
	case reflect.Struct:
		for i := range a.NumField() {
			complete(t, name+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))
		}
	case reflect.String:
		compare(t, name, a.String(), b.String())
	case reflect.Array:
		for i := range a.Len() {
			compare(t, name, a.Index(i).String(), b.Index(i).String())
		}
	case reflect.Map:
		for _, key := range a.MapKeys() {
			if row := b.MapIndex(key); !row.IsValid() {
				t.Errorf("%s: no words for %v", name, key)
			} else if row.Kind() == reflect.String {
				compare(t, name, a.MapIndex(key).String(), row.String())
			}
		}
	}
}

func compare(t testing.TB, name, a, b string) {
	t.Helper()
	if a == "" || b == "" {
		t.Errorf("%s is empty: %q, %q", name, a, b)
	}
	in, other := verbs.FindAllString(a, -1), verbs.FindAllString(b, -1)
	slices.Sort(in)
	slices.Sort(other)
	if !slices.Equal(in, other) {
		t.Errorf("%s: %q and %q do not have the same values", name, a, b)
	}
}

// Chinese tells whether a text has Chinese in it.
func Chinese(s string) bool {
	for _, r := range s {
		if unicode.Is(unicode.Han, r) {
			return true
		}
	}
	return false
}
