package bootlog

import "strings"

// The reset reasons of both mask ROMs and of ESP-IDF's rom/rtc.h.
var resetNames = map[byte]string{
	0x01: "POWERON_RESET", 0x02: "EXT_SYS_RESET", 0x03: "SW_RESET", 0x04: "OWDT_RESET",
	0x05: "DEEPSLEEP_RESET", 0x06: "SDIO_RESET", 0x07: "TG0WDT_SYS_RESET", 0x08: "TG1WDT_SYS_RESET",
	0x09: "RTCWDT_SYS_RESET", 0x0a: "INTRUSION_RESET", 0x0b: "TGWDT_CPU_RESET", 0x0c: "SW_CPU_RESET",
	0x0d: "RTCWDT_CPU_RESET", 0x0e: "EXT_CPU_RESET", 0x0f: "RTCWDT_BROWN_OUT_RESET", 0x10: "RTCWDT_RTC_RESET",
}

const brownoutReset = 0x0f

// where is who prints a text.
type where int

const (
	anywhere where = iota
	rom            // outside of any log, before the bootloader is entered
	boot           // logged by the bootloader, under one of its tags
	app            // by the application or the system below it
)

// pattern is one row of the table: any of match, each of whose words (lower
// case, parted by |) must be in the line.
type pattern struct {
	code                   string
	fatal                  bool
	where                  where
	match                  []string
	meaning, cause, action string
}

// find returns the first row that the line matches, of those that count in
// the phase.
func find(line, tag string, in phase) (Finding, bool) {
	low := strings.ToLower(line)
	for i := range patterns {
		if !patterns[i].counts(in, tag) {
			continue
		}
		for _, m := range patterns[i].match {
			if holds(low, m) {
				return patterns[i].finding(line), true
			}
		}
	}
	return Finding{}, false
}

func (p *pattern) counts(in phase, tag string) bool {
	switch p.where {
	case rom:
		return in <= inROM && tag == ""
	case boot:
		return (in == unknown || in == inBoot) && isBootTag(tag)
	case app:
		return in != inROM
	}
	return true
}

func holds(line, words string) bool {
	for w := range strings.SplitSeq(words, "|") {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}

// finding makes the finding of a row that no line of its own matches.
func finding(code, line string) Finding {
	for i := range patterns {
		if patterns[i].code == code {
			return patterns[i].finding(line)
		}
	}
	return Finding{Code: code, Line: trim(line)}
}

func (p *pattern) finding(line string) Finding {
	return Finding{Code: p.code, Line: trim(line), Meaning: p.meaning, Cause: p.cause, Action: p.action, Fatal: p.fatal, before: p.where == rom || p.where == boot}
}

// Rows with the narrower match stand first: the first that matches wins. The
// texts are the messages of the mask ROMs of 2016 and 2019 and of ESP-IDF 3 to 6.
var patterns = []pattern{
	{"no-bootloader-header", true, rom, []string{"invalid header: 0xffffffff"},
		"The ROM finds no bootloader at 0x1000.",
		"The flash reads as erased there: nothing was written, or the flash is not connected.",
		"Flash the device again. If it comes back, check the flash and its supply."},
	{"no-bootloader-header", true, rom, []string{"invalid header: 0x", "flash read err", "ets_main.c"},
		"The ROM finds no bootloader at 0x1000.",
		"The flash is not encrypted as the fuses want it, was encrypted with another key or for another address, or is erased.",
		"Read FLASH_CRYPT_CNT, encrypt the bootloader for 0x1000 with this device's key and flash again; check the flash supply and GPIO12."},
	{"bootloader-checksum", true, rom, []string{"csum err:"},
		"The bootloader's checksum is wrong.",
		"The flash was written in part or damaged, or its mode does not suit the part.",
		"Flash the bootloader again, mode DIO."},
	{"bootloader-truncated", true, rom, []string{"load:0xffffffff", "load:0x|len:-"},
		"The bootloader ends too early.",
		"Only a part of it was written.",
		"Flash the bootloader again."},
	{"wrong-chip", true, rom, []string{"wrong chip id 0x"},
		"The bootloader is for another kind of chip.",
		"The wrong firmware was chosen.",
		"Use the build for the ESP32."},
	{"wrong-chip", true, boot, []string{"mismatch chip id"},
		"The image is for another kind of chip.",
		"The wrong firmware was chosen.",
		"Use the build for the ESP32."},
	{"chip-revision", true, boot, []string{"chip revision check failed", "image requires chip rev", "image requires efuse blk rev", "chip is revision|configured for minimum revision"},
		"The image needs another chip revision.",
		"The firmware was built for a newer chip.",
		"Use the build for this revision."},
	{"wrong-build", true, boot, []string{"cannot be enabled separately"},
		"The bootloader is for a chip with one key block.",
		"The wrong firmware was chosen.",
		"Use the build for the ESP32."},

	{"app-signature", true, boot, []string{"secure_boot_v2:|verification failed", "no signature block generated", "signing scheme selected but", "secure boot signature verification failed", "image valid, signature bad"},
		"The application's signature is not accepted.",
		"It is unsigned or signed with another key, or the digest in the fuses is another one.",
		"Sign the application with the key whose digest is burned."},
	{"app-corrupt", true, boot, []string{"image corrupted on flash", "esp_image:|checksum failed", "image hash failed"},
		"The application is damaged.",
		"A bad write, worn flash, or a header that was changed without a new SHA-256.",
		"Flash it again and verify; if it comes back, the flash is bad."},
	{"app-unsigned", true, boot, []string{"secure_boot_v1:|invalid signature version"},
		"The application has no signature.",
		"An unsigned build was chosen.",
		"Sign the application with the secure boot V1 key."},
	{"secure-boot-accepted", false, rom, []string{"secure boot verification succeeded"},
		"The ROM accepted the bootloader's signature.", "", ""},
	{"secure-boot-v2-on", false, boot, []string{"secure boot v2 is already enabled"},
		"Secure boot V2 is on.", "", ""},
	{"secure-boot-v1-on", false, boot, []string{"bootloader secure boot is already enabled"},
		"Secure boot V1 is on.", "", ""},
	{"secure-boot-v1", true, rom, []string{"secure boot check fail"},
		"The bootloader does not match the digest of secure boot V1.",
		"The bootloader was changed, or the key in BLOCK2 is in the wrong byte order.",
		"Write the bootloader that belongs to the digest at 0x0."},
	{"secure-boot-v2", true, rom, []string{"secure boot verification failed", "signature verification failed", "no signature block magic",
		"sig block|invalid", "sig block|untrusted key", "too many blocks: 0x", "invalid magic 0x"},
		"The ROM rejects the bootloader's signature.",
		"It is unsigned or signed with another key, or the digest in BLOCK2 is in the wrong byte order.",
		"Sign the bootloader again and compare the digest with BLOCK2."},

	{"table-unreadable", true, boot, []string{"flash_parts:|invalid magic number", "failed to verify partition table", "load partition table error"},
		"The partition table cannot be read.",
		"It is plain on an encrypting chip, encrypted for another address, not padded before it was encrypted, or missing.",
		"Encrypt the table for its address, padded with FF to 0xC00, and flash it again."},
	{"table-damaged", true, boot, []string{"flash_parts:|incorrect md5", "no terminating entry", "exceeds flash chip size"},
		"The partition table is damaged, or asks for more flash than the chip has.",
		"A bad write, or a smaller flash part than the job expects.",
		"Check the flash size and write the table again."},
	{"app-missing", true, boot, []string{"esp_image:|invalid magic byte", "app partition|is not bootable", "slot|is not bootable"},
		"There is no application where the partition table says.",
		"It is missing, plain on an encrypting chip, or encrypted for another address or with another key.",
		"Encrypt the application for exactly that address and flash it again."},
	{"app-length", true, boot, []string{"esp_image:|fit in partition", "invalid segment length"},
		"The application does not fit its partition.",
		"The partition table is another one, or the application was decrypted with the wrong key or address.",
		"Compare partition table, address and key."},
	{"no-bootable-app", true, boot, []string{"no bootable app partitions"},
		"The bootloader finds no application to start.",
		"Each one it tried was rejected: the lines before say why.",
		"See the first error of this boot."},
	{"otadata-invalid", false, boot, []string{"ota data partition invalid"},
		"The OTA data cannot be read; the factory application starts.",
		"The OTA data were left erased or plain on an encrypting chip.",
		"Write encrypted FF, or a valid entry, to both of its sectors."},
	{"flash-smaller", true, app, []string{"spi_flash:|detected size(|smaller than"},
		"The flash is smaller than the image header says.",
		"Another flash part was fitted, or the header's size is wrong.",
		"Check the part; set the flash size of the job."},

	{"self-encrypted", true, boot, []string{"resetting with flash encryption enabled"},
		"The chip has encrypted its flash with a key of its own.",
		"The bootloader was started before the key was burned.",
		"Take the device off the line: nobody has its key."},
	{"self-encrypting", true, boot, []string{"setting crypt_cnt for permanent", "generating new flash encryption key", "flash_encrypt:|encrypting partition", "encrypting partition"},
		"The chip is encrypting its flash with a key of its own.",
		"The bootloader was started before the key was burned.",
		"Do not cut the power. Take the device off the line afterwards: nobody has its key."},
	{"encryption-not-enabled", true, boot, []string{"secure_flash_require_already_enabled"},
		"The bootloader wants flash encryption to be on, and it is not.",
		"FLASH_CRYPT_CNT is not burned.",
		"Burn it, then start again."},
	{"key-state", true, boot, []string{"invalid key state"},
		"The bootloader does not accept the key block.",
		"The key is burned but not both read- and write-protected.",
		"Finish the key block's protections."},
	{"encryption-on", false, boot, []string{"flash encryption is enabled"},
		"Flash encryption is on.", "", ""},
	{"encryption-development", false, app, []string{"flash encryption mode is development"},
		"The application says that flash encryption is in development mode.",
		"The fuses that end re-flashing and decryption are not all burned.",
		"Right for a development job; otherwise compare fuses and job."},
	{"encryption-release", false, app, []string{"flash encryption mode is release"},
		"The application says that flash encryption is in release mode.", "", ""},

	{"download-disabled", true, rom, []string{"download mode is disabled"},
		"The serial loader is closed for ever.",
		"UART_DOWNLOAD_DIS is burned, and the strap pin of download mode (BOOT) was low at reset.",
		"Release BOOT to start the firmware."},
	{"download-mode", true, rom, []string{"waiting for download"},
		"The chip waits in its serial loader.",
		"The strap pin of download mode (BOOT) was low at reset.",
		"Release BOOT and reset the device."},
	{"basic-interpreter", true, rom, []string{"falling back to built-in command interpreter"},
		"The ROM started its BASIC interpreter.",
		"Nothing in the flash can be started, or the straps select it.",
		"Flash the device; burn CONSOLE_DEBUG_DISABLE."},

	{"brownout", true, anywhere, []string{"brownout detector was triggered"},
		"The supply voltage dipped.",
		"USB port, cable or regulator cannot deliver the current.",
		"Mend the supply before any fuse is burned."},
	{"psram-missing", true, app, []string{"psram id read error", "psram chip is not connected", "psram chip not found", "failed to init external ram!", "failed to init external ram, needed"},
		"The application does not find its external memory (PSRAM).",
		"The module has none or another kind, or its contacts are bad.",
		"Compare the module with the one that the firmware is built for."},
	{"single-core", true, app, []string{"running on single core variant"},
		"The application is built for two cores, and this chip has one.",
		"A single-core module was fitted.",
		"Use the module that the firmware is built for, or build it with CONFIG_FREERTOS_UNICORE."},
	{"heap-corrupt", false, app, []string{"corrupt heap:"},
		"The application has written over its memory (corrupt heap).",
		"The firmware, or memory that does not hold what is written.",
		"Give the device and this log to an engineer."},
	{"stack-overflow", false, app, []string{"a stack overflow in task", "stack canary watchpoint triggered", "stack protection fault"},
		"A task of the application has overrun its stack.",
		"The firmware: the task's stack is too small.",
		"Give the device and this log to an engineer."},
	{"app-assert", false, app, []string{"assert failed:", "assertion \"|failed: file"},
		"The application found a state that must not be, and stopped (assert).",
		"The firmware, or a part of the board that does not answer.",
		"Give the device and this log to an engineer."},
	{"app-watchdog", false, app, []string{"task watchdog got triggered", "interrupt wdt timeout"},
		"The application hangs.",
		"The firmware, or a part of the board that does not answer.",
		"Try once more, then give the device and this log to an engineer."},
	{"app-crash", false, app, []string{"guru meditation error", "abort() was called", "esp_error_check failed", "panic'ed"},
		"The application crashed.",
		"The firmware, or a part of the board that does not answer.",
		"Give the device and this log to an engineer."},

	{"silent-reset-loop", true, anywhere, nil,
		"The chip resets again and again and prints nothing else.",
		"GPIO15 is low and silences the ROM, the supply is weak, or the flash pins are shorted.",
		"Check the straps and the supply."},
	{"reset-loop", true, anywhere, nil,
		"The chip resets again and again without starting the application.",
		"The supply, the straps, or a fault that is not printed.",
		"Check the supply; give the device and this log to an engineer."},
}
