package job

import (
	"errors"

	"station/internal/efuse"
	"station/internal/tomlfile"
)

// isSecureBoot reports a fuse that switches secure boot on. It is burned only
// where [secure_boot] names the key that the images are signed with: over unsigned
// firmware it ends the device.
func (j *Job) isSecureBoot(fuse string) bool {
	for _, boot := range j.Chip().Seal.SecureBoot {
		if boot.On == fuse {
			return true
		}
	}
	return false
}

// plan makes the job's burn plan and puts every reason against it on the line
// of the job file that asks for it.
func (j *Job) plan(f *tomlfile.File) {
	fuses := map[string]uint32{}
	for name, value := range j.Security.Fuses {
		if value != 0 && j.isSecureBoot(name) {
			f.Fault("security.fuses."+name, "switches secure boot on, which [secure_boot] does, with images that are checked before: without it a device would refuse every image that is not signed; leave it out")
			continue
		}
		fuses[name] = value
	}
	if c := j.Security.CryptConfig; c != nil {
		fuses["FLASH_CRYPT_CONFIG"] = uint32(*c)
	}
	if j.Encrypts() {
		j.cryptConfig = uint8(fuseOr(fuses, "FLASH_CRYPT_CONFIG", 15))
	}
	mode := efuse.Mode(j.Security.Mode)
	plan, err := efuse.New(efuse.Options{Chip: j.Chip(), Mode: mode, KeyPolicy: j.Key.Origin(), KeyBits: j.Key.Bits, Fuses: fuses, Weak: j.Security.AllowWeak, Plain: !j.Encrypts(), Boot: j.bootOptions(), HMAC: j.hmacKeys()})
	var refused *efuse.RefusedError
	switch {
	case errors.As(err, &refused):
		for _, reason := range refused.Reasons {
			f.Fault("security", "%s", reason)
		}
	case err != nil:
		f.Fault("security", "%v", err)
	}
	j.Plan = plan
	j.Warnings = append(j.Warnings, plan.Warnings(mode)...)
}

// Locks reports whether the job burns anything after the first good boot.
func (j *Job) Locks() bool { return len(j.Plan.Of(LockStages...)) > 0 }

// The stages of each burn step.
var (
	KeyStages   = []string{efuse.StageKey, efuse.StageProtect, efuse.StageBootKey, efuse.StageBootProtect, efuse.StageHMACKey, efuse.StageHMACProtect}
	CryptStages = []string{efuse.StageConfig, efuse.StageCount, efuse.StageBootOn}
	LockStages  = []string{efuse.StageLock, efuse.StageFreeze, efuse.StageUART}
)

func fuseOr(fuses map[string]uint32, name string, otherwise uint32) uint32 {
	if v, ok := fuses[name]; ok {
		return v
	}
	return otherwise
}

// CryptConfig is FLASH_CRYPT_CONFIG as the plan burns it; 0 for a plain flash.
func (j *Job) CryptConfig() uint8 { return j.cryptConfig }
