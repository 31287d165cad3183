// Package bootlog reads what an ESP32 prints while it starts, from the mask
// ROM's banner to the first lines of the application, and names every known
// failure. It is pure and takes any bytes: ANSI colours, carriage returns, cut
// lines and noise at a wrong baud rate.
//
// Texts are matched by tag and keyword only, since ESP-IDF changes the rest of
// its lines between versions. Absence of a line is never proof of anything but
// its absence: a quiet bootloader says nothing about flash encryption.
package bootlog

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Report is what a console tells.
type Report struct {
	ROM      int       // year of the mask ROM: 2016 (revisions 0 to 2), 2019 (revision 3), 0 not seen
	Resets   []Reset   // in order
	Findings []Finding // one per code, in order of their first line

	// How far any boot of the log came, in the order in which a good one passes.
	Entry       bool   // the ROM started the second-stage bootloader
	SecondStage bool   // which printed its name
	Table       bool   // and read the partition table
	Loaded      bool   // and loaded an application
	App         uint32 // from this flash offset
	AppStarted  bool   // which printed its first line
	Version     string // that the application gives itself; "" where it says none

	Loop             bool // three resets or more without a start of the application between them
	DownloadMode     bool // the chip waits in its serial loader
	DownloadDisabled bool // the chip refused to enter its serial loader: a fuse is burned
	Brownout         bool
	EncryptionOn     *int // flash encryption is on; so many plaintext flashes are left
}

// Reset is one `rst:` line.
type Reset struct {
	Code byte   // why the chip was reset: 1 is power or EN
	Text string // the ROM's name for it
	Boot byte   // strapping pins (GPIO_STRAP bits 0 to 5)
	Mode string // the ROM's name for what they select
}

// Download reports that the straps selected the serial loader.
func (r Reset) Download() bool {
	return strings.HasPrefix(r.Mode, "DOWNLOAD") || strings.HasPrefix(r.Mode, "UART_BOOT")
}

// Flash reports that the straps selected the start from flash.
func (r Reset) Flash() bool { return strings.Contains(r.Mode, "FLASH_BOOT") }

// Finding is a line that means something.
type Finding struct {
	Code    string // stable and short: "no-bootloader-header"
	Line    string // as printed, without colours
	Meaning string // one sentence each
	Cause   string
	Action  string
	Fatal   bool // this boot cannot become good
}

// Fault is the first fatal finding: later ones are mostly its consequences.
func (r Report) Fault() (Finding, bool) {
	i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Fatal })
	if i < 0 {
		return Finding{}, false
	}
	return r.Findings[i], true
}

// Found reports whether the log has the finding.
func (r Report) Found(code string) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Code == code })
}

// Parse reads a console. A last line without its end counts.
func Parse(log []byte) Report {
	p := parser{}
	for line := range lines(log) {
		p.line(line)
	}
	return p.report()
}

// Marker looks for a product's own ready line and returns it. Only lines
// printed since the last reset count, so that a device which says that it is
// ready and then restarts is not taken for a good one. An empty marker is
// found when the application prints anything.
func Marker(log []byte, marker string) (line string, found bool) {
	m := mark{want: marker}
	for l := range lines(log) {
		m.line(l)
	}
	return m.at, m.found
}

type mark struct {
	want, at string
	found    bool
}

func (m *mark) line(l string) {
	switch {
	case strings.Contains(l, "rst:0x"):
		m.at, m.found = "", false
	case m.found:
	case m.want == "" && isApp(l), m.want != "" && strings.Contains(l, m.want):
		m.at, m.found = trim(l), true
	}
}

type parser struct {
	r       Report
	pending int  // resets since the application last started
	spoke   bool // something besides banner and reset lines was printed
	last    string
}

var (
	resetLine = regexp.MustCompile(`rst:0x([0-9a-fA-F]{1,2})(?: \((\w*)\)?)?(?:,boot:0x([0-9a-fA-F]{1,2})(?: \((.*))?)?`)
	plainLeft = regexp.MustCompile(`flash encryption is enabled \((\d{1,3}) plaintext`)
	appOffset = regexp.MustCompile(`Loaded app from partition at offset 0x([0-9a-fA-F]{1,8})`)
)

func (p *parser) line(l string) {
	if l == p.last { // a ROM that finds no bootloader repeats itself for ever
		return
	}
	p.last = l
	rom := banner(l)
	p.r.ROM = max(p.r.ROM, rom)
	if m := resetLine.FindStringSubmatch(l); m != nil {
		p.reset(m)
		return
	}
	if rom != 0 {
		return
	}
	p.spoke = p.spoke || strings.TrimSpace(l) != ""
	p.progress(l)
	if f, ok := find(l); ok {
		p.add(f)
	}
}

func (p *parser) reset(m []string) {
	code, _ := strconv.ParseUint(m[1], 16, 8)
	boot, _ := strconv.ParseUint(m[3], 16, 8)
	s := Reset{Code: byte(code), Text: m[2], Boot: byte(boot), Mode: strings.TrimSuffix(strings.TrimSpace(m[4]), ")")}
	if name, ok := resetNames[s.Code]; ok {
		s.Text = name
	}
	p.r.Resets = append(p.r.Resets, s)
	p.pending++
	p.r.Loop = p.r.Loop || p.pending >= 3
	p.r.DownloadMode = p.r.DownloadMode || s.Download()
	if s.Code == brownoutReset {
		p.r.Brownout = true
		p.add(finding("brownout", m[0]))
	}
	p.last = "" // equal lines after another reset count again
}

func (p *parser) progress(l string) {
	r := &p.r
	switch {
	case strings.Contains(l, "entry 0x"):
		r.Entry = true
	case strings.Contains(l, "boot:") && strings.Contains(l, "2nd stage bootloader"):
		r.SecondStage = true
	case strings.Contains(l, "boot:") && strings.Contains(l, "End of partition table"):
		r.Table = true
	case strings.Contains(l, "boot:") && strings.Contains(l, "Loaded app from partition"):
		r.Loaded = true
		if m := appOffset.FindStringSubmatch(l); m != nil {
			at, _ := strconv.ParseUint(m[1], 16, 32)
			r.App = uint32(at)
		}
	case isApp(l):
		r.AppStarted = true
		p.pending = 0
	case strings.Contains(l, "waiting for download"):
		r.DownloadMode = true
	case strings.Contains(l, "Download mode is disabled"):
		r.DownloadDisabled = true
	case strings.Contains(l, "Brownout detector was triggered"):
		r.Brownout = true
	}
	if _, version, ok := strings.Cut(l, "App version:"); ok {
		r.Version = strings.TrimSpace(version)
	}
	if m := plainLeft.FindStringSubmatch(l); m != nil {
		left, _ := strconv.Atoi(m[1])
		r.EncryptionOn = &left
	}
}

func (p *parser) add(f Finding) {
	if !p.r.Found(f.Code) {
		p.r.Findings = append(p.r.Findings, f)
	}
}

// report adds what only the whole log tells.
func (p *parser) report() Report {
	if _, bad := p.r.Fault(); p.r.Loop && !bad {
		last := p.r.Resets[len(p.r.Resets)-1]
		code := "reset-loop"
		if !p.spoke {
			code = "silent-reset-loop"
		}
		p.add(finding(code, "rst:0x"+strconv.FormatUint(uint64(last.Code), 16)+" ("+last.Text+")"))
	}
	return p.r
}

// banner is the year of the mask ROM whose first line this is, else 0.
func banner(l string) int {
	switch {
	case strings.Contains(l, "ets Jun") && strings.Contains(l, "2016"):
		return 2016
	case strings.Contains(l, "ets Jul") && strings.Contains(l, "2019"):
		return 2019
	}
	return 0
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
