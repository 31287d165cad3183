// Package page is the site's page: every bench and slot as it is now, in the
// operators' own words and colours, the day, batches, releases and rollouts, and
// each device with its whole life. It is read only, drawn on the server, and shows
// nothing to who has not shown who he is.
package page

import (
	"context"
	"crypto/tls"
	"embed"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	plaintext "station/internal/plain"
	"station/internal/record"
	"station/internal/release"
	"station/internal/serve"
	"station/internal/site/hub"
	"station/internal/words"
)

// Server serves the page of a site that runs in this process.
type Server struct {
	Name      string // of the site
	Site      *hub.Server
	Readers   *Readers            // who may read, by token
	Certified *serve.Certificates // who may read by a certificate; nil: nobody
	Releases  release.Records     // nil: there are none
	Tell      func(string)        // what the page itself could not do
	// Silence is after how long without a word a bench is away; 0 is 15 s.
	Silence time.Duration

	sessions sessions
	tries    tries
	days     days
	scene    scene
	ended    chan struct{}
}

//go:embed files
var files embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{"line": plaintext.Line, "sign": record.Verdict.Sign, "percent": func(f float64) string { return fmt.Sprintf("%.1f %%", 100*f) }}).ParseFS(files, "files/*.html"))

const connections = 1000

// Listen serves until ctx ends.
func (s *Server) Listen(ctx context.Context, l net.Listener, cert func(*tls.ClientHelloInfo) (*tls.Certificate, error)) error {
	s.ended = make(chan struct{})
	go func() { // streams have no end of their own
		<-ctx.Done()
		close(s.ended)
	}()
	return serve.Listen(ctx, l, s.Handler(), cert, s.Certified.Pool(), connections)
}

// Handler is everything that the page answers.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /style.css", s.file("style.css", "text/css; charset=utf-8", colours))
	mux.HandleFunc("GET /page.js", s.file("page.js", "text/javascript; charset=utf-8", nil))
	mux.HandleFunc("GET /icon.svg", s.file("icon.svg", "image/svg+xml", nil))
	mux.HandleFunc("GET /login", s.loginPage)
	mux.HandleFunc("POST /login", s.login)
	mux.HandleFunc("POST /logout", s.logout)
	read := func(pattern string, h http.HandlerFunc) { mux.Handle(pattern, s.reader(h)) }
	read("GET /{$}", s.benches)
	read("GET /live", s.stream)
	read("GET /batches", s.batches)
	read("GET /releases", s.releases)
	read("GET /device", s.find)
	read("GET /device/{bench}/{mac}", s.device)
	read("GET /device/{bench}/{mac}/proof", s.proof)
	read("/", func(w http.ResponseWriter, r *http.Request) { s.fail(w, r, http.StatusNotFound, nil) })
	return serve.Bounded(guarded(http.NewCrossOriginProtection().Handler(spoken(mux))))
}

// guarded lets the browser run and load nothing but what comes from here, and keep nothing.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Strict-Transport-Security", "max-age=31536000")
		h.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
		next.ServeHTTP(w, r)
	})
}

// frame is what every page has.
type frame struct {
	*language
	Site, Path, Other string // name; of this page; the language that it can be switched to
	In, Live          bool   // somebody is logged in; the page changes by itself
	Title             string
	Now               time.Time
	Data              any
}

// With is the frame of a piece of the page.
func (f frame) With(data any) frame {
	f.Data = data
	return f
}

func (s *Server) show(w http.ResponseWriter, r *http.Request, status int, name, title string, data any) {
	f := frame{language: languageOf(r), Site: s.Name, Path: r.URL.Path, In: name != "login.html", Live: name == "benches.html", Title: title, Now: time.Now(), Data: data}
	f.Other = "zh"
	if f.language == &chinese {
		f.Other = "en"
	}
	var b strings.Builder
	if err := templates.ExecuteTemplate(&b, name, f); err != nil {
		s.fail(w, r, http.StatusInternalServerError, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, b.String())
}

// fail answers in words. What is the page's own fault is told to who runs it, not to the reader.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, code int, err error) {
	if err != nil {
		s.tell(fmt.Sprintf("%s: %v", plaintext.Line(r.URL.Path), err))
	}
	http.Error(w, http.StatusText(code), code)
}

func (s *Server) tell(text string) {
	if s.Tell != nil {
		s.Tell("page: " + text)
	}
}

// file answers with a file of ours.
func (s *Server) file(name, kind string, more func(io.Writer)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		data, err := files.ReadFile("files/" + name)
		if err != nil {
			s.fail(w, r, http.StatusInternalServerError, err)
			return
		}
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(data)
		if more != nil {
			more(w)
		}
	}
}

// colours are the very ones of the benches' screens.
func colours(w io.Writer) {
	for t, l := range words.Looks {
		fmt.Fprintf(w, ".t%d { --paper: %s; --ink: %s; }\n", t, l.Paper, l.Ink)
	}
}
