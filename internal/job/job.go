package job

import (
	"cmp"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"station/internal/chip"
	"station/internal/efuse"
	"station/internal/firmware"
	"station/internal/keyfile"
	"station/internal/tomlfile"
)

// Job is a product: what goes into its flash, its key and its fuses. Read it
// with Load, which checks everything before a device is touched.
type Job struct {
	Name           string     `toml:"name"`
	Revision       string     `toml:"revision"`
	Target         Target     `toml:"chip"`
	FlasherArgs    string     `toml:"flasher_args"`
	PartitionTable string     `toml:"partition_table"`
	TableOffset    uint32     `toml:"partition_table_offset"` // 0 is 0x8000
	Flash          Flash      `toml:"flash"`
	Images         []Image    `toml:"image"`
	Key            Key        `toml:"key"`
	Security       Fuses      `toml:"security"`
	SecureBoot     SecureBoot `toml:"secure_boot"`
	HMAC           *HMAC      `toml:"hmac"`     // absent: devices get no key for HMACs
	OTA            *OTA       `toml:"ota"`      // absent: devices get no key for updates
	Identity       *Identity  `toml:"identity"` // absent: devices get none
	Boot           Boot       `toml:"boot"`
	Device         DeviceFile `toml:"device"`
	Serial         *Serial    `toml:"serial"` // absent: devices have none
	Line           Line       `toml:"line"`
	Quota          Quota      `toml:"quota"`

	Path     string            `toml:"-"`
	Regions  []firmware.Region `toml:"-"` // what is written, by address
	Erased   []firmware.Span   `toml:"-"` // what is emptied before
	Warnings []string          `toml:"-"` // for the person who approves

	Plan efuse.Plan `toml:"-"` // what is burned

	cryptConfig uint8
	chipLine    int
	described   []Setting
	digest      string
	planDigest  string
}

// Target is the chip that the job is for: a name, or a table with more.
type Target struct {
	Name string `toml:"name"`
	// AllowTabled lets a real device be touched that is of a family which was held
	// against known answers alone.
	AllowTabled bool `toml:"allow_tabled"`
}

// UnmarshalText reads the short form.
func (t *Target) UnmarshalText(b []byte) error {
	t.Name = string(b)
	return nil
}

// told is how a description names it: with the short form alone where that says all.
func (t Target) settings(path string) []Setting {
	list := []Setting{{path, fmt.Sprintf("%q", t.Name)}}
	if t.AllowTabled {
		list = append(list, Setting{path + ".allow_tabled", "true"})
	}
	return list
}

// TabledFault says why the job's real devices are not touched; nil where they are.
// The job file that it names says nothing of it.
func (j *Job) TabledFault() error {
	f := j.Chip()
	if f.Proved || j.Target.AllowTabled {
		return nil
	}
	return fmt.Errorf("%s:%d: chip: the %s is tabled: nothing of it was held against its own ROM, and a fuse that is burned wrong stays wrong. To burn real devices all the same, write [chip] with name = %q and allow_tabled = true",
		j.Path, j.chipLine, f.Title, f.Name)
}

// Flash is the flash chip and the wire to it.
type Flash struct {
	Size Size      `toml:"size"`
	Mode FlashMode `toml:"mode"` // dio, dout, qio, qout or keep
	Freq FlashFreq `toml:"freq"` // one that the chip has, or keep
	Baud int       `toml:"baud"` // 0 stays at 115200
	// Erase is what is emptied besides the images: images (nothing), nvs
	// (default), data, chip.
	Erase FlashErase `toml:"erase"`
	// Loader is what writes the images: rom (default), the chip's own; ram, ours, which
	// takes them compressed and encrypts on the chip.
	Loader FlashLoader `toml:"loader"`
}

// Image is one file and where it goes: an address or a partition's name.
type Image struct {
	File      string  `toml:"file"`
	Name      string  `toml:"name"`
	Address   *uint32 `toml:"address"`
	Partition string  `toml:"partition"`
	Encrypt   *bool   `toml:"encrypt"` // absent: the partition table decides
}

// Key says whose key a device gets.
type Key struct {
	Policy string `toml:"policy"` // derived (default), random, shared
	Label  string `toml:"label"`  // of the token object
	Bits   int    `toml:"bits"`   // of the key: 512 for XTS-AES-256; 0 is the usual length
	PRF    string `toml:"prf"`    // of policy derived: hmac-sha256 (default) or aes-cmac
	Escrow string `toml:"escrow"` // file of an offline RSA public key; absent: no escrow

	escrowKey *rsa.PublicKey
}

// WantedKey is a key that each of the job's devices gets.
type WantedKey struct {
	Purpose chip.Purpose
	Key
}

// Keys are the keys of the job's devices, one for each purpose.
func (j *Job) Keys() []WantedKey {
	var keys []WantedKey
	if j.Encrypts() {
		keys = append(keys, WantedKey{chip.FlashEncryption, j.Key})
	}
	if j.SecureBoot.Version == 1 {
		boot := j.SecureBoot.Key()
		boot.escrowKey = cmp.Or(boot.escrowKey, j.Key.escrowKey)
		keys = append(keys, WantedKey{chip.SecureBootV1, boot})
	}
	if j.HMAC != nil {
		hmac := j.HMAC.Key()
		hmac.escrowKey = cmp.Or(hmac.escrowKey, j.Key.escrowKey)
		keys = append(keys, WantedKey{chip.HMAC, hmac})
	}
	if j.OTA != nil {
		ota := j.OTA.Key()
		ota.escrowKey = j.Key.escrowKey
		keys = append(keys, WantedKey{chip.HMACUpdates, ota})
	}
	return keys
}

// FlashKeyParts are the purposes of the parts of the devices' key for flash encryption.
func (j *Job) FlashKeyParts() []chip.Purpose { return j.Chip().FlashKeyParts(j.Key.Bits) }

// Cipher is the cipher of the devices' flash.
func (j *Job) Cipher() chip.Cipher { return j.Chip().CipherOf(j.Key.Bits) }

// ChipName is the family's name, as the job names it.
func (j *Job) ChipName() string { return j.Target.Name }

// Encrypts reports whether the devices' flash is encrypted; otherwise they have
// secure boot alone.
func (j *Job) Encrypts() bool { return j.Security.Encryption == nil || *j.Security.Encryption }

// Chip is the family that the job is for.
func (j *Job) Chip() *chip.Family { return chip.ByName(j.ChipName()) }

// Origin names what a device's key comes from, as the burn plan says it.
func (k Key) Origin() string {
	if k.PRF == "aes-cmac" {
		return k.Policy + " (aes-cmac) " + k.Label
	}
	return k.Policy + " " + k.Label
}

// Quota is how many devices the job may make where no batch is named; 0 is
// no limit.
type Quota struct {
	Devices int `toml:"devices"`
}

// Fuses is what is burned besides the key.
type Fuses struct {
	Mode        string            `toml:"mode"`             // release (default) or development
	Encryption  *bool             `toml:"flash_encryption"` // absent: true
	CryptConfig *uint8            `toml:"flash_crypt_config"`
	AllowWeak   bool              `toml:"allow_weak_flash_crypt_config"`
	Fuses       map[string]uint32 `toml:"fuses"` // by name, where the job differs from its mode
}

// Boot is how a good start is known.
type Boot struct {
	Marker  string   `toml:"marker"`
	Timeout Duration `toml:"timeout"`
	Baud    int      `toml:"baud"` // of the firmware's console; 0 is 115200
}

// DeviceFile is how the fixture resets a device: in the job or the station file.
type DeviceFile struct {
	Reset Reset `toml:"reset"`
}

// Line is how the line deals with its operator.
type Line struct {
	Acknowledge bool `toml:"acknowledge"` // a person confirms each failure
	Retests     int  `toml:"retests"`     // failed visits before a device is set aside; 0 is no limit
	Target      int  `toml:"target"`      // devices of the shift, for the screen
}

// TokenKey reads the public half of a key in a token, by its PKCS#11 URI.
type TokenKey func(uri string) (crypto.PublicKey, error)

// Load reads a job file and everything it names, and checks all of it. The
// error lists every fault at once. Keys that the job names by URI are asked of
// the first token; without one they are faults.
func Load(path string, tokens ...TokenKey) (*Job, error) {
	data, err := keyfile.Read(path, keyfile.TOML)
	if err != nil {
		return nil, fmt.Errorf("job: %w", err)
	}
	return Parse(path, data, tokens...)
}

// Parse is Load for the contents of a job file; the files that it names
// are looked for beside path.
func Parse(path string, data []byte, tokens ...TokenKey) (*Job, error) {
	j := &Job{Path: path}
	if len(tokens) > 0 {
		j.SecureBoot.token = tokens[0]
	}
	f := tomlfile.Decode(path, data, j)
	if !f.Broken() {
		j.defaults()
		j.check(f)
		j.secureBoot(f)
		j.hmac(f)
		j.ota(f)
		j.plan(f)
		j.escrow(f)
		j.identity(f)
		j.layout(f)
		j.signed(f)
	}
	if err := f.Err(); err != nil {
		return nil, err
	}
	j.described = j.describe()
	j.doubts()
	j.digest, j.planDigest = j.hash(), digestOf("station job description v2", j.described)
	return j, nil
}

func (j *Job) defaults() {
	set := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	set(&j.Target.Name, chip.Known(nil).Name)
	set((*string)(&j.Flash.Mode), "keep")
	set((*string)(&j.Flash.Freq), "keep")
	set((*string)(&j.Flash.Erase), string(firmware.EraseNVS))
	if j.Encrypts() {
		set(&j.Key.Policy, "derived")
	}
	if j.Key.Bits == chip.UsualKeyBits {
		j.Key.Bits = 0
	}
	set(&j.Security.Mode, "release")
	if j.Boot.Timeout == 0 {
		j.Boot.Timeout = Duration(10 * time.Second)
	}
}

func (j *Job) check(f *tomlfile.File) {
	missing := func(path, value, fix string) {
		if value == "" {
			f.Fault(path, "is missing; %s", fix)
		}
	}
	j.texts(f)
	oneOf := func(path, value string, known ...string) {
		if _, err := Word([]byte(value), known...); err != nil {
			f.Fault(path, "%v", err)
		}
	}
	oneOf("chip", j.ChipName(), chip.Names()...)
	if f.Bad("chip") {
		j.Target.Name = chip.Names()[0] // for the checks that follow
	}
	if oneOf("flash.freq", string(j.Flash.Freq), append(chip.SpeedNames(j.Chip()), "keep")...); f.Bad("flash.freq") {
		j.Flash.Freq = "keep"
	}
	if j.chipLine = f.Line("chip"); j.Chip().Proved && j.Target.AllowTabled {
		f.Fault("chip.allow_tabled", "the %s is proved; leave it out", j.Chip().Title)
	}
	if !j.Chip().Proved {
		j.Warnings = append(j.Warnings, "the "+j.Chip().Title+" is tabled: nothing of it was held against its own ROM (docs/chips.md)")
	}
	if j.Encrypts() {
		j.madeBy(f, "key", j.Key)
		if lengths := j.Chip().Seal.FlashKeys; lengths[cmp.Or(j.Key.Bits, chip.UsualKeyBits)] == nil {
			f.Fault("key.bits", "%d: the %s takes keys of %v bits for flash encryption", j.Key.Bits, j.Chip().Title, slices.Sorted(maps.Keys(lengths)))
			j.Key.Bits = 0 // for the checks that follow
		}
	} else {
		j.plain(f)
	}
	oneOf("security.mode", j.Security.Mode, "release", "development")
	if f.Bad("security.mode") {
		j.Security.Mode = "release" // for the checks that follow
	}
	if j.Flash.Size == 0 {
		f.Fault("flash.size", `is missing; write size = "4MB"`)
	}
	if b := j.Flash.Baud; b != 0 && (b < 9600 || b > 4_000_000) {
		f.Fault("flash.baud", "%d is out of range; write a rate from 9600 to 4000000", b)
	}
	if b := j.Boot.Baud; b != 0 && (b < 300 || b > 4_000_000) {
		f.Fault("boot.baud", "%d is out of range; write the rate of the firmware's console, from 300 to 4000000", b)
	}
	if j.FlasherArgs == "" && len(j.Images) == 0 {
		f.Fault("flasher_args", `no images; name an ESP-IDF build's flasher_args.json or write [[image]] tables`)
	}
	if j.Serial != nil {
		if _, err := j.Serial.Regexp(); err != nil {
			f.Fault("serial.pattern", "%v; write a regular expression such as SN[0-9]{8}", err)
		}
	}
	if j.Quota.Devices < 0 {
		f.Fault("quota.devices", "%d: write how many devices the job may make, or leave it out", j.Quota.Devices)
	}
	if j.Line.Retests < 0 || j.Line.Target < 0 {
		f.Fault("line", "retests and target count from 0")
	}
	for i, image := range j.Images {
		at := fmt.Sprintf("image.%d", i)
		missing(at+".file", image.File, "write the image's file")
		placed := !f.Bad(at+".partition") && !f.Bad(at+".address")
		if placed && (image.Address == nil) == (image.Partition == "") {
			f.Fault(at, "write either address or partition")
		}
	}
}

// Serial demands a serial number for each device.
type Serial struct {
	Pattern string `toml:"pattern"` // regular expression that all of it must match
}

// Regexp is the pattern, compiled so that it has to match the whole serial number.
func (s Serial) Regexp() (*regexp.Regexp, error) {
	if s.Pattern == "" {
		return nil, errors.New("is missing")
	}
	if len(s.Pattern) > maxPattern {
		return nil, fmt.Errorf("has %d bytes; at most %d are read", len(s.Pattern), maxPattern)
	}
	return regexp.Compile("^(?:" + s.Pattern + ")$")
}

// Title is the name and the revision, for people.
func (j *Job) Title() string { return strings.TrimSpace(j.Name + " " + j.Revision) }

// maxPattern is more than any pattern of serial numbers needs, in bytes.
const maxPattern = 1024
