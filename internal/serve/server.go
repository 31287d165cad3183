// Package serve is the update server: it keeps releases and gives each device
// the one that the record allows it, over HTTPS by three doors: the protocol of
// the secure-FOTA environment, plain files, and hawkBit's DDI. What it knows of
// a device is in the ledger and in the store, not in memory.
package serve

import (
	"context"
	"crypto"
	"crypto/x509"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"station/internal/chip"
	"station/internal/record"
	"station/internal/release"
	"station/internal/store"
)

// Store is where artifacts and records are.
type Store interface {
	Artifact(d store.Digest) (io.ReadSeekCloser, error)
	Has(d store.Digest) bool
	Put(r io.Reader, most int64) (store.Digest, int64, error)
	Incoming(d store.Digest) (int64, error)
	Resume(d store.Digest, offset, total int64, r io.Reader) (int64, error)
	Get(key string) (value []byte, revision uint64, err error)
	Set(key string, value []byte, revision uint64) (uint64, error)
	Keys(prefix string) ([]string, error)
	Path(key string, revision uint64) string
	// Generation changes with every record whose key begins with the kind.
	Generation(kind string) (n uint64, settled bool, err error)
	// Sweep removes uploads that broke off and artifacts that are not named, those that nobody asked
	// for since then.
	Sweep(before time.Time, named func(store.Digest) bool) (removed int, err error)
}

// Ledger is the record of the devices.
type Ledger interface {
	Device(mac chip.MAC) (record.Device, bool, error)
	// Updates are what the device was offered and how that ended, the oldest first.
	Updates(mac chip.MAC) ([]record.Entry, error)
	Append(e record.Entry) error
}

// Identities tells who a device is.
type Identities interface {
	// Token tells whether the secret is that of the device.
	Token(ctx context.Context, mac chip.MAC, secret string) (bool, error)
	// Certificate is the device that shows a certificate of the line's CA, unless it was
	// revoked. These are the chains that TLS has verified, none
	// without a certificate, which begins each.
	Certificate(chains [][]*x509.Certificate) (chip.MAC, error)
}

// Authors tells who may bring releases.
type Authors interface {
	Author(name, secret string) bool
}

// Server is an update server.
type Server struct {
	Store      Store
	Ledger     Ledger
	Identities Identities
	Authors    Authors
	// Signers are the keys that sign apps and bundles; with any, one that none of them
	// signed is not taken. The other forms are for devices to check.
	Signers  []crypto.PublicKey
	Access   *slog.Logger  // one line a request; nil is none
	Most     int64         // bytes of an artifact; 0 is DefaultMost
	Poll     time.Duration // how often a hawkBit client shall ask; 0 is DefaultPoll
	Operator string        // in whose name entries are written

	counts   counts
	shelf    shelf[[]*release.Release] // by product, of those that devices have
	rollouts shelf[*release.Rollout]
	turns    [256]sync.Mutex // of devices, by the last byte of the MAC
}

// What a server has unless told otherwise.
const (
	DefaultMost = 64 << 20
	DefaultPoll = 5 * time.Minute
)

// Handler is everything that the server answers. Whoever does not show who he
// is sees nothing, not even what there is.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.health)
	author := func(pattern string, h http.HandlerFunc) { mux.Handle(pattern, s.author(h)) }
	device := func(pattern string, h func(*visit)) { mux.Handle(pattern, s.device(h)) }
	ddi := func(pattern string, h func(*visit)) { device(pattern, func(v *visit) { v.cancels = true; h(v) }) }
	author("GET /metrics", s.metrics)
	author("POST /uploadFile", s.uploadFile)
	author("HEAD /v1/artifacts/{digest}", s.uploaded)
	author("PATCH /v1/artifacts/{digest}", s.uploadPart)
	author("PUT /v1/releases/{product}/{id}", s.putRelease)
	author("GET /v1/releases/{product}", s.listReleases)
	device("GET /update/newest/manifest", s.newestManifest)
	device("GET /update/newest/binary", s.newestBinary)
	device("GET /files/{product}/{file}", s.file)
	device("POST /files/{product}/result", s.fileResult)
	ddi("GET /{tenant}/controller/v1/{device}", s.ddiPoll)
	ddi("PUT /{tenant}/controller/v1/{device}/configData", s.ddiConfig)
	ddi("GET /{tenant}/controller/v1/{device}/deploymentBase/{action}", s.ddiDeployment)
	ddi("POST /{tenant}/controller/v1/{device}/deploymentBase/{action}/feedback", s.ddiFeedback)
	ddi("GET /{tenant}/controller/v1/{device}/cancelAction/{action}", s.ddiCancel)
	ddi("POST /{tenant}/controller/v1/{device}/cancelAction/{action}/feedback", s.ddiCancelled)
	ddi("GET /{tenant}/controller/v1/{device}/softwaremodules/{module}/artifacts", s.ddiArtifacts)
	ddi("GET /{tenant}/controller/v1/{device}/softwaremodules/{module}/artifacts/{file}", s.ddiFile)
	return Bounded(s.logged(mux))
}

func (s *Server) most() int64 {
	if s.Most > 0 {
		return s.Most
	}
	return DefaultMost
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	if _, err := s.Store.Keys("release"); err != nil {
		http.Error(w, "the store cannot be read", http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}
