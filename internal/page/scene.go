package page

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"station/internal/board"
	"station/internal/flow"
	plaintext "station/internal/plain"
	"station/internal/site/hub"
	"station/internal/words"
)

// overview is what the first page shows: the day over all benches, and each bench.
type overview struct {
	Passed, Retry, Aside int
	Yield                string
	Simulated            bool // it counts virtual devices, of which alone there are any
	Failures             []failure
	Benches              []bench
}

type failure struct {
	Code     flow.Code
	Sentence string
	N        int
}

// bench is one bench as it is now.
type bench struct {
	Name, State       string
	Alarm             bool // something is wrong with the bench itself
	Job, Batch, Note  string
	Operator          string
	Passed, Failed    int
	Yield             string
	Slots             []slot
	Simulated, Called bool
}

// slot is one slot in words.
type slot struct {
	Name, MAC, Serial     string
	Tone                  words.Tone
	Fill                  bool
	Sign, Word, Own       string // the word in block letters, and in the reader's language
	Sentence, Do, Step    string
	Far, Code, Hint       string
	Percent               int
	Counts, Held, Virtual bool
}

const silence = 15 * time.Second

// overview is the page's content in a language.
func (s *Server) overview(l *language, now time.Time) (o overview, err error) {
	members, err := s.Site.Benches()
	if err != nil {
		return o, err
	}
	slices.SortFunc(members, func(a, b hub.Member) int { return plaintext.Natural(a.Name, b.Name) })
	list := make([]board.Day, len(members))
	for i, m := range members {
		if list[i], err = s.days.today(s.Site.Replicas(), m.Name, now); err != nil {
			return o, err
		}
		o.Benches = append(o.Benches, s.bench(l, m, list[i], now))
	}
	o.sum(l, list)
	return o, nil
}

// sum counts the day of all benches. Virtual devices are never counted with real ones:
// benches that have no others are left out where there is a real one.
func (o *overview) sum(l *language, list []board.Day) {
	real := slices.ContainsFunc(list, func(d board.Day) bool { return !d.Simulated })
	codes, first, devices := map[flow.Code]int{}, 0, 0
	for _, day := range list {
		if real && day.Simulated {
			continue
		}
		o.Passed, o.Retry, o.Aside = o.Passed+day.Counts.Passed-day.Counts.Already, o.Retry+day.Counts.Retry, o.Aside+day.Counts.Scrap+day.Counts.Quarantined
		first, devices = first+day.FirstPass, devices+day.Devices
		for code, n := range day.Codes {
			codes[code] += n
		}
	}
	o.Simulated = !real && devices > 0
	o.Yield = yield(first, devices)
	o.Failures = failures(l, codes)
}

func yield(first, devices int) string {
	if devices == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(first)/float64(devices))
}

func failures(l *language, codes map[flow.Code]int) (list []failure) {
	for code, n := range codes {
		sentence, _ := l.Failure(code, flow.FailureOf(code).Sentence, "")
		list = append(list, failure{code, sentence, n})
	}
	slices.SortFunc(list, func(a, b failure) int { return cmp.Or(b.N-a.N, cmp.Compare(a.Code, b.Code)) })
	return list
}

func (s *Server) bench(l *language, m hub.Member, day board.Day, now time.Time) bench {
	b := bench{Name: m.Name, Passed: day.Counts.Passed - day.Counts.Already, Failed: day.Counts.Retry + day.Counts.Scrap + day.Counts.Quarantined, Yield: yield(day.FirstPass, day.Devices)}
	word, heard := s.Site.Live(m.Name)
	var line board.Live
	if heard && json.Unmarshal(word.State, &line) != nil {
		heard = false
	}
	switch here := now.Sub(word.At) < cmp.Or(s.Silence, silence); {
	case m.Halt != nil:
		b.State, b.Alarm = l.Refused+": "+m.Halt.Reason, true
	case !m.Revoked.IsZero():
		b.State, b.Alarm = l.Revoked+" "+clock(m.Revoked), true
	case m.Stuck != "":
		b.State, b.Alarm = l.Stuck, true
	case !heard && m.Last.IsZero():
		b.State = l.None
	case !heard:
		b.State = l.Never + " " + clock(m.Last)
	case line.Done:
		b.State = l.LineEnded + " " + clock(word.At)
	case !here:
		b.State, b.Alarm = l.Away+" "+clock(word.At), true
	default:
		b.State, b.Called = l.Here, true
	}
	if heard {
		b.line(l, &line)
	}
	b.harmless()
	return b
}

func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// most is how many slots of a bench are shown.
const most = 64

func (b *bench) line(l *language, line *board.Live) {
	b.Job, b.Batch, b.Operator, b.Simulated = strings.TrimSpace(line.Job+" "+line.Revision), line.Batch, line.Operator, line.Simulated
	if line.Halt != nil {
		sentence, do := l.Failure(line.Halt.Code, line.Halt.Message, line.Halt.Action)
		b.Note = fmt.Sprintf(l.Fault, sentence+" "+do)
	} else if line.Undeclared {
		b.Note = fmt.Sprintf(l.Undeclared, line.Batch)
	}
	for i := range line.Slots[:min(len(line.Slots), most)] {
		b.Slots = append(b.Slots, slotOf(l, line, &line.Slots[i]))
	}
}

// slotOf is what the operator's tile says, for a reader who is not there.
func slotOf(l *language, line *board.Live, one *board.LiveSlot) slot {
	s := &one.SlotStatus
	t := words.ToneOf(s)
	look := words.Looks[t]
	v := slot{Name: s.Name, Tone: t, Fill: look.Fill && !s.Removed, Sign: look.Sign, Serial: s.Serial, Code: string(s.Code), Hint: l.HintOf(s.Name, one.Hint), Held: t == words.Held, Virtual: s.Virtual}
	if !s.MAC.IsZero() {
		v.MAC = s.MAC.String()
	}
	switch {
	case s.Busy:
		v.work(l, line, s)
	case s.Verdict == "":
		v.Word = l.Ready
		if line.Halt != nil || line.Done {
			v.Word = l.Empty
		}
	default:
		v.Word, v.Own = string(s.Verdict), l.Verdicts[s.Verdict]
		v.Sentence, v.Do = l.Sentence(s)
		switch {
		case one.PutOff:
			v.Do = l.PutOff
		case s.Removed:
			v.Do = l.Taken
		}
	}
	return v
}

func (v *slot) work(l *language, line *board.Live, s *board.SlotStatus) {
	v.Step = l.StepTitle(s.Step, s.Title)
	if n := slices.Index(line.Steps, s.Step); n >= 0 {
		v.Far = fmt.Sprintf(l.Step, n+1, len(line.Steps))
	}
	switch v.Tone {
	case words.Held:
		v.Word = l.DoNotUnplug
	case words.Scanning:
		v.Sentence = l.ScanNow
	}
	if s.Waits {
		v.Sentence = l.Waits
	}
	if v.Counts = s.Total > 0 && !s.Waits; v.Counts {
		v.Percent = min(max(s.Percent, 0), 100)
	}
	if hand := l.Hands[s.Hand]; hand != "" {
		v.Do = hand
	}
}

// harmless is what a bench told on one line each, with nothing hidden in it.
func (b *bench) harmless() { plaintext.Value(b) }

func (s *Server) benches(w http.ResponseWriter, r *http.Request) {
	l := languageOf(r)
	o, err := s.overview(l, time.Now())
	if err != nil {
		s.fail(w, r, http.StatusInternalServerError, err)
		return
	}
	s.show(w, r, http.StatusOK, "benches.html", l.Benches, o)
}
