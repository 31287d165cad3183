package job

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"station/internal/chip"
	"station/internal/efuse"
	"station/internal/firmware"
	"station/internal/keyfile"
	"station/internal/secret"
	"station/internal/secureboot"
	"station/internal/tomlfile"
)

// SecureBoot says that devices start only what is signed.
type SecureBoot struct {
	Version int `toml:"version"` // of the ESP32 1 for revisions 0 to 2, 2 for revision 3; of later chips 2; absent: no secure boot
	// Keys are the files of the public keys that may sign, or their PKCS#11 URIs, of a kind that
	// the chip takes. The ESP32 trusts one, later chips up to three.
	Keys []string `toml:"keys"`
	// Policy, Label and PRF say where the key of a device comes from that version
	// 1 makes the digest of the bootloader with; empty: as the flash key does.
	Policy string `toml:"policy"` // derived, shared
	Label  string `toml:"label"`
	PRF    string `toml:"prf"`
	Escrow string `toml:"escrow"` // as of [key]; absent: key.escrow

	escrowKey *rsa.PublicKey
	token     TokenKey // nil: no token is at hand
	public    []crypto.PublicKey
	keys      []efuse.BootKey // version 2: what the fuses hold
	kind      chip.SigningKey // of all of them
	names     []string        // of the public keys, for descriptions
}

// Key is the key of version 1 as the token makes it.
func (s SecureBoot) Key() Key {
	return Key{Policy: s.Policy, Label: s.Label, PRF: s.PRF, escrowKey: s.escrowKey}
}

// TrustedKeys name the public keys whose digests devices get with version 2, in
// their order.
func (s SecureBoot) TrustedKeys() (names []string) {
	for _, key := range s.keys {
		names = append(names, fmt.Sprintf("public:secure-boot:%x", key.Digest.Reveal()))
	}
	return names
}

// DigestName and DigestAddress are the region that holds the digest of the
// bootloader with version 1.
const (
	DigestName    = "bootloader-digest"
	DigestAddress = 0
	digestSize    = secureboot.IVSize + secureboot.DigestSize
)

// secureBoot reads the key that signs and checks the table.
func (j *Job) secureBoot(f *tomlfile.File) {
	s := &j.SecureBoot
	switch {
	case s.Version == 0:
		if len(s.Keys) > 0 || s.Policy != "" || s.Label != "" || s.PRF != "" || s.Escrow != "" {
			f.Fault("secure_boot.version", "is missing; write version = 2%s", j.older(" for chips from revision %v on, 1 for older ones"))
		}
		return
	case j.Chip() == nil: // told already
		return
	case s.Version != 1 && s.Version != 2 || j.Chip().Seal.SecureBoot[s.Version].On == "":
		f.Fault("secure_boot.version", "%d: the %s has version%s 2", s.Version, j.Chip().Title, j.older("s 1 (before revision %v) and"))
		s.Version = 0
		return
	}
	if most := j.trusts(); len(s.Keys) == 0 || len(s.Keys) > most {
		f.Fault("secure_boot.keys", "%d keys; the %s trusts %s: write the files of their public halves, as \"station key public\" writes them, or their PKCS#11 URIs", len(s.Keys), j.Chip().Title, upTo(most))
	} else {
		j.readBootKeys(f)
	}
	if s.Version == 1 {
		s.Policy, s.Label = cmp.Or(s.Policy, j.Key.Policy, "derived"), cmp.Or(s.Label, j.Key.Label)
		if s.Policy == "derived" {
			s.PRF = cmp.Or(s.PRF, j.Key.PRF)
		}
		switch {
		case s.Policy != "derived" && s.Policy != "shared":
			f.Fault("secure_boot.policy", "%q: write derived, where each device has a key of its own that the token can make again, or shared", s.Policy)
		case s.Label == "":
			f.Fault("secure_boot.label", `is missing; write the label of the token's key, as "station hsm init" made it`)
		case s.Policy == "shared" && j.Key.Policy == "shared" && s.Label == j.Key.Label:
			f.Fault("secure_boot.label", "is that of the key for flash encryption; one key has one purpose: write another")
		}
		return
	}
	if s.Policy != "" || s.Label != "" || s.PRF != "" || s.Escrow != "" {
		f.Fault("secure_boot", "policy, label, prf and escrow are for version 1; version 2 has no secret key in the device: leave them out")
	}
	for _, name := range []struct{ key, value string }{{"flash.mode", string(j.Flash.Mode)}, {"flash.freq", string(j.Flash.Freq)}} {
		if name.value != "keep" {
			f.Fault(name.key, "changes the header of a bootloader that is signed; write \"keep\" and have the build set it")
		}
	}
}

// trusts is how many keys the chip can trust.
func (j *Job) trusts() int { return j.Chip().Trusts(j.SecureBoot.Version) }

func upTo(n int) string {
	if n == 1 {
		return "one"
	}
	return fmt.Sprintf("up to %d", n)
}

// older puts the revision from which on chips have version 2 into a text; "" for
// a family whose chips all have it.
func (j *Job) older(text string) string {
	if chip := j.Chip(); chip != nil && chip.Seal.SecureBoot[1].On != "" {
		return fmt.Sprintf(text, chip.Seal.Until[chip.Seal.SecureBoot[1].On])
	}
	return ""
}

// readBootKeys reads the public keys that may sign: all of them, or none is used.
func (j *Job) readBootKeys(f *tomlfile.File) {
	s := &j.SecureBoot
	for _, name := range s.Keys {
		if err := s.read(j, name); err != nil {
			f.At("secure_boot.keys", "%v", err)
		}
	}
	if len(s.public) < len(s.Keys) {
		s.public = nil
	}
}

// key is one key that signs, and how errors name it: a URI may hold what nobody should
// read in a log.
func (s *SecureBoot) key(j *Job, name string) (key crypto.PublicKey, path string, err error) {
	switch {
	case !strings.HasPrefix(name, "pkcs11:"):
		path = j.beside(name)
		key, err = keyfile.ReadPublic(path)
	case s.token == nil:
		err = errors.New("is a PKCS#11 URI, and no token is asked here; write the file of the public half, as \"station key public\" writes it")
	default:
		path = "the key in the token"
		key, err = s.token(name)
	}
	return key, path, err
}

// read reads one of them.
func (s *SecureBoot) read(j *Job, name string) error {
	key, path, err := s.key(j, name)
	if err != nil {
		return err
	}
	same := func(k crypto.PublicKey) bool { return k.(interface{ Equal(crypto.PublicKey) bool }).Equal(key) }
	version, err := secureboot.VersionFor(j.Chip(), key)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	kind, _ := secureboot.KindOf(key) // has a version, so it has a kind
	switch {
	case int(version) != s.Version:
		return fmt.Errorf("%s: the key is for version %d of secure boot, the job says version %d", path, version, s.Version)
	case slices.ContainsFunc(s.public, same):
		return fmt.Errorf("%s: the same key twice; name each once", path)
	case s.kind != "" && s.kind != kind:
		return fmt.Errorf("%s: the key is %s, the one before %s: a bootloader is built for keys of one kind", path, kind, s.kind)
	}
	s.public, s.kind = append(s.public, key), kind
	if version == secureboot.V2 {
		digest, err := secureboot.KeyDigest(key)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("%s, digest %x", kind, digest)
		burned, err := secret.New(digest[:]) // no secret, but fuses take only such
		s.names, s.keys = append(s.names, name), append(s.keys, efuse.BootKey{Policy: name, Digest: burned})
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	s.names = append(s.names, fmt.Sprintf("P-256, sha256:%x", sha256.Sum256(der)))
	return err
}

// bootOptions is what the burn plan needs; nil without secure boot.
func (j *Job) bootOptions() *efuse.BootOptions {
	s := j.SecureBoot
	switch {
	case s.Version == 0 || s.public == nil:
		return nil
	case s.Version == 1:
		return &efuse.BootOptions{Version: 1, Keys: []efuse.BootKey{{Policy: s.Key().Origin()}}}
	}
	return &efuse.BootOptions{Version: 2, Kind: s.kind, Keys: s.keys}
}

// signed checks every image that the chip will check, against the very keys,
// and adds what version 1 needs beside the bootloader.
func (j *Job) signed(f *tomlfile.File) {
	s := j.SecureBoot
	if s.Version == 0 || s.public == nil || j.Regions == nil {
		return
	}
	for _, fault := range j.SignatureFaults() {
		f.At("secure_boot.keys", "%s", fault)
	}
	if s.Version == 2 {
		j.signedHeader(f)
		j.warnUnsure()
		return
	}
	if err := j.addDigest(); err != nil {
		f.At("secure_boot", "%v", err)
	}
}

// SignatureFaults are what is wrong with the images that the chip will check,
// each with the image's name; none without secure boot.
func (j *Job) SignatureFaults() (faults []string) {
	s := j.SecureBoot
	for _, r := range j.Regions {
		switch {
		case !j.Checked(r):
		case r.Address == j.Chip().Bootloader && s.Version == 1:
			if key := s.public[0].(*ecdsa.PublicKey); !builtIn(r.Data, key) {
				faults = append(faults, r.Name+": the public key of the job is not built into this bootloader, so it would refuse every app; build it with that key (CONFIG_SECURE_BOOT_VERIFICATION_KEY)")
			}
		default:
			for _, one := range j.signatureFaults(r.Data) {
				faults = append(faults, fmt.Sprintf("%s: %v; %s", r.Name, one, j.howSigned(r)))
			}
		}
	}
	return faults
}

// howSigned says where a signed file comes from. The table that a job makes of its
// own file has nobody who signs it.
func (j *Job) howSigned(r firmware.Region) string {
	named := slices.ContainsFunc(j.Images, func(i Image) bool { return i.Address != nil && *i.Address == r.Address })
	if j.PartitionTable == "" || j.FlasherArgs != "" || named || r.Slot != "" || r.Address == j.Chip().Bootloader {
		return "sign it with \"station image sign\""
	}
	return fmt.Sprintf("it is made of %s: sign the build's partition-table.bin with \"station image sign\", and name the signed file in an [[image]] with address = %#x", j.PartitionTable, r.Address)
}

// signatureFaults is what is wrong with the signature of an image: nothing where
// one of the job's keys made one that the chip looks at.
func (j *Job) signatureFaults(image []byte) (faults []error) {
	for _, key := range j.SecureBoot.public {
		_, err := secureboot.VerifyFor(j.Chip(), image, key)
		if err == nil {
			return nil
		}
		if faults == nil {
			faults = unjoin(err)
		}
	}
	if n := len(j.SecureBoot.public); n > 1 {
		faults = append(faults, fmt.Errorf("none of the job's %d keys does better", n))
	}
	return faults
}

// Checked reports that the chip checks what is in the region before it uses it.
func (j *Job) Checked(r firmware.Region) bool {
	return r.Address == j.Chip().Bootloader || r.Slot != "" ||
		j.SecureBoot.Version == 1 && r.Address == cmp.Or(j.TableOffset, firmware.DefaultTableOffset)
}

// builtIn reports that a bootloader holds the key: X and Y, 32 bytes each.
func builtIn(bootloader []byte, key *ecdsa.PublicKey) bool {
	point, err := key.Bytes()
	return err == nil && bytes.Contains(bootloader, point[1:])
}

// bootloader is the index of the bootloader among the regions of the job or of one
// of its devices, -1 for none.
func (j *Job) bootloader(regions []firmware.Region) int {
	return slices.IndexFunc(regions, func(r firmware.Region) bool { return r.Address == j.Chip().Bootloader })
}

// signedHeader refuses a bootloader whose header says another flash than the
// job's: it is signed, so the station cannot write the right size into it.
func (j *Job) signedHeader(f *tomlfile.File) {
	at := j.bootloader(j.Regions)
	if at < 0 {
		return
	}
	r := j.Regions[at]
	if i, err := firmware.ParseImage(r.Data); err == nil && i.FlashSize != uint32(j.Flash.Size) {
		f.Fault("flash.size", "is %v, and the header of %s says %v; it is signed and cannot be changed: build the bootloader for this flash", j.Flash.Size, r.Name, Size(i.FlashSize))
	}
}

// warnUnsure warns of a bootloader that says nothing of secure boot: built
// without it, it checks no app.
func (j *Job) warnUnsure() {
	i := j.bootloader(j.Regions)
	if i >= 0 && !strings.Contains(string(j.Regions[i].Data), "secure_boot") {
		j.Warnings = append(j.Warnings, "the bootloader does not speak of secure boot: if it was built without CONFIG_SECURE_BOOT, it is checked itself but starts any app")
	}
}

// addDigest adds the region of the bootloader's digest, and the padding that
// the digest covers.
func (j *Job) addDigest() error {
	i := j.bootloader(j.Regions)
	if i < 0 {
		return errors.New("there is no bootloader")
	}
	if first := j.Regions[0]; first.Address < j.Chip().Bootloader {
		return fmt.Errorf("%s is at %#x, where the digest of the bootloader goes, which is made for each device; leave it out", first.Name, first.Address)
	}
	boot := &j.Regions[i]
	n, err := secureboot.BootloaderSize(boot.Data)
	if err != nil {
		return err
	}
	if short := n - len(boot.Data); short > 0 {
		boot.Hold(append(bytes.Clone(boot.Data), filled(short)...))
	}
	digest := firmware.Region{Name: DigestName, Address: DigestAddress, Encrypted: boot.Encrypted, PerDevice: true}
	digest.Hold(filled(digestSize))
	j.Regions = slices.Insert(j.Regions, 0, digest)
	return nil
}
