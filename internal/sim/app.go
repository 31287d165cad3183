package sim

import (
	"bytes"
	"strings"
	"time"
)

// The application, known by its descriptor: what an ESP-IDF app prints from
// its start to its own ready line.

// exampleApp is the application of which it is known what it says when it is ready.
const exampleApp = "station-example"

func (c *Chip) startApp(t *console, image []byte, flashSize int) {
	const tag = "cpu_start"
	t.ms, t.quiet = t.ms+6, false
	cores := c.si.data().cores
	if cores == 1 {
		t.info(tag, "Unicore app")
	} else {
		t.info(tag, "Pro cpu up.")
	}
	d, ok := describe(image)
	if f := c.fire(OldApp, 0); f != nil {
		d.version = f.Text
	}
	if ok {
		t.info(tag, "Application information:")
		t.info(tag, "Project name:     %s", d.project)
		t.info(tag, "App version:      %s", d.version)
		t.info(tag, "Compile time:     %s %s", d.date, d.time)
		t.info(tag, "ELF file SHA256:  %s...", d.elf)
		t.info(tag, "ESP-IDF:          %s", d.idf)
	}
	if c.fire(Brownout, 0) != nil {
		t.raw("")
		t.raw("Brownout detector was triggered")
		t.raw("")
		c.restart(resetBrownOut, c.opts.Times.Watchdog)
		return
	}
	if cores > 1 && c.fuses.field("DISABLE_APP_CPU") == 0 {
		t.info(tag, "Starting app cpu, entry point is 0x%08x", header(image[:headerBytes]).entry())
		t.info(tag, "App cpu up.")
	}
	t.info(tag, "Pro cpu start user code")
	if flashSize > len(c.flash.mem) {
		t.fail("spi_flash", "Detected size(%dk) smaller than the size in the binary image header(%dk). Probe failed.", len(c.flash.mem)>>10, flashSize>>10)
		c.crash(t, "assert failed: do_core_init startup.c:326 (flash_ret == ESP_OK)")
		return
	}
	c.appEncryption(t, image)
	t.info(tag, "Starting scheduler on PRO CPU.")
	if c.fire(BootLoop, 0) != nil {
		c.crash(t, "Guru Meditation Error: Core  0 panic'ed (LoadProhibited). Exception was unhandled.")
		return
	}
	t.info("main_task", "Calling app_main()")
	c.app.now = true
	c.app.runs++
	c.sayIdentity(t)
	if c.fire(MuteApp, 0) == nil {
		c.sayReady(t, d.project, image)
	}
}

// sayReady says what the application is promised to say. Its code does not run
// here, and the console does not hide that.
func (c *Chip) sayReady(t *console, project string, image []byte) {
	const tag = "virtual"
	ready := c.opts.Ready
	switch {
	case ready == "" && project == exampleApp:
		ready = exampleApp + ": ready"
	case ready == "":
		t.info(tag, "the firmware does not run here; what it would print now is not known")
		return
	case holds(image, ready):
		t.info(tag, "the firmware does not run here; its image holds the text that the job waits for")
	default:
		t.warn(tag, "the firmware does not run here, and its image does not hold the text that the job waits for")
	}
	if from, text, ok := strings.Cut(ready, ": "); ok {
		t.info(from, "%s", text)
	} else {
		t.raw("%s", ready)
	}
}

// holds reports whether the text, or what is left of it without the tag that a
// log line begins with, stands in the image.
func holds(image []byte, text string) bool {
	tag, rest, tagged := strings.Cut(text, ": ")
	return bytes.Contains(image, []byte(text)) ||
		tagged && bytes.Contains(image, []byte(tag)) && bytes.Contains(image, []byte(rest))
}

// crash is a panic: the app goes round by a CPU reset.
func (c *Chip) crash(t *console, why string) {
	t.raw("")
	t.raw("%s", why)
	t.raw("")
	t.raw("Rebooting...")
	c.restart(resetSWCPU, 500*time.Millisecond)
}

// appEncryption is the app's own word on the fuses, if it was built to have one.
func (c *Chip) appEncryption(t *console, image []byte) {
	if c.crypt == nil || !bytes.Contains(image, []byte(cryptTag)) {
		return
	}
	seal := c.opts.Chip.Seal
	release := c.cryptCount() == seal.CountFull || c.countLocked()
	for _, name := range seal.Loader {
		release = release && c.fuses.field(name) != 0
	}
	if release {
		t.info(cryptTag, "Flash encryption mode is RELEASE")
	} else {
		t.warn(cryptTag, "Flash encryption mode is DEVELOPMENT (not secure)")
	}
}
