package page

import (
	"crypto/rand"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Bounds of a login.
const (
	cookieName   = "__Host-station" // the browser takes it over TLS alone, for this host alone
	sessionTime  = 12 * time.Hour
	mostSessions = 1000
	mostTries    = 10 // wrong tokens of an address, or of any hundred addresses, in tryTime
	tryTime      = time.Minute
)

// session is a reader who has logged in: with which token, until when.
type session struct {
	sum   string
	until time.Time
}

// sessions are in memory: whoever restarts the site logs everybody out.
type sessions struct {
	mu   sync.Mutex
	byID map[string]session
}

func (s *sessions) begin(sum string, now time.Time) (id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil {
		s.byID = map[string]session{}
	}
	for id, one := range s.byID {
		if now.After(one.until) || len(s.byID) >= mostSessions {
			delete(s.byID, id)
		}
	}
	id = rand.Text()
	s.byID[id] = session{sum, now.Add(sessionTime)}
	return id
}

func (s *sessions) of(id string, now time.Time) (sum string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, ok := s.byID[id]
	return one.sum, ok && now.Before(one.until)
}

func (s *sessions) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, id)
}

// tries counts wrong tokens.
type tries struct {
	mu    sync.Mutex
	since time.Time
	wrong map[string]int // by address; "" is all
}

// may tells whether the address may try now.
func (t *tries) may(address string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.wrong == nil || now.Sub(t.since) >= tryTime {
		t.since, t.wrong = now, map[string]int{}
	}
	return t.wrong[address] < mostTries && t.wrong[""] < 100*mostTries
}

func (t *tries) failed(address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wrong[address]++
	t.wrong[""]++
}

// knows tells whether the request is of somebody who may read.
func (s *Server) knows(r *http.Request) bool {
	if r.TLS != nil && s.Certified != nil && s.Certified.Good(r.TLS.VerifiedChains) {
		return true
	}
	c, err := r.Cookie(cookieName)
	if err != nil {
		return false
	}
	sum, ok := s.sessions.of(c.Value, time.Now())
	if ok {
		_, ok = s.Readers.who(sum)
	}
	return ok
}

// reader lets in who may read; others are asked who they are.
func (s *Server) reader(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.knows(r):
			next(w, r)
		case r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html"):
			http.Redirect(w, r, "/login", http.StatusSeeOther)
		default:
			http.Error(w, http.StatusText(http.StatusUnauthorized), http.StatusUnauthorized)
		}
	})
}

func (s *Server) loginPage(w http.ResponseWriter, r *http.Request) {
	s.show(w, r, http.StatusOK, "login.html", languageOf(r).LogIn, "")
}

func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	address, _, _ := net.SplitHostPort(r.RemoteAddr)
	l := languageOf(r)
	if !s.tries.may(address, time.Now()) {
		s.show(w, r, http.StatusTooManyRequests, "login.html", l.LogIn, l.TooMany)
		return
	}
	sum := digest(strings.TrimSpace(r.PostFormValue("token")))
	if _, ok := s.Readers.who(sum); !ok {
		s.tries.failed(address)
		s.show(w, r, http.StatusForbidden, "login.html", l.LogIn, l.Wrong)
		return
	}
	http.SetCookie(w, cookie(s.sessions.begin(sum, time.Now()), sessionTime))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func cookie(value string, lasts time.Duration) *http.Cookie {
	return &http.Cookie{Name: cookieName, Value: value, Path: "/", MaxAge: int(lasts.Seconds()), Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}
}

func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(cookieName); err == nil {
		s.sessions.end(c.Value)
	}
	http.SetCookie(w, cookie("", -time.Second))
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}
