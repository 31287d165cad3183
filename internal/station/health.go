package station

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"station/internal/board"
	"station/internal/hsm"
	"station/internal/keyfile"
	"station/internal/ledger"
)

const (
	lookTime = 2 * time.Second
	lowDisk  = 100 << 20 // bytes; a ledger of a hundred thousand devices
)

// Health asks token, ledger, disk and site how they are. Each may be nil.
func Health(token *hsm.Token, book *ledger.Ledger, at *Site) board.Health {
	h := board.Health{Site: at.Health()}
	if token != nil {
		ctx, cancel := context.WithTimeout(context.Background(), lookTime)
		defer cancel()
		h.Token = board.Part{OK: true, Words: "ok"}
		if err := token.Check(ctx); err != nil {
			h.Token = board.Part{OK: false, Words: "away"}
		}
	}
	if book == nil {
		return h
	}
	size, root, err := book.Head()
	h.Ledger = board.Part{OK: err == nil, Words: "ok"}
	if err != nil {
		h.Ledger.Words = "fault"
	}
	h.Head = fmt.Sprintf("%d %s", size, root)
	if free, err := keyfile.Free(filepath.Dir(book.Path())); err == nil {
		h.Disk = board.Part{OK: free > lowDisk, Words: fmt.Sprintf("%d GB", free>>30)}
		if free < 10<<30 {
			h.Disk.Words = fmt.Sprintf("%d MB", free>>20)
		}
	}
	return h
}
