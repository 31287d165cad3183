package serve

import (
	"net/http"

	"station/internal/release"
)

// The door of the secure-FOTA environment. Its clients ask with deviceType,
// which is the product.

func (s *Server) newestManifest(v *visit) { s.newest(v, release.KindManifest) }

// newestBinary gives the form that the device reads best.
func (s *Server) newestBinary(v *visit) { s.newest(v, "") }

func (s *Server) newest(v *visit, kind release.Kind) {
	if v.ask.URL.Query().Get("deviceType") != v.device.Product {
		nothing(v)
		return
	}
	s.give(v, kind)
}

func nothing(w http.ResponseWriter) { http.Error(w, "there is none", http.StatusNotFound) }
