package identity

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"station/internal/secret"
)

// An esp_secure_cert partition is a chain of TLVs (esp_secure_cert_mgr; little
// endian), erased flash behind it:
//
//	 0  BA5EBA11 u32, flags u8, 3 zero, type u8, subtype u8, length u16
//	12  data, zero behind it to a multiple of 16
//	 n  CRC-32 of all of that
const (
	tlvMagic  = 0xba5eba11
	tlvHeader = 12
	tlvAlign  = 16
)

// TLVType says what a TLV holds.
type TLVType byte

// The types that are written here.
const (
	TLVCA          TLVType = 0
	TLVCertificate TLVType = 1
	TLVPrivateKey  TLVType = 2
	TLVIntegrity   TLVType = 9  // SHA-256 of all before it
	TLVID          TLVType = 51 // user data 1: the ID, as text
	TLVToken       TLVType = 52 // user data 2: the token, 32 bytes
)

// TLV is one entry of an esp_secure_cert partition: type, length and value.
type TLV struct {
	Type TLVType
	Data []byte
}

// SecureCert is a partition of size bytes with the TLVs and, behind them, the
// SHA-256 over all of them.
func SecureCert(size int, list ...TLV) (*secret.Bytes, error) {
	out, err := erased(size)
	if err != nil {
		return nil, err
	}
	at := 0
	for _, t := range list {
		if at, err = appendTLV(out.Reveal(), at, t); err != nil {
			break
		}
	}
	if err == nil {
		sum := sha256.Sum256(out.Reveal()[:at])
		_, err = appendTLV(out.Reveal(), at, TLV{TLVIntegrity, sum[:]})
	}
	if err != nil {
		out.Destroy()
		return nil, fmt.Errorf("identity: esp_secure_cert: %w", err)
	}
	return out, nil
}

// SecureCert is a partition of size bytes with what the device has: ID, token,
// and a certificate with its CA and private key.
func (v *Values) SecureCert(size int) (*secret.Bytes, error) {
	var list []TLV
	if len(v.Certificate) > 0 {
		key, err := v.privateKey()
		if err != nil {
			return nil, err
		}
		defer clear(key)
		list = append(list, TLV{TLVCA, v.CA}, TLV{TLVCertificate, v.Certificate}, TLV{TLVPrivateKey, key})
	}
	list = append(list, TLV{TLVID, []byte(v.ID)})
	if v.Token.Len() > 0 {
		list = append(list, TLV{TLVToken, v.Token.Reveal()})
	}
	return SecureCert(size, list...)
}

func appendTLV(b []byte, at int, t TLV) (end int, err error) {
	padded := (len(t.Data) + tlvAlign - 1) / tlvAlign * tlvAlign
	end = at + tlvHeader + padded + 4
	if end > len(b) {
		return at, fmt.Errorf("%w: it has %#x bytes, %#x are needed", ErrNoRoom, len(b), end)
	}
	x := b[at:end]
	clear(x)
	binary.LittleEndian.PutUint32(x, tlvMagic)
	x[8] = byte(t.Type)
	binary.LittleEndian.PutUint16(x[10:], uint16(len(t.Data)))
	copy(x[tlvHeader:], t.Data)
	binary.LittleEndian.PutUint32(x[len(x)-4:], crc(x[:len(x)-4]))
	return end, nil
}
