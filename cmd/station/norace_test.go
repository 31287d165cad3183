//go:build !race

package main

const sampleOf = 1
