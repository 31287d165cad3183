package hsm

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"station/internal/chip"
	"station/internal/secret"
)

// labels are the Label of the key derivation by purpose. They never change:
// every device that was sealed has its key by them.
var labels = map[chip.Purpose]string{
	chip.FlashEncryption: "station flash encryption v1",
	chip.SecureBootV1:    "station secure boot v1",
	chip.HMAC:            "station hmac v1",

	chip.DeviceID:         "station device id v1",
	chip.DeviceToken:      "station device token v1",
	chip.DevicePrivateKey: "station device private key v1",
	chip.NVSKeys:          "station nvs keys v1",
}

// CheckLabel is what a key is asked to authenticate for its check value.
const CheckLabel = "station key check v1"

// kdfBlock is what the master authenticates for the i-th block of the key of a
// device: the KDF in counter mode (NIST SP 800-108r1, 4.1) with HMAC-SHA-256 or
// AES-CMAC as its function and a counter of 32 bits before the fixed input, here
// of the first block:
//
//	00 00 00 01 | label of the purpose | 00 | chip MAC[6] | L
//
// The labels are "station flash encryption v1", "station secure boot v1" and
// "station hmac v1", and for what a device is known by "station device id v1",
// "station device token v1", "station device private key v1" and "station nvs
// keys v1"; chip is the family as job files name it, such as esp32. MAC
// is in transmission order; L is the key's length in bits, big endian in 32
// bits: 256, or 192 for chips of coding scheme 3/4, which take the first 24
// bytes of the block, 128 for an ESP32-C2's short key, or 512 for NVS keys and XTS-AES-256. A key takes as many blocks
// as it needs, of 32 bytes with HMAC and 16 with AES-CMAC: the second with the counter
// 00 00 00 02, and so on. What follows the label has a length of its own for each
// chip, and two chips whose names are as long have other names, so that no two
// requests have one input. With a known master anybody can recompute a key:
//
//	printf '…' | openssl dgst -sha256 -mac HMAC -macopt hexkey:…
//	openssl kdf -keylen 32 -kdfopt mac:CMAC -kdfopt cipher:AES-256-CBC -kdfopt hexkey:… \
//	  -kdfopt "salt:station flash encryption v1" -kdfopt hexinfo:6573703332… KBKDF
func kdfBlock(i int, r Request) []byte {
	fixed := append([]byte(labels[r.Purpose]), 0)
	fixed = append(fixed, r.Chip...)
	fixed = append(fixed, r.MAC[:]...)
	return counted(i, binary.BigEndian.AppendUint32(fixed, uint32(r.Size*8)))
}

// derivable tells what a request lacks to be derived.
func (r Request) derivable() error {
	switch {
	case r.MAC.IsZero():
		return errors.New("no MAC")
	case r.Chip == "":
		return errors.New("no chip")
	case labels[r.Purpose] == "":
		return fmt.Errorf("no key is derived for purpose %q", r.Purpose)
	}
	return nil
}

// counted puts the counter before the fixed input: 32 bits, big endian.
func counted(i int, fixed []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(i)), fixed...)
}

// CheckValue tells whether two keys are the same without telling the key: the
// first 8 bytes of HMAC-SHA-256 under the key over CheckLabel, in hexadecimal.
func CheckValue(key *secret.Bytes) (string, error) {
	mac, err := secret.NewHMAC(key)
	if err != nil {
		return "", fmt.Errorf("hsm: check value: %w", err)
	}
	defer mac.Destroy()
	sum := mac.Sum([]byte(CheckLabel))
	return checkText(sum[:]), nil
}

func checkText(mac []byte) string { return hex.EncodeToString(mac[:8]) }

// KeyID is the public name of a device key. Policy and token object say where
// it comes from; the check value says that it is the one.
type KeyID struct {
	Policy Policy
	Label  string
	Check  string // 16 hexadecimal digits
}

// String reads "derived:station-master:1f2e3d4c5b6a7988".
func (k KeyID) String() string { return string(k.Policy) + ":" + k.Label + ":" + k.Check }

// ParseKeyID reads what String writes. The label may hold colons.
func ParseKeyID(s string) (KeyID, error) {
	policy, rest, _ := strings.Cut(s, ":")
	cut := strings.LastIndexByte(rest, ':')
	if cut < 0 {
		return KeyID{}, errors.New("hsm: key ID: want policy:label:check")
	}
	k := KeyID{Policy(policy), rest[:cut], rest[cut+1:]}
	if k.Policy.Role() == "" {
		return KeyID{}, errors.New("hsm: key ID: the policy is none of derived, shared, random")
	}
	if err := checkLabel(k.Label); err != nil {
		return KeyID{}, fmt.Errorf("hsm: key ID: %w", err)
	}
	if len(k.Check) != 16 || strings.Trim(k.Check, "0123456789abcdef") != "" {
		return KeyID{}, errors.New("hsm: key ID: the check value is not 16 lower-case hexadecimal digits")
	}
	return k, nil
}
