package bootlog

import (
	"regexp"
	"slices"
	"strings"
)

// phase is a part of a start. A text of the ROM or the bootloader means
// something only while they run: an application may print the same words.
type phase int

const (
	unknown phase = iota // the console was not read from the reset on
	inROM                // from the reset to "entry 0x…"
	inBoot               // to the first line of the application
	inApp
)

// logLine is how ESP-IDF logs: level, time and tag.
var logLine = regexp.MustCompile(`\b[EWIDV] \([\d:. ]+\) ([\w.-]+):`)

// tagOf is the tag of a line, "" for one that is not logged.
func tagOf(l string) string {
	if m := logLine.FindStringSubmatch(l); m != nil {
		return m[1]
	}
	return ""
}

// bootTags are the tags under which the second-stage bootloader logs.
var bootTags = []string{"boot", "boot_comm", "esp_image", "flash_parts", "flash_encrypt", "secure_boot", "secure_boot_v1", "secure_boot_v2",
	"efuse", "qio_mode", "spi_flash", "bootloader_flash", "bootloader_random", "bootloader_fuse", "rtc_clk", "wdt", "partition", "bootloader_utility"}

func isBootTag(tag string) bool {
	return strings.HasPrefix(tag, "boot.") || slices.Contains(bootTags, tag) // boot.esp32
}

// romTexts begin the lines of the mask ROM that a good start has too.
var romTexts = []string{"ets J", "rst:0x", "configsip:", "clk_drv:", "mode:D", "mode:Q", "load:0x", "ho 0 tail", "entry 0x"}

func isROM(l string) bool {
	return slices.ContainsFunc(romTexts, func(t string) bool { return strings.HasPrefix(l, t) })
}

// move finds the phase that a line belongs to.
func (p *parser) move(l, tag string) {
	switch {
	case p.phase == inApp:
	case strings.Contains(l, "entry 0x"):
		p.after = inBoot
	case isApp(l), tag != "" && !isBootTag(tag):
		p.phase = inApp
	case isBootTag(tag):
		p.phase = inBoot
	}
}

// isApp recognises the first lines of an ESP-IDF application by their tags.
func isApp(l string) bool {
	for _, tag := range []string{"cpu_start:", "app_init:", "main_task:", "heap_init:", "app_main:"} {
		if strings.Contains(l, tag) {
			return true
		}
	}
	return false
}
