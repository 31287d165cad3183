package main

import (
	"bufio"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"station/internal/flow"
	"station/internal/plain"
)

// A PKCS#11 module writes to standard error what it likes, in the middle of the
// screen too. With --log that goes into the log, as events "module.said"; what
// comes before the log is open is kept for it, and what comes after it was
// closed goes to standard error at the end.
var modules moduleVoice

type moduleVoice struct {
	restore func() // ends the diversion; nil: there is none
	ended   chan struct{}

	mu   sync.Mutex
	log  func(flow.Event)
	kept []string
}

// A module may say what it likes, and as much: a longer line is several.
const (
	mostKept    = 256 // lines
	longestSaid = 4096
)

// listen begins the diversion if the command line has a log.
func (m *moduleVoice) listen(args []string) {
	if !slices.ContainsFunc(args, func(a string) bool { return a == "--log" || strings.HasPrefix(a, "--log=") }) {
		return
	}
	r, restore, err := divertStderr()
	if err != nil || r == nil {
		return // then it is as without a log
	}
	m.restore, m.ended = restore, make(chan struct{})
	go m.hear(r)
}

func (m *moduleVoice) hear(r io.ReadCloser) {
	defer close(m.ended)
	defer r.Close()
	for lines := bufio.NewReaderSize(r, longestSaid); ; {
		line, _, err := lines.ReadLine()
		if len(line) > 0 {
			m.said(string(line))
		}
		if err != nil {
			return
		}
	}
}

func (m *moduleVoice) said(line string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.log != nil:
		m.log(flow.Event{Time: time.Now(), Event: flow.ModuleSaid, Message: line})
	case len(m.kept) < mostKept:
		m.kept = append(m.kept, line)
	}
}

// to sends what was said, and what will be, to a log; nil: it was closed.
func (m *moduleVoice) to(log func(flow.Event)) {
	m.mu.Lock()
	m.log = log
	kept := m.kept
	if log != nil {
		m.kept = nil
	}
	m.mu.Unlock()
	if log == nil {
		return
	}
	for _, line := range kept {
		m.said(line)
	}
}

// end gives standard error back, and tells a person what no log took.
func (m *moduleVoice) end(person io.Writer) {
	if m.restore == nil {
		return
	}
	m.restore()
	<-m.ended
	for _, line := range m.kept {
		plain.Fprintf(person, "station: the module says: %s\n", line)
	}
}
