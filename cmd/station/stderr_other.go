//go:build !linux

package main

import "io"

// divertStderr is for Linux alone.
func divertStderr() (io.ReadCloser, func(), error) { return nil, nil, nil }
