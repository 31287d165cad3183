package hsm

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/asn1"
	"fmt"
)

// A curve is one that keys of ours can be on, with the hash that goes with it.
type curve struct {
	elliptic.Curve
	params []byte // its object identifier in DER (RFC 5480), which CKA_EC_PARAMS holds
	hash   crypto.Hash
}

var (
	onP256 = &curve{elliptic.P256(), []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}, crypto.SHA256}
	onP384 = &curve{elliptic.P384(), []byte{0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22}, crypto.SHA384}
	curves = []*curve{onP256, onP384}

	// p192 is a curve that some chips take and this program does not sign with.
	p192 = []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x01}
)

// curveOf is the curve that CKA_EC_PARAMS names; nil for none of ours.
func curveOf(params []byte) *curve {
	for _, c := range curves {
		if bytes.Equal(params, c.params) {
			return c
		}
	}
	return nil
}

// hashFor is the hash whose digests are signed with a key: SHA-384 with P-384, else SHA-256.
func hashFor(key crypto.PublicKey) crypto.Hash {
	if pub, ok := key.(*ecdsa.PublicKey); ok && pub.Curve == onP384.Curve {
		return onP384.hash
	}
	return crypto.SHA256
}

// parsePublic reads CKA_EC_PARAMS and CKA_EC_POINT. The point is a DER OCTET
// STRING; some tokens leave the wrapping out.
func parsePublic(params, point []byte) (*ecdsa.PublicKey, error) {
	c := curveOf(params)
	switch {
	case bytes.Equal(params, p192):
		return nil, fmt.Errorf("%w: the key is on P-192, which is too weak to begin with; make one on P-256, which every chip takes that takes P-192", ErrAttributes)
	case c == nil:
		return nil, fmt.Errorf("%w: the key is neither on P-256 nor on P-384", ErrAttributes)
	}
	// The bare point first: one in 256 begins like an OCTET STRING of its length.
	if pub, err := ecdsa.ParseUncompressedPublicKey(c.Curve, point); err == nil {
		return pub, nil
	}
	var bare []byte
	if rest, err := asn1.Unmarshal(point, &bare); err != nil || len(rest) != 0 {
		bare = point
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(c.Curve, bare)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	return pub, nil
}
