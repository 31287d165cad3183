package job

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"station/internal/chip"
	"station/internal/firmware"
	"station/internal/keyfile"
)

// sdkconfig is what an ESP-IDF project was built with: CONFIG_ names without
// the prefix, and their values without quotes.
type sdkconfig map[string]string

// readConfig finds the sdkconfig of a build, in the project's folder above the
// build or beside it; nil where there is none.
func readConfig(build string) (sdkconfig, string, error) {
	for _, path := range []string{filepath.Join(build, "..", "sdkconfig"), filepath.Join(build, "sdkconfig")} {
		data, err := keyfile.Read(path, keyfile.Build)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return parseConfig(string(data)), path, err
	}
	return nil, "", nil
}

// Crystal is the chip's crystal in MHz as the build has it; 0 where it is not
// known.
func (j *Job) Crystal() int {
	if j.FlasherArgs == "" {
		return 0
	}
	config, _, _ := readConfig(filepath.Dir(j.beside(j.FlasherArgs))) // what is wrong with it was warned of
	mhz, _ := config.number("XTAL_FREQ", "ESP32_XTAL_FREQ")
	return int(mhz) // "auto" in old builds is 0 there
}

func parseConfig(text string) sdkconfig {
	c := sdkconfig{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if name, isConfig := strings.CutPrefix(name, "CONFIG_"); ok && isConfig {
			c[name] = strings.Trim(value, `"`)
		}
	}
	return c
}

func (c sdkconfig) on(names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return c[n] == "y" })
}

// number is the value of the first of the names that has one.
func (c sdkconfig) number(names ...string) (uint64, bool) {
	for _, name := range names {
		if n, err := strconv.ParseUint(c[name], 0, 32); err == nil {
			return n, true
		}
	}
	return 0, false
}

// keySizes are the bits of a key for flash encryption, by the names that choose them.
var keySizes = map[string]int{"SECURE_FLASH_ENCRYPTION_AES128_DERIVED": 128, "SECURE_FLASH_ENCRYPTION_AES128": 256, "SECURE_FLASH_ENCRYPTION_AES256": 512}

// keySize is the name that chooses the length of the key for flash encryption, ""
// where the build has no choice.
func (c sdkconfig) keySize() string {
	for name := range keySizes {
		if c.on(name) {
			return name
		}
	}
	return ""
}

// BuiltKeyBits is the length of the key for flash encryption that the build in the
// folder is for; 0 for the usual one.
func BuiltKeyBits(build string) int {
	config, _, _ := readConfig(build) // what is wrong with it is warned of where the job is checked
	if bits := keySizes[config.keySize()]; bits != chip.UsualKeyBits {
		return bits
	}
	return 0
}

// weakKey is a kind of keys that some chips take and this program does not sign with.
const weakKey = "ECDSA P-192"

// bootKey is the kind of keys whose signatures the bootloader checks; "" where that is
// not known.
func (c sdkconfig) bootKey() chip.SigningKey {
	switch {
	case c.on("SECURE_SIGNED_APPS_RSA_SCHEME"):
		return chip.RSA3072
	case c.on("SECURE_SIGNED_APPS_ECDSA_SCHEME"):
		return chip.P256
	case !c.on("SECURE_SIGNED_APPS_ECDSA_V2_SCHEME"):
		return ""
	case c.on("SECURE_BOOT_ECDSA_KEY_LEN_192_BITS"):
		return weakKey
	case c.on("SECURE_BOOT_ECDSA_KEY_LEN_384_BITS"):
		return chip.P384
	}
	return chip.P256
}

// contradicts is what the build was made for and the job does otherwise. The
// names are the option names of ESP-IDF 3.3 to 6.1.
func (c sdkconfig) contradicts(j *Job) (list []string) {
	say := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if target := c["IDF_TARGET"]; target != "" && target != j.ChipName() {
		say("it is for the %s, the job for the %s; build for the chip of the job", target, j.ChipName())
	}
	built, version := c.on("SECURE_BOOT", "SECURE_BOOT_ENABLED"), 1
	if c.on("SECURE_BOOT_V2_ENABLED") {
		version = 2
	}
	switch {
	case built && j.SecureBoot.Version == 0:
		say("secure boot is on, and the job has none: the firmware switches it on by itself at its first start; switch CONFIG_SECURE_BOOT off")
	case built && j.SecureBoot.Version != version:
		say("secure boot is version %d, the job's is version %d; build for that of the job", version, j.SecureBoot.Version)
	case !built && len(c) > 0 && j.SecureBoot.Version != 0:
		say("secure boot is off: the bootloader does not look at the application's signature; switch CONFIG_SECURE_BOOT on")
	}
	if c.on("SECURE_FLASH_ENC_ENABLED", "FLASH_ENCRYPTION_ENABLED") && !j.Encrypts() {
		say("flash encryption is on, and the job leaves it off: the firmware switches it on by itself, with a key that nobody has; switch CONFIG_SECURE_FLASH_ENC_ENABLED off")
	}
	if c.on("SECURE_FLASH_ENCRYPTION_MODE_DEVELOPMENT") && j.Security.Mode == "release" {
		say("flash encryption is in development mode, the job seals for release; set CONFIG_SECURE_FLASH_ENCRYPTION_MODE_RELEASE")
	}
	if c.on("SECURE_FLASH_ENCRYPTION_MODE_RELEASE") && j.Security.Mode == "development" {
		say("flash encryption is in release mode: the firmware burns the fuses that a development job leaves open")
	}
	if has, name := cmp.Or(j.Key.Bits, chip.UsualKeyBits), c.keySize(); name != "" && j.Encrypts() && has != keySizes[name] {
		say("the key for flash encryption has %d bits (CONFIG_%s), the job's %d; write bits = %d under [key]", keySizes[name], name, has, keySizes[name])
	}
	if built, has := c.bootKey(), j.SecureBoot.kind; built == weakKey {
		say("the bootloader checks signatures of %s keys, which are too weak and not signed with here; set CONFIG_SECURE_BOOT_ECDSA_KEY_LEN_256_BITS: every chip that takes them takes P-256", weakKey)
	} else if built != "" && has != "" && built != has {
		say("the bootloader checks signatures of %s keys, the job's keys are %s: it would refuse every app; build for the keys of the job", built, has)
	}
	c.contradictsHMAC(j, say)
	c.contradictsOTA(j, say)
	if c.on("ESP_CONSOLE_NONE", "ESP_CONSOLE_UART_NONE", "CONSOLE_UART_NONE") {
		say("the console is off (CONFIG_ESP_CONSOLE_NONE): the marker is never seen; switch it on")
	}
	if baud, ok := c.number("ESP_CONSOLE_UART_BAUDRATE", "CONSOLE_UART_BAUDRATE"); ok && baud != uint64(j.Boot.Rate()) {
		say("the console is at %d baud, the job listens at %d; write baud = %d under [boot]", baud, j.Boot.Rate(), baud)
	}
	if at, ok := c.number("PARTITION_TABLE_OFFSET"); ok && at != uint64(j.tableOffset()) {
		say("the partition table is at %#x, the job has it at %#x; write partition_table_offset = %#x", at, j.tableOffset(), at)
	}
	if size, err := firmware.ParseFlashSize(c["ESPTOOLPY_FLASHSIZE"]); err == nil && size != uint32(j.Flash.Size) {
		say("the flash has %v, the job says %v; see which one the module has", Size(size), j.Flash.Size)
	}
	return list
}

// Names of keys for HMACs in the fuses: of ESP-IDF's NVS, of its component
// esp_encrypted_img, and of ours for updates.
const (
	hmacScheme = "NVS_SEC_KEY_PROTECT_USING_HMAC"
	hmacBlock  = "NVS_SEC_HMAC_EFUSE_KEY_ID"
	otaScheme  = "PRE_ENCRYPTED_OTA_USE_ECIES"
	otaOurs    = "SECURE_OTA_HMAC_KEY"
	otaBlock   = "SECURE_OTA_HMAC_KEY_ID"
)

// updatesByKey reports a build whose updates are encrypted for a key in the fuses.
func (c sdkconfig) updatesByKey() bool { return c.on(otaScheme, otaOurs) }

// contradictsOTA says what the build was made for of updates that a key in the fuses opens.
func (c sdkconfig) contradictsOTA(j *Job, say func(format string, args ...any)) {
	id, known := c.number(otaBlock)
	switch {
	case !c.updatesByKey():
	case j.OTA == nil:
		say("the firmware opens updates with a key in the fuses (CONFIG_%s or CONFIG_%s), and the job has none: it can take no update; write [ota]", otaScheme, otaOurs)
	case known && id != uint64(*j.OTA.KeyID):
		say("the firmware looks for the key of its updates in block %d (CONFIG_%s), the job burns it into block %d; write key_id = %d under [ota]", id, otaBlock, *j.OTA.KeyID, id)
	}
}

// contradictsHMAC says what the build was made for of NVS that the chip makes keys for.
func (c sdkconfig) contradictsHMAC(j *Job, say func(format string, args ...any)) {
	asks := j.Identity != nil && j.Identity.HMAC
	if !c.on(hmacScheme) {
		if asks && len(c) > 0 {
			say("NVS is not encrypted with keys that the chip makes: the firmware cannot read what identity.hmac writes; set CONFIG_NVS_SEC_KEY_PROTECT_USING_HMAC")
		}
		return
	}
	id, known := c.number(hmacBlock)
	switch {
	case j.HMAC == nil:
		say("the firmware makes the keys of its NVS of a key for HMACs (CONFIG_NVS_SEC_KEY_PROTECT_USING_HMAC), and the job has none: it burns one of its own at its first start, which nobody has; write [hmac]")
	case known && id != uint64(*j.HMAC.KeyID):
		say("the firmware looks for its key for HMACs in block %d (CONFIG_NVS_SEC_HMAC_EFUSE_KEY_ID), the job burns it into block %d; write key_id = %d under [hmac]", id, *j.HMAC.KeyID, id)
	}
}

func (j *Job) tableOffset() uint32 {
	if j.TableOffset == 0 {
		return firmware.DefaultTableOffset
	}
	return j.TableOffset
}

// consoleBaud is the rate of a console that the job says nothing of.
const consoleBaud = 115200

// Rate is the rate of the firmware's console in baud.
func (b Boot) Rate() int {
	if b.Baud == 0 {
		return consoleBaud
	}
	return b.Baud
}

// usualBauds are rates that adapters and firmwares are set to.
var usualBauds = []int{0, 9600, 19200, 38400, 57600, 74880, 115200, 230400, 250000, 256000, 460800, 500000, 576000, 921600,
	1000000, 1152000, 1500000, 2000000, 2500000, 3000000, 3500000, 4000000}

// doubts warns of what is allowed and seldom meant.
func (j *Job) doubts() {
	warn := func(format string, args ...any) { j.Warnings = append(j.Warnings, fmt.Sprintf(format, args...)) }
	if j.FlasherArgs != "" {
		config, path, err := readConfig(filepath.Dir(j.beside(j.FlasherArgs)))
		if err != nil {
			warn("%s: %v; what the build was made with is not known", path, err)
		}
		for _, text := range config.contradicts(j) {
			warn("%s: %s", path, text)
		}
		if size := buildSize(j.beside(j.FlasherArgs)); config["ESPTOOLPY_FLASHSIZE"] == "" && size != 0 && size != uint32(j.Flash.Size) {
			warn("flash.size: the job says %v, the build is for %v; see which one the module has", j.Flash.Size, Size(size))
		}
	}
	if !slices.Contains(usualBauds, j.Flash.Baud) {
		warn("flash.baud: %d is no usual rate; 921600 is one", j.Flash.Baud)
	}
	if !slices.Contains(usualBauds, j.Boot.Baud) {
		warn("boot.baud: %d is no usual rate; 115200 is one", j.Boot.Baud)
	}
	for _, r := range j.Regions {
		if strings.Contains(r.Version, "-dirty") {
			warn("%s: version %s was built from files that no commit holds; commit them and build again", r.Name, r.Version)
		}
	}
	if before, _, found := strings.Cut(j.Identity.Line(idHere), idHere); found && !j.prints(strings.TrimSpace(before)) {
		warn("identity.prints: no image of the job holds the text %q; look whether it is written as the firmware prints it", strings.TrimSpace(before))
	}
	if m := strings.TrimSpace(j.Boot.Marker); len(m) < leastMarker {
		warn("boot.marker: %q has fewer than %d bytes, and other lines of the console may hold it; write the whole line that the firmware prints when it is ready", m, leastMarker)
	}
	if !j.prints(j.Boot.Marker) {
		warn("boot.marker: no image of the job holds the text %q; look whether it is written as the firmware prints it", j.Boot.Marker)
	}
}

// buildSize is the flash that a build is for, by its flasher_args.json; 0 where
// that does not say.
func buildSize(path string) uint32 {
	data, err := keyfile.Read(path, keyfile.Build)
	if err != nil {
		return 0 // told by whoever reads the images
	}
	args, err := firmware.ParseFlasherArgs(path, data)
	if err != nil {
		return 0
	}
	size, err := firmware.ParseFlashSize(args.Size)
	if err != nil {
		return 0
	}
	return size
}

// prints reports that an image holds the marker, or its parts where a log's tag
// comes before it.
func (j *Job) prints(marker string) bool {
	for _, r := range j.Regions {
		data, all := string(r.Data), true
		for part := range strings.SplitSeq(marker, ": ") {
			all = all && strings.Contains(data, part)
		}
		if all && r.Project != "" || strings.Contains(data, marker) {
			return true
		}
	}
	return false
}
