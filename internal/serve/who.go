package serve

import (
	"errors"
	"net/http"
	"strings"

	"station/internal/chip"
	"station/internal/record"
	"station/internal/release"
)

// visit is one request of a device that has shown who it is and that the record
// lets in.
type visit struct {
	http.ResponseWriter
	ask    *http.Request
	device release.Device
	state  state
	// cancels: by this door a device can be told to give up what it was offered.
	cancels bool
	lapsed  int64 // what it was offered and may not have any more; 0: nothing
}

// author lets only authors in.
func (s *Server) author(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, secret, ok := r.BasicAuth()
		if !ok || s.Authors == nil || !s.Authors.Author(name, secret) {
			unknown(w)
			return
		}
		h(w, r)
	})
}

func unknown(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Basic realm="station"`)
	http.Error(w, "who are you?", http.StatusUnauthorized)
}

// device lets only devices in that can show who they are, and only those that
// the record knows for good.
func (s *Server) device(h func(*visit)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mac, err := s.identify(r)
		if errors.Is(err, errUnknown) {
			s.counts.unknown.Add(1)
			unknown(w)
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

var errUnknown = errors.New("no device's credential")

// identify finds the device by its certificate, or by name and token. A certificate
// that does not tell the device is as none.
func (s *Server) identify(r *http.Request) (chip.MAC, error) {
	if r.TLS != nil {
		if mac, err := s.Identities.Certificate(r.TLS.VerifiedChains); err == nil {
			return mac, nil
		}
	}
	name, secret, ok := basic(r)
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

// basic is the MAC and the secret of a request. A name ends at the first colon,
// but a MAC may have five of them.
func basic(r *http.Request) (name, secret string, ok bool) {
	name, secret, ok = r.BasicAuth()
	if all, colons := name+":"+secret, len("24:0a:c4:01:02:03"); len(name) == 2 && len(all) > colons && all[colons] == ':' {
		return all[:colons], all[colons+1:], ok
	}
	return name, secret, ok
}

// admit asks the record whether the device may have anything, and finds what is
// known of it. Being turned away is an entry, once for each reason.
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
	v.state.into(&v.device)
	return "", nil
}

// refuse records that a device is turned away, unless that was the last that was said of it.
func (s *Server) refuse(v *visit, mac chip.MAC, f record.Field, why string) error {
	if v.state.Refused == why {
		return nil
	}
	defer s.turn(mac)()
	if err := s.load(mac, &v.state); err != nil || v.state.Refused == why { // another request of it may have been faster
		return err
	}
	if err := s.append(entry(record.UpdateRefused, chip.MAC{}, f, why)); err != nil {
		return err
	}
	return s.change(mac, &v.state, func(st *state) { st.Refused = why })
}
