//go:build race

package main

// sampleOf: a program of the race detector takes several times as long to start.
// What starts one for each of many cases does so for one of these here, and for
// all in the run of make test without the detector.
const sampleOf = 16
