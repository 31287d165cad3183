package job

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"station/internal/chip"
	"station/internal/efuse"
)

// Sections are the parts of a job that not every product has, as comments for a
// new job file, with what the build in the folder says of each.
func Sections(build string, f *chip.Family) string {
	config, path, err := readConfig(build)
	if config == nil || err != nil {
		path = ""
	}
	var b strings.Builder
	for _, section := range []struct {
		says  string
		lines string
	}{
		{config.saysEncryption(), encryptionLines + closing(f)},
		{config.saysSecureBoot(), config.secureBootLines(f)},
		{"What a device is known by later: ID, token, certificate. Its partition must be encrypted; docs/files.md has all keys.", identityLines},
	} {
		b.WriteString("\n# " + section.says + "\n" + section.lines)
	}
	b.WriteString(config.hmacLines() + config.otaLines())
	if path == "" {
		return "\n# There is no sdkconfig beside the build: look yourself what it was made for.\n" + b.String()
	}
	return fmt.Sprintf("\n# What the build was made for is from %q.\n", path) + b.String()
}

const (
	encryptionLines = `# mode = "development" under [security] lets the flash be rewritten over the serial port. A fuse ends serial
# access for good after a good start, under [security] too:
`
	secureBootLines = `# Images are signed with "station image sign"; the key is made with "station hsm init --policy none --role secure-boot%s".
# The %s takes %s.
# [secure_boot]
# version = %s
# keys = ["release.pub.pem"]
`
	identityLines = `# [identity]
# token = true
# prints = "identity: {id}"
# [identity.certificate]
# ca = "line-ca.pem"
# subject = "CN={mac}"
`
)

// hmacLines are the key for HMACs that a build asks for, which needs nothing of the token
// that [key] has not; "" where it asks for none.
func (c sdkconfig) hmacLines() string {
	if !c.on(hmacScheme) {
		return ""
	}
	const says = "\n# The firmware makes the keys of its NVS of a key for HMACs (CONFIG_" + hmacScheme + "). Without it, it burns one of its own at its first start.\n"
	if id, known := c.number(hmacBlock); known {
		return fmt.Sprintf("%s[hmac]\nkey_id = %d           # as the build's sdkconfig has it\n", says, id)
	}
	return says + "# The build does not say in which block it looks for it (CONFIG_" + hmacBlock + "): write its number, and take the # away.\n# [hmac]\n# key_id = 0\n"
}

// otaLines are the key for updates that a build asks for, as comments: it has to be made
// first; "" where it asks for none.
func (c sdkconfig) otaLines() string {
	if !c.updatesByKey() {
		return ""
	}
	note := "   # write hmac_key_id of the firmware's esp_decrypt_cfg_t"
	id, known := c.number(otaBlock)
	if known {
		note = "   # as the build's sdkconfig has it"
	}
	return fmt.Sprintf(otaLines, id, note)
}

const otaLines = `
# Updates are encrypted for a key in the fuses (ECIES). All devices of a fleet have the same: make it with
# "station key new --label fleet-ota", and take the # away.
# [ota]
# key_id = %d%s
# label = "fleet-ota"
`

// closing are the fuses by which a chip's serial loader is closed.
func closing(f *chip.Family) (lines string) {
	for _, name := range slices.Sorted(maps.Keys(f.Seal.Burnable)) {
		if f.Seal.Burnable[name] != efuse.StageUART {
			continue
		}
		lines += fmt.Sprintf("# fuses = { %s = 1 }", name)
		if since := f.Seal.Since[name]; since != 0 {
			lines += fmt.Sprintf("   # chips from revision %v on", since)
		}
		lines += "\n"
	}
	return lines
}

// secureBootLines are what a job needs for secure boot, as comments.
func (c sdkconfig) secureBootLines(f *chip.Family) string {
	flag := map[chip.SigningKey]string{chip.P256: " --type p-256", chip.P384: " --type p-384"}[c.bootKey()]
	return fmt.Sprintf(secureBootLines, flag, f.Title, f.SignedBy(), c.secureBootVersion())
}

func (c sdkconfig) saysEncryption() string {
	switch {
	case c == nil:
		return "Flash encryption: switch it on in the build (CONFIG_SECURE_FLASH_ENC_ENABLED), in the mode of [security]."
	case !c.on("SECURE_FLASH_ENC_ENABLED", "FLASH_ENCRYPTION_ENABLED"):
		return "Flash encryption is OFF in the build: set CONFIG_SECURE_FLASH_ENC_ENABLED, or the firmware cannot write its encrypted flash."
	case c.on("SECURE_FLASH_ENCRYPTION_MODE_DEVELOPMENT"):
		return "Flash encryption is on in the build, in development mode: for release set CONFIG_SECURE_FLASH_ENCRYPTION_MODE_RELEASE."
	}
	return "Flash encryption is on in the build, in release mode."
}

func (c sdkconfig) saysSecureBoot() string {
	switch {
	case c.bootKey() == weakKey:
		return "The build's secure boot is for " + weakKey + " keys, which are too weak: set CONFIG_SECURE_BOOT_ECDSA_KEY_LEN_256_BITS and build again. Every chip that takes them takes P-256."
	case c == nil:
		return "Secure boot, if the build has it (CONFIG_SECURE_BOOT): take the # away."
	case c.on("SECURE_BOOT", "SECURE_BOOT_ENABLED"):
		with := ""
		if key := c.bootKey(); key != "" {
			with = ", with " + string(key) + " keys"
		}
		return "Secure boot is ON in the build" + with + ": take the # away, or the firmware switches it on by itself at its first start."
	}
	return "Secure boot is off in the build (CONFIG_SECURE_BOOT)."
}

func (c sdkconfig) secureBootVersion() string {
	if c.on("SECURE_BOOT_V1_ENABLED") || c.on("SECURE_BOOT_ENABLED") && !c.on("SECURE_BOOT_V2_ENABLED") {
		return "1"
	}
	return "2"
}
