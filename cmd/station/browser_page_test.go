//go:build browser

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	devtools "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"station/internal/board"
	"station/internal/chip"
	"station/internal/flow"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/site"
	"station/internal/site/outbox"
	"station/internal/tui"
)

// pagePlant is a site with its page. bench-1 is the workplace, with the program
// itself; bench-2 tells what a recorded line of six slots did.
type pagePlant struct {
	*workplace
	*peopleCA
	at, token string
	site      *exec.Cmd
	approve   string // the digest of bench-1's job
	tells     func() // bench-2 says once more what it does
}

func newPagePlant(t *testing.T) *pagePlant {
	t.Helper()
	p := &pagePlant{workplace: newWorkplace(t)}
	p.run(0, "site", "init", "--name", "plant-1", "--url", "tls://localhost:4222", "--listen", "127.0.0.1:0")
	token, _ := p.run(0, "site", "token", "add", "wall")
	p.token = strings.TrimSpace(token)
	p.peopleCA = newPeopleCA(p.workplace)
	var siteAt string
	p.site, p.at, siteAt = p.pageAt("site", "run", "--page", "127.0.0.1:0", "--page-ca", "people.pem", "--page-crl", "people.crl")
	p.write("site/site.json", strings.Replace(string(p.read("site/site.json")), "localhost:4222", siteAt, 1))
	p.bench()
	return p
}

// bench makes the workplace a bench of the site whose devices have serial number and ID.
func (p *pagePlant) bench() {
	p.t.Helper()
	p.run(0, "site", "add", "bench-1", "--out", "bench-1.pass")
	p.write("station.toml", string(p.read("station.toml"))+"\n[site]\npass = \"bench-1.pass\"\n")
	p.run(0, "hsm", "init", "--policy", "derived", "--label", "station-identity", "--operator", "eve")
	p.product("small", "[boot]\n", "[serial]\npattern = \"SN-[0-9]{4}\"\n\n[identity]\ntoken = true\n\n[boot]\n")
	p.partitionForIdentity("small")
	p.run(0, "batch", "open", "2026-47", "--devices", "500", "--operator", "anna")
	out, _ := p.run(0, "job", "check", "small/job.toml")
	_, after, _ := strings.Cut(out, "plan digest  ")
	p.approve = strings.Fields(after)[0]
}

// line is a run of the program for one device. It waits at each step that wants a hand,
// until somebody lends it.
type line struct {
	t    *testing.T
	cmd  *exec.Cmd
	says *json.Decoder
	chip *simChip
	errs bytes.Buffer
}

func (p *pagePlant) line(mac, serial string) *line {
	p.t.Helper()
	l := &line{t: p.t, chip: p.sim("--boot", "--mac", mac, "--flash-size", "1MB")}
	l.cmd = p.command("run", "--headless", "--once", "--job", "small/job.toml", "--port", l.chip.address, "--approve", p.approve, "--operator", "anna", "--batch", "2026-47", "--serial", serial)
	l.cmd.Stderr = &l.errs
	out, err := l.cmd.StdoutPipe()
	if err := errors.Join(err, l.cmd.Start()); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = l.cmd.Process.Kill() })
	l.says = json.NewDecoder(out)
	return l
}

// next is the next event that asks for a hand; the line ends without one.
func (l *line) next() (e flow.Event, more bool) {
	l.t.Helper()
	for {
		e = flow.Event{}
		err := l.says.Decode(&e)
		if errors.Is(err, io.EOF) {
			if err := l.cmd.Wait(); err != nil {
				l.t.Fatalf("the line: %v\n%s", err, l.errs.String())
			}
			return e, false
		}
		if err != nil {
			l.t.Fatal(err)
		}
		if e.Event == flow.DeviceHand && e.Hand != "" {
			return e, true
		}
	}
}

// ends lends a hand until the device is sealed.
func (l *line) ends() {
	l.t.Helper()
	for e, more := l.next(); more; e, more = l.next() {
		l.chip.press(e)
	}
	l.chip.stop()
}

// second is bench-2: its ledger has a day of failures, and it tells the recorded line.
func (p *pagePlant) second() {
	p.t.Helper()
	p.run(0, "site", "add", "bench-2", "--out", "bench-2.pass")
	pass, err := site.ReadPass(filepath.Join(p.dir, "bench-2.pass"))
	p.check(err)
	p.t.Cleanup(pass.Destroy)
	book, err := ledger.Open(filepath.Join(p.t.TempDir(), "ledger.db"), ledger.Options{Create: true, Station: "bench-2", Software: "test"})
	p.check(err)
	p.t.Cleanup(func() { book.Close() })
	for i, end := range []string{"RETRY E-BAUD", "PASS", "SCRAP E-FUSE-WRONG", "PASS", "QUARANTINE E-KEY-CONFLICT", "PASS"} {
		for _, e := range visitEntries(chip.MAC{0x24, 0x0a, 0xc4, 1, 7, byte(i)}, "2026-48", end) {
			_, err := book.Append(e)
			p.check(err)
		}
	}
	o := &outbox.Outbox{Pass: pass, Ledger: book, Again: time.Millisecond}
	_, err = o.Push(p.t.Context())
	p.check(err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	up := make(chan struct{})
	o.Told = func(s outbox.Status) {
		if s.State == outbox.Up {
			select {
			case <-up:
			default:
				close(up)
			}
		}
	}
	go func() { defer close(done); o.Run(ctx) }()
	p.t.Cleanup(func() { stop(); <-done })
	<-up
	data, err := json.Marshal(recorded(p.t).Live())
	p.check(err)
	p.tells = func() { p.check(o.Live(data)) }
	p.tells()
}

func (p *pagePlant) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// recorded is the state of the recorded line that the pictures of the docs show too.
func recorded(t *testing.T) *board.Status {
	t.Helper()
	f, err := os.Open("../../fixtures/events/line6.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	events, err := tui.ReadEvents(f)
	if err != nil {
		t.Fatal(err)
	}
	var s board.Status
	for _, e := range events {
		if e.Event == flow.LineDone || e.Verdict == record.Scrap {
			break
		}
		if e.Event == flow.LineReady {
			e.Simulated, e.Operator, e.Batch = false, "ben", "2026-48"
		}
		s.Apply(e)
	}
	return &s
}

var updateScreens = flag.Bool("update-screens", false, "write the page's pictures of docs/screens")

// The page in a real browser: what a person sees and does. One site and one browser serve
// all parts, which build on each other.
func TestPageInBrowser(t *testing.T) {
	p := newPagePlant(t)
	b := newBrowser(t, filepath.Join(p.dir, "site", "ca.pem"))
	w := b.window(p.at)
	w.logsIn(p.token)
	p.changesByItself(w)
	p.findsByKeyboard(w)
	for _, path := range []string{"/", "/batches", "/releases", "/device?q=SN-0007", "/device?q=nobody", "/device?q=24:0a:c4:01:07"} {
		p.fits(w, path)
	}
	p.prints(w)
	if *updateScreens {
		p.pictures(w)
	}
	p.withoutScript(b)
	p.byCertificate()
	p.tellsWhenLost(w)
	p.showsReleases(b)
}

// changesByItself: what station run does is on the page at once, without a reload.
func (p *pagePlant) changesByItself(w *window) {
	p.t.Helper()
	w.waits(`document.body.innerText.includes("bench-1")`)
	is[bool](w, `window.same = true`)
	slot := `(document.querySelector("#bench-bench-1 .slot")?.innerText ?? "")`
	l := p.line("24:0a:c4:01:02:03", "SN-0007")
	e, _ := l.next()
	w.waits(slot + `.includes("Hold BOOT, press EN")`)
	l.chip.press(e)
	l.ends()
	w.waits(slot + `.includes("PASS") && ` + slot + `.includes("SN-0007")`)
	w.waits(`document.querySelector("#day dd").innerText === "1"`)
	if !is[bool](w, `window.same === true`) {
		p.t.Error("the page was loaded again")
	}
	p.second() // a new bench: the page is loaded again by itself
	w.waits(`document.querySelectorAll("#bench-bench-2 .slot").length === 6 && document.querySelector("#day dd").innerText === "4"`)
}

// findsByKeyboard: a device is found by each of its names, and its proof is one that the command takes,
// without a mouse.
func (p *pagePlant) findsByKeyboard(w *window) {
	p.t.Helper()
	id := regexp.MustCompile(`(?m)"id": ?"([0-9a-f]{32})"`).FindStringSubmatch(p.shown("identity", "show", "SN-0007", "--json"))[1]
	for _, name := range []string{"24:0a:c4:01:02:03", "SN-0007", id} {
		w.goes("/")
		w.tabsTo(`document.activeElement.id === "q"`)
		w.loads(chromedp.KeyEvent(name + "\r"))
		text := is[string](w, `document.body.innerText`)
		for _, want := range []string{"24:0a:c4:01:02:03", "SN-0007", id, "√ PASS", "put into a slot", "device.seen", "key.assigned", "device.sealed", "2026-47", "bench-1"} {
			if !strings.Contains(text, want) {
				p.t.Errorf("found by %s, the page of the device lacks %q:\n%s", name, want, text)
			}
		}
	}
	dir := p.t.TempDir()
	_, err := chromedp.Call(w.ctx, devtools.SetDownloadBehavior, devtools.SetDownloadBehaviorParams{Behavior: devtools.SetDownloadBehaviorBehaviorAllow, BrowserContextID: chromedp.FromContext(w.ctx).BrowserContextID, DownloadPath: dir})
	p.check(err)
	w.tabsTo(`document.activeElement.href?.endsWith("/proof") ?? false`)
	w.does(chromedp.KeyEvent("\r"))
	file := filepath.Join(dir, "240ac4010203.proof")
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(file); err == nil {
			break
		}
		if time.Now().After(deadline) {
			p.t.Fatal("the proof does not come")
		}
	}
	if out := p.shown("ledger", "check", file, "--key", "site/witness.pem"); !strings.Contains(out, "24:0a:c4:01:02:03") {
		p.t.Errorf("the proof says %s", out)
	}
}

func (p *pagePlant) shown(args ...string) string {
	p.t.Helper()
	out, _ := p.run(0, args...)
	return out
}

// tabsTo presses Tab until the expression is true. Where the focus is must be seen.
func (w *window) tabsTo(expression string) {
	w.t.Helper()
	for range 30 {
		w.does(chromedp.KeyEvent("\t"))
		if !is[bool](w, `document.activeElement !== document.body && getComputedStyle(document.activeElement).outlineStyle === "solid" && parseFloat(getComputedStyle(document.activeElement).outlineWidth) >= 2`) {
			w.t.Errorf("nobody sees the focus on %s", is[string](w, `document.activeElement.outerHTML`))
		}
		if is[bool](w, expression) {
			return
		}
	}
	w.t.Fatalf("no key leads to %s", expression)
}

// faultsOfLook are what a reader of a page could not read: text that is too small, too pale, or
// runs out of its box or the window; what the policy does not allow; and a colour that
// says something alone.
const faultsOfLook = `(() => {
	const bad = [], root = document.scrollingElement;
	const told = (what, e) => bad.push(what + ": " + e.outerHTML.slice(0, 120));
	if (root.scrollWidth > root.clientWidth) bad.push("it scrolls to the side: " + root.scrollWidth + " of " + root.clientWidth);
	const light = c => c.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
	const numbers = c => c.match(/[\d.]+/g).map(Number);
	const paper = e => { for (; e; e = e.parentElement) { const c = numbers(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
	for (const e of document.querySelectorAll("body *")) {
		const style = getComputedStyle(e), box = e.getBoundingClientRect();
		if (!box.width || e.closest(".hidden")) continue;
		if (![...e.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim()) && e.tagName !== "INPUT") continue;
		if (parseFloat(style.fontSize) < 14) told("too small", e);
		const [a, b] = [light(numbers(style.color).slice(0, 3)), light(paper(e))].sort((x, y) => y - x);
		if ((a + 0.05) / (b + 0.05) < 4.5) told("too pale", e);
		if (box.left < 0 || box.right > root.clientWidth + 1 || style.display !== "inline" && e.scrollWidth > e.clientWidth + 1) told("runs out", e);
	}
	for (const e of document.querySelectorAll("[style], style, script:not([src]), [onclick], [onload]")) told("inline", e);
	for (const e of document.querySelectorAll(".slot")) if (!e.querySelector(".word, .step")?.innerText.match(/^(√|◄|×|▲|■|►|\?|!!|○)/u)) told("colour alone", e);
	for (const e of document.querySelectorAll(".counts dt")) if (!e.innerText.trim()) told("colour alone", e);
	return bad;
})()`

// fits holds a page against phones, desks and walls in both languages.
func (p *pagePlant) fits(w *window, path string) {
	p.t.Helper()
	w.goes(path)
	for _, lang := range []string{"zh", "en"} {
		w.loads(chromedp.Navigate(is[string](w, `(() => { const at = new URL(location); at.searchParams.set("lang", "`+lang+`"); return at.href; })()`)))
		if got := is[string](w, `document.documentElement.lang`); !strings.HasPrefix(got, lang) {
			p.t.Errorf("%s in %s is in %s", path, lang, got)
		}
		for _, size := range [][2]int64{{360, 740}, {1280, 800}, {1920, 1080}} {
			w.does(chromedp.EmulateViewport(size[0], size[1]))
			for _, fault := range is[[]string](w, faultsOfLook) {
				p.t.Errorf("%s in %s at %d pixels: %s", path, lang, size[0], fault)
			}
		}
	}
}

// prints: the page on paper has what matters, and nothing to click.
func (p *pagePlant) prints(w *window) {
	p.t.Helper()
	media := func(name string) {
		_, err := chromedp.Call(w.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: name})
		p.check(err)
	}
	for _, path := range []string{"/", "/batches", "/device?q=SN-0007"} {
		w.goes(path)
		media("print")
		w.does(chromedp.EmulateViewport(718, 1000)) // A4 without its margins
		for _, fault := range is[[]string](w, faultsOfLook) {
			if !strings.HasPrefix(fault, "too small") { // paper is read closer
				p.t.Errorf("%s on paper: %s", path, fault)
			}
		}
		if is[bool](w, `[...document.querySelectorAll("nav, form, button")].some(e => e.getClientRects().length)`) {
			p.t.Errorf("%s on paper has something to click", path)
		}
		pdf, err := chromedp.Run(w.ctx, chromedp.PrintToPDF())
		if err != nil || !bytes.HasPrefix(pdf, []byte("%PDF-")) {
			p.t.Errorf("%s does not print: %v", path, err)
		}
		media("")
	}
}

// withoutScript: everything but the liveness is there.
func (p *pagePlant) withoutScript(b *browser) {
	p.t.Helper()
	w := b.window(p.at)
	_, err := chromedp.Call(w.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	p.check(err)
	w.logsIn(p.token)
	if got := is[string](w, `document.querySelector("noscript > meta[http-equiv=refresh]")?.content ?? ""`); got != "10" {
		p.t.Errorf("it is loaded again after %q seconds", got)
	}
	for what, want := range map[string]string{`#bench-bench-1 .word`: "√ PASS", `#bench-bench-2 .held .word`: "!! DO NOT UNPLUG", `#day dd`: "4"} {
		if got := is[string](w, `document.querySelector("`+what+`").innerText`); got != want {
			p.t.Errorf("without script %s is %q", what, got)
		}
	}
	w.loads(chromedp.Click(chromedp.CSS(`a[href="?lang=zh"]`)))
	w.loads(chromedp.SendKeys(chromedp.CSS("#q"), "SN-0007\r"))
	if got := is[string](w, `document.querySelector("h1").innerText + document.querySelector(".result").innerText`); got != "SN-0007√ PASS 合格" {
		p.t.Errorf("without script the device is %q", got)
	}
	w.loads(chromedp.Click(chromedp.CSS(`form[action="/logout"] button`)))
	w.goes("/batches")
	if !is[bool](w, `document.getElementById("token") !== null`) {
		p.t.Error("who has logged out is still in")
	}
	w.does(chromedp.Navigate("about:blank")) // else it is loaded again, also where the site has ended
}

// tellsWhenLost: a page whose site is gone says that it is old.
func (p *pagePlant) tellsWhenLost(w *window) {
	p.t.Helper()
	w.expects("net::ERR_")
	w.goes("/?lang=en")
	w.waits(`document.querySelectorAll(".slot").length > 0 && document.getElementById("lost").hidden`)
	p.check(p.site.Process.Kill())
	w.waits(`!document.getElementById("lost").hidden && document.getElementById("lost").innerText.startsWith("Not live")`)
}
