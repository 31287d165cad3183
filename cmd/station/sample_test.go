package main

import (
	"cmp"
	"iter"
	"maps"
	"slices"
)

// sampleOf: of so many cases, each a program or a command line, one is tried
// under the race detector.
const sampleOf = 16

// sorted yields a map in the order of its keys: so a sample is always the same.
func sorted[K cmp.Ordered, V any](m map[K]V) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}
