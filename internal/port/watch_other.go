//go:build !linux

package port

import (
	"errors"
	"fmt"
)

// Watch tells when a device may have come or gone.
type Watch struct {
	C <-chan struct{}
}

// Watch needs Linux: errors.ErrUnsupported elsewhere.
func (s System) Watch(name string) (*Watch, error) {
	return nil, fmt.Errorf("watch port %s: %w", name, errors.ErrUnsupported)
}

// Close does nothing.
func (*Watch) Close() error { return nil }
