package serve

import (
	"errors"
	"net/http"
	"strings"

	"station/internal/chip"
	"station/internal/record"
	"station/internal/release"
)

// visit is a request of a device whose credentials were right and which the ledger lets
// in.
type visit struct {
	http.ResponseWriter
	ask     *http.Request
	device  release.Device
	state   state
	cancels bool  // the client can be told to cancel an update: it speaks DDI
	lapsed  int64 // release that it was offered before and may not have any more; 0: none
}

// author wraps a handler that only authors may use.
func (s *Server) author(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, secret, ok := r.BasicAuth()
		if !ok || s.Authors == nil || !s.Authors.Author(name, secret) {
			askCredentials(w)
			return
		}
		h(w, r)
	})
}

// askCredentials answers 401.
func askCredentials(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Basic realm="station"`)
	http.Error(w, "who are you?", http.StatusUnauthorized)
}

// device wraps a handler that only devices may use: those that the ledger has as sealed,
// and as neither set aside nor revoked. A device without valid credentials gets 401, one
// that is turned away gets 403 with the reason.
func (s *Server) device(h func(*visit)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mac, err := s.identify(r)
		if errors.Is(err, errUnknown) {
			s.counts.unknown.Add(1)
			askCredentials(w)
			return
		}
		if err != nil {
			s.fail(w, r, err)
			return
		}
		v := &visit{ResponseWriter: w, ask: r}
		why, err := s.admit(v, mac)
		switch {
		case err != nil:
			s.fail(w, r, err)
		case why != "":
			s.counts.refused.Add(1)
			http.Error(w, why, http.StatusForbidden)
		default:
			h(v)
		}
	})
}

// errUnknown: the request has no valid credentials of a device.
var errUnknown = errors.New("no device's credential")

// identify finds out which device asks: by a client certificate, by HTTP basic
// authentication with MAC and token, or by the DDI's TargetToken. A certificate that is
// not accepted is ignored. Without valid credentials the error is errUnknown.
func (s *Server) identify(r *http.Request) (chip.MAC, error) {
	if r.TLS != nil {
		if mac, err := s.Identities.Certificate(r.TLS.VerifiedChains); err == nil {
			return mac, nil
		}
	}
	name, secret, ok := credentials(r)
	if token, is := strings.CutPrefix(r.Header.Get("Authorization"), "TargetToken "); is {
		name, secret, ok = r.PathValue("device"), token, true
	}
	mac, err := chip.ParseMAC(name)
	if !ok || err != nil || secret == "" {
		return mac, errUnknown
	}
	right, err := s.Identities.Token(r.Context(), mac, secret)
	if err == nil && !right {
		err = errUnknown
	}
	return mac, err
}

// credentials are the MAC and the token of HTTP basic authentication. That ends the name
// at the first colon, but clients also send MACs with colons: those are put together
// again.
func credentials(r *http.Request) (name, secret string, ok bool) {
	name, secret, ok = r.BasicAuth()
	if all, colons := name+":"+secret, len("24:0a:c4:01:02:03"); len(name) == 2 && len(all) > colons && all[colons] == ':' {
		return all[:colons], all[colons+1:], ok
	}
	return name, secret, ok
}

// admit asks the ledger whether the device may have updates, and fills in v. If it may
// not, why says so in words, and the refusal is written into the ledger once for each
// reason.
func (s *Server) admit(v *visit, mac chip.MAC) (why string, err error) {
	d, known, err := s.Ledger.Device(mac)
	if err != nil {
		return "", err
	}
	if err := s.load(mac, &v.state); err != nil {
		return "", err
	}
	why = release.Refusal(d, known)
	if id := v.ask.PathValue("device"); id != "" && why == "" {
		if asked, err := chip.ParseMAC(id); err != nil || asked != mac {
			return "that is another device", nil
		}
	}
	if why != "" {
		return why, s.refuse(v, mac, record.Field{Product: d.Job, MAC: mac.String()}, why)
	}
	v.device = release.Of(d)
	v.state.applyTo(&v.device)
	return "", nil
}

// refuse writes into the ledger that a device is turned away, unless the last entry
// about it says the same.
func (s *Server) refuse(v *visit, mac chip.MAC, f record.Field, why string) error {
	if v.state.Refused == why {
		return nil
	}
	defer s.lockDevice(mac)()
	if err := s.load(mac, &v.state); err != nil || v.state.Refused == why { // another request of it may have been faster
		return err
	}
	if err := s.append(entry(record.UpdateRefused, chip.MAC{}, f, why)); err != nil {
		return err
	}
	return s.change(mac, &v.state, func(st *state) { st.Refused = why })
}
