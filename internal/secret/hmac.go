package secret

import (
	"crypto/sha256"
	"fmt"
)

// HMAC is HMAC-SHA-256 (RFC 2104) under one key. crypto/hmac keeps the padded key on
// the heap; here it is on a page of its own, and overwritten.
type HMAC struct {
	key  *Bytes
	page *Bytes // the padded key, and what is hashed behind it
}

// maxMessage is more than any message that is authenticated with it.
const maxMessage = 64

// NewHMAC takes a key of up to 64 bytes. The key stays the caller's, who destroys the
// HMAC before it.
func NewHMAC(key *Bytes) (*HMAC, error) {
	if key.Len() == 0 || key.Len() > sha256.BlockSize {
		return nil, fmt.Errorf("HMAC: a key of %d bytes", key.Len())
	}
	page, err := Make(sha256.BlockSize + maxMessage)
	if err != nil {
		return nil, err
	}
	return &HMAC{key, page}, nil
}

// Sum is the HMAC of a message of at most 64 bytes.
func (h *HMAC) Sum(message []byte) [sha256.Size]byte {
	inner := sha256.Sum256(h.pad(0x36, message))
	defer clear(inner[:])
	return sha256.Sum256(h.pad(0x5c, inner[:]))
}

// pad is the padded key with something behind it.
func (h *HMAC) pad(with byte, behind []byte) []byte {
	b := h.page.Reveal()
	if len(behind) > maxMessage {
		panic("secret: HMAC of a message that is too long")
	}
	for i := range sha256.BlockSize {
		b[i] = with
	}
	for i, k := range h.key.Reveal() { // a copy would leave the key in vector registers
		b[i] ^= k
	}
	return b[:sha256.BlockSize+copy(b[sha256.BlockSize:], behind)]
}

// Destroy overwrites what the HMAC holds. It may be called on nil.
func (h *HMAC) Destroy() {
	if h != nil {
		h.page.Destroy()
	}
}
