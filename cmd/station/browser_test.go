//go:build browser

package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long a browser may take for anything. Nothing waits for it to pass.
const patience = time.Minute

// browser is a Chromium that trusts the CAs of its own store, which begins empty.
type browser struct {
	t    *testing.T
	ctx  context.Context
	home string
}

// newBrowser starts one that trusts the CA of a file, with a profile of its own or one
// that is there.
func newBrowser(t *testing.T, ca string, profile ...string) *browser {
	t.Helper()
	b := &browser{t: t, home: t.TempDir()}
	b.nss("certutil", "-N", "--empty-password")
	b.nss("certutil", "-A", "-n", "site", "-t", "C,,", "-i", ca)
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(stop)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.Env("HOME="+b.home, "TMPDIR="+b.home, "LANG=en_US.UTF-8"),
		chromedp.Flag("lang", "en"), chromedp.Flag("hide-scrollbars", false))
	for _, dir := range profile {
		options = append(options, chromedp.UserDataDir(dir))
	}
	ctx, stop = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	b.ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	return b
}

// nss runs a tool of the store in which this Chromium has its certificates.
func (b *browser) nss(tool string, args ...string) {
	b.t.Helper()
	dir := filepath.Join(b.home, ".pki", "nssdb")
	if out, err := exec.Command("mkdir", "-p", dir).CombinedOutput(); err != nil {
		b.t.Fatalf("%v: %s", err, out)
	}
	if out, err := exec.Command(tool, append([]string{"-d", "sql:" + dir}, args...)...).CombinedOutput(); err != nil {
		b.t.Fatalf("%s: %v: %s", tool, err, out)
	}
}

// window is one window, with cookies of its own. What the browser complains of in it
// is a fault of the page.
type window struct {
	t   *testing.T
	ctx context.Context
	at  string // of the page

	mu       sync.Mutex
	faults   []string
	expected []string // complaints that contain one of these are none
}

func (b *browser) window(at string) *window {
	b.t.Helper()
	b.first(at) // without it there is no browser
	ctx, stop := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	b.t.Cleanup(stop)
	return b.watched(ctx, at)
}

// first is the window that the browser begins with; it belongs to the profile.
func (b *browser) first(at string) *window { return b.watched(b.ctx, at) }

func (b *browser) watched(ctx context.Context, at string) *window {
	b.t.Helper()
	w := &window{t: b.t, ctx: ctx, at: at}
	w.check(chromedp.Do(ctx))
	w.check(chromedp.Listen(ctx, w.heard))
	_, err := chromedp.Call(ctx, audits.Enable, cdp.Empty{})
	w.check(err)
	b.t.Cleanup(w.quiet)
	return w
}

// heard takes what the console, the policy and the scripts complain of.
func (w *window) heard(event any) {
	switch e := event.(type) {
	case *audits.EventIssueAdded:
		w.fault(fmt.Sprintf("issue %s: %+v", e.Issue.Code, *e.Issue.Details))
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelVerbose { // advice to authors
			return
		}
		w.fault(fmt.Sprintf("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL))
	case *runtime.EventExceptionThrown:
		w.fault(fmt.Sprintf("exception: %+v", *e.ExceptionDetails))
	case *runtime.EventConsoleAPICalled:
		w.fault(fmt.Sprintf("the script says %v", e.Args))
	}
}

// expects takes complaints that contain the text for none.
func (w *window) expects(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expected = append(w.expected, text)
}

func (w *window) fault(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, text)
}

// quiet fails the test where there was a complaint.
func (w *window) quiet() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.faults {
		fine := false
		for _, e := range w.expected {
			fine = fine || strings.Contains(f, e)
		}
		if !fine {
			w.t.Errorf("the browser complains: %s", f)
		}
	}
}

func (w *window) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// does does it, within the patience.
func (w *window) does(steps ...chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	ctx, stop := context.WithTimeout(w.ctx, patience)
	defer stop()
	if err := chromedp.Do(ctx, steps...); err != nil {
		text, _ := chromedp.Run(w.ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
		w.t.Fatalf("%v; the page is\n%s", err, text)
	}
}

// goes loads a page of the site.
func (w *window) goes(path string) { w.t.Helper(); w.does(chromedp.Navigate(w.at + path)) }

// loads does what leads to another page, and waits for it.
func (w *window) loads(steps ...chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	ctx, stop := context.WithTimeout(w.ctx, patience)
	defer stop()
	_, err := chromedp.RunResponse(ctx, steps...)
	w.check(err)
}

// waits waits until an expression is true. A page that is just being loaded has no answer yet.
func (w *window) waits(expression string) {
	w.t.Helper()
	var last error
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var so bool
		if so, last = chromedp.Run(w.ctx, chromedp.Evaluate[bool](expression)); so {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("it never is so: %s (%v); the page is\n%s", expression, last, is[string](w, `location.href + "\n" + document.body.innerText`))
		}
	}
}

// is evaluates an expression.
func is[T any](w *window, expression string) T {
	w.t.Helper()
	v, err := chromedp.Run(w.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		w.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// logsIn does it as a person does: the field has the focus already.
func (w *window) logsIn(token string) {
	w.t.Helper()
	w.goes("/")
	w.waits(`document.activeElement.id === "token"`)
	w.loads(chromedp.KeyEvent(token + "\r"))
}
