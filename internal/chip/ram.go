package chip

import (
	"errors"
	"io"
)

// ErrRAM: the loader in RAM was not used, or not to its end. What it leaves is for
// the ROM to write.
var ErrRAM = errors.New("loader in RAM")

// PlainImage is a region for the loader in RAM, which encrypts on the chip.
type PlainImage struct {
	Addr      uint32
	Plain     []byte
	Encrypted bool
	Stored    io.ReaderAt // what the flash is to hold
}

// RAMJob is what the loader in RAM is to do.
type RAMJob struct {
	Images   []PlainImage
	Key      interface{ Reveal() []byte } // of the flash
	Config   uint8                        // FLASH_CRYPT_CONFIG
	Progress func(done int)               // bytes; may be nil
}

// RAMStats tells what became of it.
type RAMStats struct {
	Started bool // the code was started: the chip is to be reset
	Wiped   bool // it has overwritten the key itself
	Plain   int  // bytes of images that it took
	Sent    int  // bytes of blocks
	Blocks  int
	Retries int // blocks sent again
}
