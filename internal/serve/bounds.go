package serve

import (
	"io"
	"log/slog"
	"net/http"
	"time"
)

// patience is how long a client may take over the next bytes of a body. Who
// moves on slowly is served; who does not is let go.
const patience = 30 * time.Second

// answer is an answer whose client has patience for each piece, and that knows
// what it said.
type answer struct {
	http.ResponseWriter
	control *http.ResponseController
	status  int
	bytes   int64
}

// moved gives the client its patience anew.
func (a *answer) moved() { _ = a.control.SetWriteDeadline(time.Now().Add(patience)) }

func (a *answer) WriteHeader(code int) {
	if a.status == 0 {
		a.status = code
	}
	a.ResponseWriter.WriteHeader(code)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	a.moved()
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}

func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// body is a body that has to come at some pace.
type body struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *body) Read(p []byte) (int, error) {
	_ = b.control.SetReadDeadline(time.Now().Add(patience))
	return b.ReadCloser.Read(p)
}

// Bounded gives each request its patience.
func Bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = &body{r.Body, control}
		}
		a := &answer{ResponseWriter: w, control: control}
		_ = control.SetWriteDeadline(time.Time{}) // none before there is something to send: a body may take its time
		next.ServeHTTP(a, r)
		a.moved() // what is left to send goes when the handler has ended
	})
}

// logged writes a line for each request. It has no credential in it.
func (s *Server) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, begun := w.(*answer), time.Now()
		next.ServeHTTP(w, r)
		s.counts.requests[min(max(a.status/100, 1), 5)].Add(1)
		s.counts.bytes.Add(a.bytes)
		if s.Access == nil {
			return
		}
		s.Access.LogAttrs(r.Context(), slog.LevelInfo, "request", slog.String("from", r.RemoteAddr), slog.String("method", r.Method),
			slog.String("path", r.URL.Path), slog.String("proto", r.Proto), slog.Int("status", a.status), slog.Int64("bytes", a.bytes),
			slog.Duration("took", time.Since(begun)))
	})
}
