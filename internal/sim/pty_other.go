//go:build !linux

package sim

import (
	"context"
	"errors"
	"fmt"
)

// PTY is a chip served on a pseudo-terminal.
type PTY struct {
	Path string // what a client opens
}

// Wait returns when the pseudo-terminal is gone.
func (p *PTY) Wait() {}

// ServePTY needs Linux: errors.ErrUnsupported elsewhere.
func (c *Chip) ServePTY(context.Context) (*PTY, error) {
	return nil, fmt.Errorf("make a pseudo-terminal: %w", errors.ErrUnsupported)
}
