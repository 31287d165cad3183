// Package serve is the update server. Authors upload releases to it over HTTPS, and
// devices ask it for updates. Devices can use one of three protocols, which are called
// doors: that of the secure-FOTA environment, plain files, and the DDI of Eclipse
// hawkBit. The server offers a device the newest release that fits it, if the ledger
// says that the device was sealed and is still in good standing. What it knows of a
// device is in the ledger and in the store, so that it can be restarted at any time.
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

// Store keeps the files of releases, by digest, and small records with revisions.
// *store.Store implements it; its methods have the details.
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
	// Generation changes whenever a record of that kind changes; the kind is the first
	// part of its key. While settled is false a change may be under way, and what is
	// read must not be cached.
	Generation(kind string) (n uint64, settled bool, err error)
	// Sweep removes unfinished uploads, and artifacts that are not named, unless they
	// were used since before.
	Sweep(before time.Time, named func(store.Digest) bool) (removed int, err error)
}

// Ledger is the append-only record of all devices.
type Ledger interface {
	// Device is the device with that MAC; false if the ledger does not have it.
	Device(mac chip.MAC) (record.Device, bool, error)
	// Updates are the entries about offers to the device and their results, oldest
	// first.
	Updates(mac chip.MAC) ([]record.Entry, error)
	Append(e record.Entry) error
}

// Identities checks the credentials of devices.
type Identities interface {
	// Token tells whether secret is the token of the device with that MAC.
	Token(ctx context.Context, mac chip.MAC, secret string) (bool, error)
	// Certificate is the MAC of the device to which a client certificate belongs. chains
	// are those that crypto/tls has verified, empty if the client showed no certificate.
	// An error means that the certificate is not accepted.
	Certificate(chains [][]*x509.Certificate) (chip.MAC, error)
}

// Authors checks the passwords of those who may upload releases.
type Authors interface {
	Author(name, secret string) bool
}

// Server is an update server. Set the exported fields before the first request.
type Server struct {
	Store      Store
	Ledger     Ledger
	Identities Identities
	Authors    Authors
	// Signers are the keys that may sign apps and slot bundles: one that none of them
	// signed is refused. With nil no signature is checked. The server cannot check the
	// other kinds of files: devices do.
	Signers  []crypto.PublicKey
	Access   *slog.Logger  // gets a line for each request and each error; nil: no log
	Most     int64         // the largest file of a release, in bytes; 0 is DefaultMost
	Poll     time.Duration // how long hawkBit clients wait between polls; 0 is DefaultPoll
	Operator string        // the name in the server's entries of the ledger; "" is "station serve"

	counts       counts
	releaseCache cache[[]*release.Release] // by product
	rolloutCache cache[*release.Rollout]
	locks        [256]sync.Mutex // of devices' states, by the last byte of the MAC
}

// Defaults of Server's fields.
const (
	DefaultMost = 64 << 20 // bytes
	DefaultPoll = 5 * time.Minute
)

// Handler answers all requests. Only /healthz is for everybody: all other paths need the
// credentials of an author or a device, and unknown paths answer 404.
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

// most is how many bytes a file of a release may have.
func (s *Server) most() int64 {
	if s.Most > 0 {
		return s.Most
	}
	return DefaultMost
}

// health answers whether the store can be read.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	if _, err := s.Store.Keys("release"); err != nil {
		http.Error(w, "the store cannot be read", http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}
