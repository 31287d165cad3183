package serve

import (
	"net/http"

	"station/internal/release"
)

// This file is the door for devices of the secure-FOTA environment. They ask with the
// query parameter deviceType, which is the name of the product.

// newestManifest sends the manifest of the offered release.
func (s *Server) newestManifest(v *visit) { s.newest(v, release.KindManifest) }

// newestBinary sends the file of the offered release that suits the device best.
func (s *Server) newestBinary(v *visit) { s.newest(v, "") }

// newest sends the file of that kind; "" is the one that suits the device best.
func (s *Server) newest(v *visit, kind release.Kind) {
	if v.ask.URL.Query().Get("deviceType") != v.device.Product {
		notFound(v)
		return
	}
	s.give(v, kind)
}

// notFound answers 404, in the same words whatever is missing.
func notFound(w http.ResponseWriter) { http.Error(w, "there is none", http.StatusNotFound) }
