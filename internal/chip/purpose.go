package chip

// Purpose is what a device has a key for. It has one key for each, for ever. A
// key of a token itself, of which devices' keys come, has none.
type Purpose string

// The purposes of keys that a token makes.
const (
	FlashEncryption Purpose = "flash-encryption" // the chip decrypts its flash with it
	SecureBootV1    Purpose = "secure-boot-v1"   // the chip makes the digest of its bootloader with it
	HMAC            Purpose = "hmac"             // firmware asks the chip for HMACs under it
)
