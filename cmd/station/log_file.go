package main

import (
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"station/internal/flow"
	"station/internal/keyfile"
	"station/internal/outlet"
	"station/internal/plain"
)

// openLog appends events to the file of --log, and opens it anew at SIGHUP.
func (o *options) openLog() (func(flow.Event), func() error, error) {
	if o.log == "" {
		return nil, func() error { return nil }, nil
	}
	f, err := newLogFile(o.log)
	if err != nil {
		return nil, nil, fmt.Errorf("log: %w", err)
	}
	events := outlet.New(f, droppedEvents)
	lost := func(err error) { plain.Fprintf(stderr, "station: the line goes on without its log: %v\n", err) }
	modules.to(jsonLines(plain.NewWriter(events), func(error) {}))
	end := func() error {
		modules.to(nil)
		if n, _ := events.Flush(&leaving); n > 0 {
			warning(fmt.Sprintf("log %s: nobody read it: %d events were dropped", o.log, n))
		}
		return f.Close()
	}
	return jsonLines(plain.NewWriter(events), lost), end, nil
}

// logFile is the file of --log: one that was moved away is begun anew at SIGHUP.
type logFile struct {
	path string
	hup  chan os.Signal

	mu      sync.Mutex
	file    *os.File
	writing bool // to file
}

func newLogFile(path string) (*logFile, error) {
	f, err := openLogFile(path)
	if err != nil {
		return nil, err
	}
	l := &logFile{path: path, hup: make(chan os.Signal, 1), file: f}
	signal.Notify(l.hup, syscall.SIGHUP)
	go func() {
		for range l.hup {
			l.reopen()
		}
	}()
	return l, nil
}

// reopen goes on in a file of the same name. Where that cannot be had, the log
// goes on where it was.
func (l *logFile) reopen() {
	f, err := openLogFile(l.path)
	if err != nil {
		warning(fmt.Sprintf("log %s: it is not opened anew, and goes on where it was: %v", l.path, err))
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.writing { // else Write closes it
		l.closed(l.file)
	}
	l.file = f
}

// Write implements io.Writer: one event. It is not waited for: a pipe may take
// none.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	f := l.file
	l.writing = true
	l.mu.Unlock()
	n, err := f.Write(p)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writing = false; l.file != f {
		l.closed(f)
	}
	return n, err
}

func (l *logFile) closed(f *os.File) {
	if err := f.Close(); err != nil {
		warning(fmt.Sprintf("log %s: %v", l.path, err))
	}
}

func (l *logFile) Close() error {
	signal.Stop(l.hup)
	close(l.hup)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}

// eventBegins is how each event begins as JSON, and so each log.
const eventBegins = `{"time":"`

// openLogFile opens a log at its end. A pipe is opened for reading too: then it
// opens, and stays, also without a reader.
func openLogFile(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeNamedPipe != 0 {
		return os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0)
	}
	return keyfile.Append(path, eventBegins)
}
