package page

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"station/internal/chip"
	"station/internal/flow"
	"station/internal/ledger"
	plaintext "station/internal/plain"
	"station/internal/record"
	"station/internal/release"
	"station/internal/site/replica"
)

// search is a name, and the devices that it may mean.
type search struct {
	Query string
	Found []replica.Found
}

func (s *Server) find(w http.ResponseWriter, r *http.Request) {
	l, q := languageOf(r), strings.TrimSpace(r.URL.Query().Get("q"))
	data := search{Query: q}
	if q != "" && len(q) <= 200 {
		found, err := s.Site.Replicas().Find(q)
		if err != nil {
			s.fail(w, r, http.StatusInternalServerError, err)
			return
		}
		data.Found = found
	}
	if len(data.Found) == 1 {
		d := data.Found[0]
		http.Redirect(w, r, "/device/"+d.Bench+"/"+d.Device.MAC.String(), http.StatusSeeOther)
		return
	}
	plaintext.Value(&data)
	s.show(w, r, http.StatusOK, "search.html", l.Device, data)
}

// life is a device with all that one bench wrote of it.
type life struct {
	Bench, Title, Result, Own, SetAs string
	Tone                             int
	Device                           record.Device
	Entries                          []event
	Proof                            bool
	File                             string   // of the proof
	Others                           []string // benches that know it too
}

// event is one entry in words.
type event struct {
	Index    uint64
	Time     time.Time
	What     string // in words; empty where an entry is newer than this program
	Name     string // of its kind, as the ledger has it
	Verdict  record.Verdict
	Code     record.Code
	Sentence string
	Operator string
}

// known is the ledger and the device of an address.
func (s *Server) known(r *http.Request) (*ledger.Ledger, record.Device, error) {
	mac, err := chip.ParseMAC(r.PathValue("mac"))
	l := s.Site.Replicas().Ledger(r.PathValue("bench"))
	if err != nil || l == nil {
		return nil, record.Device{}, errUnknown
	}
	d, found, err := l.Device(mac)
	if err == nil && !found {
		err = errUnknown
	}
	return l, d, err
}

var errUnknown = errors.New("there is no such device")

func (s *Server) device(w http.ResponseWriter, r *http.Request) {
	book, d, err := s.known(r)
	if errors.Is(err, errUnknown) {
		s.show(w, r, http.StatusNotFound, "search.html", languageOf(r).Device, search{Query: r.PathValue("mac")})
		return
	}
	if err == nil {
		err = s.showLife(w, r, book, d)
	}
	if err != nil {
		s.fail(w, r, http.StatusInternalServerError, err)
	}
}

func (s *Server) showLife(w http.ResponseWriter, r *http.Request, book *ledger.Ledger, d record.Device) error {
	l := languageOf(r)
	v := life{Bench: r.PathValue("bench"), Title: cmp.Or(d.Serial, d.MAC.String()), Device: d, Result: string(d.Verdict), Own: l.Verdicts[d.Verdict], File: proofFile(d), SetAs: string(d.SetAsideAs)}
	entries, err := book.History(d.MAC)
	if err != nil {
		return err
	}
	for _, e := range entries {
		one := event{Index: e.Index, Time: e.Time, What: l.Entries[e.Kind], Name: string(e.Kind), Verdict: e.Verdict, Code: e.Code, Operator: e.Operator}
		if e.Code != "" {
			one.Sentence, _ = l.Failure(e.Code, flow.FailureOf(e.Code).Sentence, "")
		}
		v.Entries = append(v.Entries, one)
	}
	switch _, _, err := book.Prove(d.MAC); {
	case err == nil:
		v.Proof = true
	case !errors.Is(err, ledger.ErrNoCheckpoint):
		return err
	}
	all, err := s.Site.Replicas().Device(d.MAC)
	if err != nil {
		return err
	}
	for _, f := range all {
		if f.Bench != v.Bench {
			v.Others = append(v.Others, f.Bench)
		}
	}
	plaintext.Value(&v)
	s.show(w, r, http.StatusOK, "device.html", v.Title, v)
	return nil
}

func proofFile(d record.Device) string { return strings.ReplaceAll(d.MAC.String(), ":", "") + ".proof" }

// proof is the file that "station ledger prove" writes.
func (s *Server) proof(w http.ResponseWriter, r *http.Request) {
	book, d, err := s.known(r)
	var file []byte
	if err == nil {
		var p ledger.Proof
		if p, _, err = book.Prove(d.MAC); err == nil {
			file, err = p.File()
		}
	}
	switch {
	case errors.Is(err, errUnknown), errors.Is(err, ledger.ErrNoCheckpoint):
		s.fail(w, r, http.StatusNotFound, nil)
	case err != nil:
		s.fail(w, r, http.StatusInternalServerError, err)
	default:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Disposition", `attachment; filename="`+proofFile(d)+`"`)
		_, _ = w.Write(file)
	}
}

func (s *Server) batches(w http.ResponseWriter, r *http.Request) {
	list, err := s.Site.Replicas().Batches()
	if err != nil {
		s.fail(w, r, http.StatusInternalServerError, err)
		return
	}
	slices.SortFunc(list, func(a, b replica.Batch) int { return b.Total().Opened.Compare(a.Total().Opened) })
	shown := newest(list, mostRows)
	plaintext.Value(&shown.List)
	s.show(w, r, http.StatusOK, "batches.html", languageOf(r).Batches, shown)
}

// mostRows is how long a list may be.
const mostRows = 500

// rows are what a page lists, newest first.
type rows[T any] struct {
	List []T
	Cut  bool // older ones are not shown
}

func newest[T any](list []T, most int) rows[T] {
	return rows[T]{list[:min(len(list), most)], len(list) > most}
}

// offered is a release with its rollout, which is nil where there is none.
type offered struct {
	*release.Release
	Rollout *release.Rollout
}

// shelf is the releases of the update server beside the page.
type shelf struct {
	rows[offered]
	NoStore bool // there is no update server
}

func (s *Server) releases(w http.ResponseWriter, r *http.Request) {
	shown := shelf{NoStore: s.Releases == nil}
	if s.Releases != nil {
		var err error
		if shown.rows, err = s.offers(); err != nil {
			s.fail(w, r, http.StatusInternalServerError, err)
			return
		}
	}
	s.show(w, r, http.StatusOK, "releases.html", languageOf(r).Releases, shown)
}

func (s *Server) leftOut(d *release.Damaged) { s.tell(fmt.Sprintf("left out: %v", d)) }

// offers are the newest releases of all products.
func (s *Server) offers() (all rows[offered], err error) {
	products, err := s.Releases.Keys("release")
	if err != nil {
		return all, err
	}
	for _, p := range products {
		docs, err := release.LoadAll(s.Releases, p, s.leftOut)
		if err != nil {
			return all, err
		}
		shown := newest(docs, mostRows/10)
		all.Cut = all.Cut || shown.Cut
		for _, doc := range shown.List {
			roll, _, err := release.LoadRollout(s.Releases, p, doc.ID)
			if damaged, is := errors.AsType[*release.Damaged](err); is {
				s.leftOut(damaged)
			} else if err != nil {
				return all, err
			}
			plaintext.Value(doc)
			all.List = append(all.List, offered{doc, roll})
		}
	}
	shown := newest(all.List, mostRows)
	shown.Cut = shown.Cut || all.Cut
	return shown, nil
}
