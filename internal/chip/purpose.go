package chip

// Purpose is what a device has a key for. It has one key for each, for ever. A
// key of a token itself, of which devices' keys come, has none.
type Purpose string

// The purposes of keys. A token makes all but the digests, which are those of
// public keys and no secret.
const (
	FlashEncryption Purpose = "flash-encryption" // the chip decrypts its flash with it
	// The halves of a key for flash encryption of 512 bits, each in a block of its own.
	FlashEncryption1 Purpose = "flash-encryption-1"
	FlashEncryption2 Purpose = "flash-encryption-2"

	// A key for flash encryption of 128 bits, of which the chip makes one of 256.
	FlashEncryption128 Purpose = "flash-encryption-128"

	SecureBootV1 Purpose = "secure-boot-v1" // the chip makes the digest of its bootloader with it
	SecureBootV2 Purpose = "secure-boot-v2" // the digest of the public key that signs: no secret, and of no token
	HMAC         Purpose = "hmac"           // firmware asks the chip for HMACs under it

	HMACUpdates Purpose = "hmac-updates" // the chip makes the private key of it that opens pre-encrypted updates

	// What a device is known by later. These go into its flash, not into fuses.
	DeviceID         Purpose = "device-id"          // its public name
	DeviceToken      Purpose = "device-token"       // what it shows a server, which asks the token for the same
	DevicePrivateKey Purpose = "device-private-key" // of its certificate: a scalar on P-256
	NVSKeys          Purpose = "nvs-keys"           // its NVS is encrypted with: two keys for XTS-AES-256

	SecureBootDigest0 Purpose = "secure-boot-digest-0" // the chip starts what was signed with the key of one of these
	SecureBootDigest1 Purpose = "secure-boot-digest-1"
	SecureBootDigest2 Purpose = "secure-boot-digest-2"

	// The only such digest of a chip with one key block: half of it.
	SecureBootDigest Purpose = "secure-boot-digest"
)

// KeySizes are the lengths in bytes that a key for a chip can have: 16 in half of the
// ESP32-C2's block, 24 under coding scheme 3/4 of the ESP32, 64 for XTS-AES-256.
var KeySizes = []int{16, 24, 32, 64}

// SigningKey is a kind of key that signs images for secure boot.
type SigningKey string

// The kinds. P-192, which some chips take too, is too weak to begin with.
const (
	RSA3072 SigningKey = "RSA-3072"
	P256    SigningKey = "ECDSA P-256"
	P384    SigningKey = "ECDSA P-384"
)
