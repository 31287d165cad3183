package otaimage

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"fmt"

	"station/internal/secret"
)

// gcm is AES-256-GCM with an IV of 16 bytes and no additional data (NIST
// SP 800-38D), piece by piece: an image may be larger than memory, and the
// standard library wants all of it at once, which the tests hold this against.
type gcm struct {
	stream cipher.Stream
	mask   [tagSize]byte // E(J0), over the tag
	hash   ghash
}

func newGCM(key *secret.Bytes, iv [ivSize]byte) (*gcm, error) {
	block, err := aes.NewCipher(key.Reveal())
	if err != nil {
		return nil, fmt.Errorf("OTA image: %w", err)
	}
	g := &gcm{}
	var h [16]byte
	block.Encrypt(h[:], h[:])
	g.hash.init(h)
	j0 := g.hash.of(iv)
	block.Encrypt(g.mask[:], j0[:])
	binary.BigEndian.PutUint32(j0[12:], binary.BigEndian.Uint32(j0[12:])+1)
	// The counter of GCM has 32 bits and that of CTR 128: no image is so long
	// that they differ, but the first may be near the end of the 32.
	g.stream = &counter{block: block, at: j0}
	return g, nil
}

// encrypt encrypts in place, decrypt decrypts. All pieces but the last have a
// multiple of 16 bytes.
func (g *gcm) encrypt(b []byte) {
	g.stream.XORKeyStream(b, b)
	g.hash.write(b)
}

func (g *gcm) decrypt(b []byte) {
	g.hash.write(b)
	g.stream.XORKeyStream(b, b)
}

// tag is the tag over all pieces.
func (g *gcm) tag() (tag [tagSize]byte) {
	sum := g.hash.sum()
	subtle.XORBytes(tag[:], sum[:], g.mask[:])
	return tag
}

// counter is CTR with a counter of 32 bits that wraps by itself.
type counter struct {
	block cipher.Block
	at    [16]byte
}

func (c *counter) XORKeyStream(dst, src []byte) {
	for len(src) > 0 {
		// Up to where the 32 bits wrap this is CTR.
		left := (int64(1)<<32 - int64(binary.BigEndian.Uint32(c.at[12:]))) * 16
		n := int(min(int64(len(src)), left))
		cipher.NewCTR(c.block, c.at[:]).XORKeyStream(dst[:n], src[:n])
		binary.BigEndian.PutUint32(c.at[12:], binary.BigEndian.Uint32(c.at[12:])+uint32((n+15)/16))
		dst, src = dst[n:], src[n:]
	}
}

// ghash is the hash of GCM: a polynomial over GF(2^128), with a table of the
// multiples of H by four bits.
type ghash struct {
	table [16][2]uint64
	y     [2]uint64
	bytes uint64
}

func (g *ghash) init(h [16]byte) {
	x := [2]uint64{binary.BigEndian.Uint64(h[:]), binary.BigEndian.Uint64(h[8:])}
	g.table[8] = x // bits are in reverse: the first is the lowest power
	for i := 4; i > 0; i >>= 1 {
		x = half(x)
		g.table[i] = x
	}
	for i := 2; i < 16; i <<= 1 {
		for j := 1; j < i; j++ {
			g.table[i+j] = [2]uint64{g.table[i][0] ^ g.table[j][0], g.table[i][1] ^ g.table[j][1]}
		}
	}
}

// half multiplies by the polynomial x.
func half(v [2]uint64) [2]uint64 {
	carry := v[1] & 1
	return [2]uint64{v[0]>>1 ^ carry*0xe1<<56, v[1]>>1 | v[0]<<63}
}

// reduce is what four bits that were shifted out at the end bring in at the front.
var reduce = func() (t [16]uint64) {
	for i := range t {
		v := [2]uint64{0, uint64(i)}
		for range 4 {
			v = half(v)
		}
		t[i] = v[0]
	}
	return t
}()

// multiply multiplies y by H.
func (g *ghash) multiply() {
	var z [2]uint64
	for _, word := range [2]uint64{g.y[1], g.y[0]} {
		for range 16 {
			out := z[1] & 0xf
			z[1] = z[1]>>4 | z[0]<<60
			z[0] = z[0]>>4 ^ reduce[out]
			row := &g.table[word&0xf]
			z[0], z[1] = z[0]^row[0], z[1]^row[1]
			word >>= 4
		}
	}
	g.y = z
}

func (g *ghash) write(b []byte) {
	g.bytes += uint64(len(b))
	for len(b) >= 16 {
		g.add(binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]))
		b = b[16:]
	}
	if len(b) > 0 {
		var last [16]byte
		copy(last[:], b)
		g.add(binary.BigEndian.Uint64(last[:]), binary.BigEndian.Uint64(last[8:]))
	}
}

func (g *ghash) add(hi, lo uint64) {
	g.y[0], g.y[1] = g.y[0]^hi, g.y[1]^lo
	g.multiply()
}

// sum is the hash of what was written, without additional data.
func (g *ghash) sum() (sum [16]byte) {
	g.add(0, g.bytes*8)
	binary.BigEndian.PutUint64(sum[:], g.y[0])
	binary.BigEndian.PutUint64(sum[8:], g.y[1])
	return sum
}

// of is the hash of an IV, from which the first counter comes.
func (g *ghash) of(iv [ivSize]byte) [16]byte {
	h := ghash{table: g.table}
	h.write(iv[:])
	return h.sum()
}
