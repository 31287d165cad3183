package station

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"station/internal/hsm"
	"station/internal/ledger"
)

// Part is the state of one thing that the line depends on.
type Part struct {
	OK    bool
	Words string
}

// Health is the state of everything that the line depends on.
type Health struct {
	Token, Ledger, Disk Part
	Head                string // of the ledger: size and root hash
}

const (
	lookTime = 2 * time.Second
	lowDisk  = 100 << 20 // bytes; a ledger of a hundred thousand devices
)

// Look asks token, ledger and disk how they are. Each may be nil.
func Look(token *hsm.Token, book *ledger.Ledger) Health {
	var h Health
	if token != nil {
		ctx, cancel := context.WithTimeout(context.Background(), lookTime)
		defer cancel()
		h.Token = Part{true, "ok"}
		if err := token.Check(ctx); err != nil {
			h.Token = Part{false, "away"}
		}
	}
	if book == nil {
		return h
	}
	size, root, err := book.Head()
	h.Ledger = Part{err == nil, "ok"}
	if err != nil {
		h.Ledger.Words = "fault"
	}
	h.Head = fmt.Sprintf("%d %s", size, root)
	if free, err := freeBytes(filepath.Dir(book.Path())); err == nil {
		h.Disk = Part{free > lowDisk, fmt.Sprintf("%d GB", free>>30)}
		if free < 10<<30 {
			h.Disk.Words = fmt.Sprintf("%d MB", free>>20)
		}
	}
	return h
}
