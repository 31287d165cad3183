package serve

import (
	"io"
	"log/slog"
	"net/http"
	"time"
)

// stallTimeout is how long a client may send or take nothing while a body is on its way.
// A slow client is served as long as some bytes move; one that stalls is disconnected.
const stallTimeout = 30 * time.Second

// response is an http.ResponseWriter that gives the client stallTimeout for each piece
// of the body, and remembers the status and the number of bytes sent for the log.
type response struct {
	http.ResponseWriter
	control *http.ResponseController
	status  int
	bytes   int64
}

// extendWriteDeadline gives the client another stallTimeout to take what is sent.
func (a *response) extendWriteDeadline() {
	_ = a.control.SetWriteDeadline(time.Now().Add(stallTimeout))
}

func (a *response) WriteHeader(code int) {
	if a.status == 0 {
		a.status = code
	}
	a.ResponseWriter.WriteHeader(code)
}

func (a *response) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	a.extendWriteDeadline()
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}

func (a *response) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// body is a request body of which the client must send some bytes every stallTimeout.
type body struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *body) Read(p []byte) (int, error) {
	_ = b.control.SetReadDeadline(time.Now().Add(stallTimeout))
	return b.ReadCloser.Read(p)
}

// Bounded wraps a handler so that a client that stalls is disconnected after
// stallTimeout.
func Bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = &body{r.Body, control}
		}
		a := &response{ResponseWriter: w, control: control}
		_ = control.SetWriteDeadline(time.Time{}) // none until there is something to send: an upload may take long
		next.ServeHTTP(a, r)
		a.extendWriteDeadline() // the server sends what is still buffered after the handler has returned
	})
}

// logged counts each request and writes one line about it to the access log, without
// credentials.
func (s *Server) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, begun := w.(*response), time.Now()
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
