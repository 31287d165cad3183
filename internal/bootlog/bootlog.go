// Package bootlog reads what an ESP32 prints while it starts, from the mask
// ROM's banner to the first lines of the application, and names every known
// failure. It is pure and takes any bytes: ANSI colours, carriage returns, cut
// lines and noise at a wrong baud rate.
//
// Texts are matched by tag and keyword only, since ESP-IDF changes the rest of
// its lines between versions. Absence of a line is never proof of anything but
// its absence: a quiet bootloader says nothing about flash encryption.
//
// A console may hold several starts. The last one counts, and within it the
// texts of ROM and bootloader count only while these run.
package bootlog

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Report is what a console tells.
type Report struct {
	ROM      int       // year of the mask ROM: 2016 (revisions 0 to 2), 2019 (revision 3), 0 not seen
	Resets   []Reset   // in order
	Findings []Finding // of the last start that has any: one per code, in order of their first line

	// How far any boot of the log came, in the order in which a good one passes.
	Entry       bool   // the ROM started the second-stage bootloader
	SecondStage bool   // which printed its name
	Table       bool   // and read the partition table
	Loaded      bool   // and loaded an application
	App         uint32 // from this flash offset
	AppStarted  bool   // which printed its first line
	Version     string // that the application gives itself; "" where it says none

	Failed           bool // ROM or bootloader found a fault in the last start
	Decided          bool // the last start failed as the one before it, or its ROM says the same again and again
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
	Meaning string // what the line means, in one sentence; Cause and Action are one each too
	Cause   string
	Action  string
	Fatal   bool // this start cannot become good
	before  bool // it is of the ROM or the bootloader
}

// Fault is the first fatal finding: later ones are mostly its consequences.
func (r Report) Fault() (Finding, bool) { return fault(r.Findings) }

func fault(found []Finding) (Finding, bool) {
	i := slices.IndexFunc(found, func(f Finding) bool { return f.Fatal })
	if i < 0 {
		return Finding{}, false
	}
	return found[i], true
}

// Found reports whether the log has the finding.
func (r Report) Found(code string) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Code == code })
}

// Parse reads a console. A last line without its end counts.
func Parse(log []byte) Report {
	w := NewWatch("")
	w.Add(log)
	return w.Report()
}

// Marker looks for a product's own ready line and returns it. Only the last
// start counts, so that a device which says that it is ready and then restarts
// is not taken for a good one; and only one in which neither the ROM nor the
// bootloader found a fault. What the two print is no marker. An empty marker
// is found when the application prints anything.
func Marker(log []byte, marker string) (line string, found bool) {
	w := NewWatch(marker)
	w.Add(log)
	return w.Marker()
}

// Unseen says why a marker can never be found, "" for one that can.
func Unseen(marker string) string {
	switch {
	case len(marker) > MaxMarker:
		return fmt.Sprintf("it has %d bytes, at most %d are looked for", len(marker), MaxMarker)
	case !utf8.ValidString(marker) || strings.ContainsFunc(marker, func(r rune) bool { return !unicode.IsGraphic(r) }):
		return "it holds control characters, which are taken out of a console"
	}
	return ""
}

type parser struct {
	r       Report
	pending int  // resets since the application last started
	spoke   bool // something besides banner and reset lines was printed
	last    string

	phase    phase     // of the line being looked at
	after    phase     // of those after it, where it ends its phase
	fresh    bool      // nothing but a banner or a reset was printed in this start,
	wasReset bool      // and a reset was
	found    []Finding // of this start
	again    bool      // this start has the fault of the start before it
	bad      string    // fault of the start before this one
	rest     int       // lines alike that followed the last one

	want, at string
	ready    bool // the marker was seen in this start
}

var (
	resetLine = regexp.MustCompile(`rst:0x([0-9a-fA-F]{1,2})(?: \((\w*)\)?)?(?:,boot:0x([0-9a-fA-F]{1,2})(?: \((.*))?)?`)
	plainLeft = regexp.MustCompile(`flash encryption is enabled \((\d{1,3}) plaintext`)
	appOffset = regexp.MustCompile(`Loaded app from partition at offset 0x([0-9a-fA-F]{1,8})`)
)

// line takes one line; its first bytes are known where a long one was cut.
func (p *parser) line(whole string, carried int) {
	l := whole[carried:]
	rom := banner(l)
	reset := resetLine.FindStringSubmatch(l)
	if l == p.last && reset == nil { // a ROM that finds no bootloader repeats itself for ever
		p.rest++
		p.again = p.again || p.rest >= enough && len(p.found) > 0
		return
	}
	p.last, p.rest = l, 0
	p.r.ROM = max(p.r.ROM, rom)
	if rom != 0 || reset != nil {
		p.start(reset != nil)
	}
	if reset != nil {
		p.reset(reset)
		return
	}
	if rom != 0 {
		return
	}
	p.fresh = false
	p.spoke = p.spoke || strings.TrimSpace(l) != ""
	tag := tagOf(l)
	p.move(l, tag)
	p.progress(l, tag)
	if f, ok := find(l, tag, p.phase); ok {
		p.add(f)
	}
	p.mark(whole, tag)
	if p.after != unknown {
		p.phase, p.after = p.after, unknown
	}
}

// enough is how often a ROM says the same before nothing else is to come.
const enough = 3

// start begins another start; a banner and its reset line are one.
func (p *parser) start(reset bool) {
	if p.fresh && !(p.wasReset && reset) {
		p.wasReset = reset
		return
	}
	p.wasReset = reset
	if !p.fresh { // a start that a reset ended before it said anything is none
		p.bad = ""
	}
	if f, bad := fault(p.found); bad {
		p.bad = f.Code
	}
	p.phase, p.after, p.fresh, p.found, p.again = inROM, unknown, true, nil, false
	p.at, p.ready = "", false
}

// mark looks for the marker.
func (p *parser) mark(l, tag string) {
	if p.ready || p.faultBefore() || p.phase != inApp && (isROM(l) || isBootTag(tag)) {
		return
	}
	if p.want == "" && isApp(l) || p.want != "" && strings.Contains(l, p.want) {
		p.at, p.ready = trim(l), true
	}
}

// faultBefore reports a fault of this start's ROM or bootloader.
func (p *parser) faultBefore() bool {
	return slices.ContainsFunc(p.found, func(f Finding) bool { return f.Fatal && f.before })
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
	p.r.DownloadMode = p.r.DownloadMode || s.Download()
	if s.Code == brownoutReset {
		p.r.Brownout = true
		p.add(finding("brownout", m[0]))
	}
	p.last = "" // equal lines after another reset count again
}

func (p *parser) progress(l, tag string) {
	r := &p.r
	switch {
	case p.phase <= inROM && strings.Contains(l, "entry 0x"):
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
	case p.phase <= inROM && strings.Contains(l, "waiting for download"):
		r.DownloadMode = true
	case p.phase <= inROM && strings.Contains(l, "Download mode is disabled"):
		r.DownloadDisabled = true
	case strings.Contains(l, "Brownout detector was triggered"):
		r.Brownout = true
	}
	if tag == "cpu_start" || tag == "app_init" {
		if _, version, ok := strings.Cut(l, tag+": App version:"); ok {
			r.Version = strings.TrimSpace(version)
		}
	}
	if m := plainLeft.FindStringSubmatch(l); m != nil {
		left, _ := strconv.Atoi(m[1])
		r.EncryptionOn = &left
	}
}

func (p *parser) add(f Finding) {
	if slices.ContainsFunc(p.found, func(g Finding) bool { return g.Code == f.Code }) {
		return
	}
	p.found = append(p.found, f)
	p.again = p.again || f.Fatal && f.Code == p.bad
	p.r.Findings = p.found // of the last start that has any
}

// report adds what only the whole log tells.
func (p *parser) report() Report {
	p.r.Loop = p.pending >= 3
	p.r.Failed, p.r.Decided = p.faultBefore(), p.again
	if len(p.found) == 0 && p.phase == inApp { // faults of an earlier start's ROM or bootloader are over
		p.r.Findings = slices.DeleteFunc(slices.Clone(p.r.Findings), func(f Finding) bool { return f.before })
	}
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
