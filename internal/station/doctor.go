package station

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"station/internal/keyfile"
	"station/internal/ledger"
	"station/internal/port"
)

// Finding is one thing that the doctor looked at.
type Finding struct {
	What  string    `json:"what"` // "clock", "disk", "slot 3"
	State Soundness `json:"state"`
	Words string    `json:"words"`
	Fix   string    `json:"fix,omitempty"` // what to do; empty where nothing is wrong
}

// Soundness is how well something works that a station needs.
type Soundness string

const (
	Sound   Soundness = "ok"
	Doubt   Soundness = "warning" // a line works, worse than it could
	Unsound Soundness = "fault"   // a line does not work
	Untried Soundness = "untried" // it could not be looked at
)

// Examine looks at what a station stands on, besides its token: ledger, disk,
// clock, printer, the ports of its slots. It opens no port, because that can
// reset what is behind it. bauds are the rates that jobs ask for.
func (s *File) Examine(m Machine, bauds ...int) []Finding {
	book, last := s.ledgerSound()
	all := []Finding{book, s.diskSound(), s.clockSound(last)}
	if s.Label.Printer != "" {
		all = append(all, m.writable("printer", s.Label.Printer))
	}
	all = append(all, m.lockSound())
	all = append(all, m.grabbers()...)
	return append(all, s.slotsSound(m, bauds)...)
}

// ExamineWithout looks at what needs no station file, where there is none at path:
// the disk beside it, the clock, and every adapter that is plugged in.
func (m Machine) ExamineWithout(path string, ports []port.Info, bauds ...int) []Finding {
	s := &File{Path: path}
	s.Ledger = s.beside("ledger.db")
	all := []Finding{
		{What: "station file", State: Unsound, Words: fmt.Sprintf("there is no %s; the ledger, token and slots that it names were not looked at", path),
			Fix: fmt.Sprintf("%s; then correct it: docs/files.md has every key", writeOne(path))},
		s.diskSound(), s.clockSound(time.Time{}), m.lockSound()}
	all = append(all, m.grabbers()...)
	return append(all, m.portsSound(ports, bauds)...)
}

// writeOne is a command for a shell that writes a first station file.
func writeOne(path string) string {
	return `printf 'id = "bench-1"\nledger = "ledger.db"\n[hsm]\nuri = "pkcs11:token=line-1?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:pin"\n' > ` +
		"'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// ledgerSound opens the ledger and looks no further than its head; last is the
// time of its last entry, zero without one.
func (s *File) ledgerSound() (f Finding, last time.Time) {
	f.What = "ledger"
	book, err := ledger.Open(s.Ledger, ledger.Options{ReadOnly: true})
	if errors.Is(err, fs.ErrNotExist) {
		f.State, f.Words = Sound, fmt.Sprintf("%s is made by the first entry", s.Ledger)
		return f, last
	}
	if err != nil {
		f.State, f.Words, f.Fix = Unsound, err.Error(), `"station ledger verify" says what is wrong with it; docs/recovery.md has the way back`
		return f, last
	}
	defer book.Close()
	size, _, err := book.Head()
	if err != nil {
		f.State, f.Words, f.Fix = Unsound, err.Error(), `"station ledger verify" says what is wrong with it`
		return f, last
	}
	if size > 0 {
		if e, err := book.Entry(size - 1); err == nil {
			last = e.Time
		}
	}
	f.State, f.Words = Sound, fmt.Sprintf("%s, entries: %d", s.Ledger, size)
	return f, last
}

// roomyDisk is space below which a line of days may end.
const roomyDisk = 1 << 30

// diskSound is the room and the kind of the disk that the ledger is on.
func (s *File) diskSound() Finding {
	f := Finding{What: "disk"}
	dir := filepath.Dir(s.Ledger)
	free, err := keyfile.Free(dir)
	if errors.Is(err, errors.ErrUnsupported) {
		f.State, f.Words = Untried, "this system does not tell how full it is"
		return f
	}
	if err != nil {
		f.State, f.Words, f.Fix = Unsound, err.Error(), "make the folder of the ledger, or name another in station.toml"
		return f
	}
	return roomSound(free, remote(dir))
}

// roomSound judges a disk by its room and by its kind, where it is one of a network.
func roomSound(free int64, kind string) Finding {
	f := Finding{What: "disk", State: Sound, Words: fmt.Sprintf("%d MB free for the ledger", free>>20)}
	switch {
	case free < lowDisk:
		f.State, f.Fix = Unsound, "make room: a line stops below 100 MB"
	case kind != "":
		f.State = Unsound
		f.Words, f.Fix = fmt.Sprintf("the ledger is on a network disk (%s)", kind),
			`keep it on a disk of this machine: locks and syncs of network disks cannot be trusted; "station ledger backup" copies it`
	case free < roomyDisk:
		f.State, f.Fix = Doubt, "make room soon"
	}
	return f
}

// clockSound compares the clock with the ledger's last entry and with what the
// system says of it.
func (*File) clockSound(last time.Time) Finding {
	synced, known := clockSynced()
	return timeSound(time.Now(), last, synced || !known)
}

func timeSound(now, last time.Time, kept bool) Finding {
	f := Finding{What: "clock", State: Sound, Words: now.Format(time.RFC3339)}
	switch {
	case last.After(now.Add(time.Minute)):
		f.State = Unsound
		f.Words, f.Fix = fmt.Sprintf("%s is before the ledger's last entry, %s", now.UTC().Format(time.RFC3339), last.UTC().Format(time.RFC3339)),
			"set the clock: entries carry its time"
	case !kept:
		f.State, f.Words, f.Fix = Doubt, f.Words+", not kept by a time server", "switch NTP on: timedatectl set-ntp true"
	}
	return f
}

// Worst is the worst that was found.
func Worst(list []Finding) Soundness {
	order := map[Soundness]int{Sound: 0, Untried: 1, Doubt: 2, Unsound: 3}
	worst := Sound
	for _, f := range list {
		if cmp.Less(order[worst], order[f.State]) {
			worst = f.State
		}
	}
	return worst
}
