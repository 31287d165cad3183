package job

import (
	"strings"

	"station/internal/tomlfile"
)

// A job whose devices have secure boot alone: [security] flash_encryption = false.

// plain refuses what only devices with flash encryption can have.
func (j *Job) plain(f *tomlfile.File) {
	if j.SecureBoot.Version == 0 {
		f.Fault("security.flash_encryption", "is off, and there is no [secure_boot]: nothing would protect the device; write [secure_boot], or leave this line out")
	}
	if k := j.Key; k.Policy != "" || k.Label != "" || k.PRF != "" || k.Bits != 0 || k.Escrow != "" {
		f.Fault("key", "names a key for flash encryption, which is off; leave [key] out%s", j.namedElsewhere())
	}
	if j.Security.CryptConfig != nil || j.Security.AllowWeak {
		f.Fault("security.flash_crypt_config", "belongs to flash encryption, which is off; leave it out")
	}
	if j.Flash.Loader == LoaderRAM {
		f.Fault("flash.loader", "%q is faster because it encrypts on the chip, and the flash stays plain; leave it out", LoaderRAM)
	}
	if j.Identity != nil && !j.Identity.HMAC {
		f.Fault("identity", "must stay secret in the flash, and flash encryption is off; leave [identity] out, or encrypt the flash")
	}
}

// namedElsewhere is where version 1 of secure boot has its key named.
func (j *Job) namedElsewhere() string {
	if j.SecureBoot.Version == 1 {
		return " (the key of secure boot is named under [secure_boot]: policy, label, prf)"
	}
	return ""
}

// ownKey is a text of bootloaders that encrypt a plain flash by themselves, with
// a key that nobody has.
const ownKey = "Generating new flash encryption key"

// encryptsItself refuses a bootloader that would encrypt the flash of a job
// that leaves it plain.
func (j *Job) encryptsItself(f *tomlfile.File) {
	i := j.bootloader(j.Regions)
	if j.Encrypts() || i < 0 || !strings.Contains(string(j.Regions[i].Data), ownKey) {
		return
	}
	f.At("security.flash_encryption", "is off, and %s is built with flash encryption: at its first start it would make a key of its own, which nobody has; build it with CONFIG_SECURE_FLASH_ENC_ENABLED off, or leave this line out", j.Regions[i].Name)
}
