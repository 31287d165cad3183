package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// mostStreams is how many readers see the page live at the same time; the others see
// it when they load it again.
const mostStreams = 200

// scene is the changing part of the page, drawn once for all who look, and how many do.
type scene struct {
	mu      sync.Mutex
	streams int
	drawn   map[*language]drawing
}

type drawing struct {
	at    time.Time
	parts []part
}

// part is a piece of the page that is replaced when it changes.
type part struct {
	ID   string `json:"id"`
	HTML string `json:"html"`
}

// redraw is how long a drawing is good enough for everybody.
const redraw = 200 * time.Millisecond

// parts are the pieces as they are now.
func (s *Server) parts(l *language, now time.Time) ([]part, error) {
	s.scene.mu.Lock()
	defer s.scene.mu.Unlock()
	if d, ok := s.scene.drawn[l]; ok && now.Sub(d.at) < redraw {
		return d.parts, nil
	}
	o, err := s.overview(l, now)
	if err != nil {
		return nil, err
	}
	var list []part
	draw := func(id, name string, data any) error {
		var b bytes.Buffer
		err := templates.ExecuteTemplate(&b, name, frame{language: l, Data: data})
		list = append(list, part{id, b.String()})
		return err
	}
	if err := draw("day", "day", o); err != nil {
		return nil, err
	}
	names := ""
	for _, b := range o.Benches {
		names += " " + b.Name
		if err := draw("bench-"+b.Name, "bench", b); err != nil {
			return nil, err
		}
	}
	list = append(list, part{"all", names}) // another bench: the page is loaded again
	if s.scene.drawn == nil {
		s.scene.drawn = map[*language]drawing{}
	}
	s.scene.drawn[l] = drawing{now, list}
	return list, nil
}

func (s *Server) enter() bool {
	s.scene.mu.Lock()
	defer s.scene.mu.Unlock()
	if s.scene.streams >= mostStreams {
		return false
	}
	s.scene.streams++
	return true
}

func (s *Server) leave() {
	s.scene.mu.Lock()
	defer s.scene.mu.Unlock()
	s.scene.streams--
}

// stream tells a reader what changes, as server-sent events. Who reads slowly misses
// what was between: each gets what is so now.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
		return
	}
	defer s.leave()
	w.Header().Set("Content-Type", "text/event-stream")
	control, l, has := http.NewResponseController(w), languageOf(r), map[string]string{}
	for s.knows(r) { // until he has logged out, or was taken out
		told, entries := s.Site.Told(), time.After(time.Second)
		list, err := s.parts(l, time.Now())
		if err != nil {
			s.fail(w, r, http.StatusInternalServerError, err)
			return
		}
		if err := send(w, control, list, has); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-s.ended:
			return
		case <-told:
			time.Sleep(redraw) // what comes with it comes along
		case <-entries:
		}
	}
}

// send sends the pieces that the reader does not have.
func send(w http.ResponseWriter, control *http.ResponseController, list []part, has map[string]string) error {
	for _, p := range list {
		if had, ok := has[p.ID]; ok && had == p.HTML {
			continue
		}
		has[p.ID] = p.HTML
		data, err := json.Marshal(p)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "data: %s\n\n", data); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprint(w, ":\n\n"); err != nil {
		return err
	}
	return control.Flush()
}
