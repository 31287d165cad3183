package serve

import (
	"errors"
	"slices"

	"station/internal/chip"
	"station/internal/record"
	"station/internal/release"
	"station/internal/store"
)

// choose finds the newest release that fits the device and whose rollout
// reaches it. An offer that stands is kept while its rollout is only paused; one
// that does not is what the visit has lapsed. Where the device can be told to give
// that up, it does so before it is given anything else.
func (s *Server) choose(v *visit) (newest *release.Release, err error) {
	list, err := s.releases(v.device.Product)
	if err != nil {
		return nil, err
	}
	device := v.device.Told(list)
	v.lapsed = v.state.Offered
	for _, r := range list {
		if newest != nil && v.lapsed == 0 {
			break
		}
		if newest != nil && v.lapsed != r.ID || r.Misfit(device) != "" {
			continue
		}
		roll, err := s.rollout(r)
		if err != nil {
			return nil, err
		}
		stands := roll != nil && v.state.Offered == r.ID && roll.State != release.Stopped
		if stands {
			v.lapsed = 0
		}
		if newest == nil && (stands || roll != nil && roll.State == release.Running && roll.Reaches(v.device.MAC)) {
			newest = r
		}
	}
	if v.cancels && v.lapsed != 0 {
		return nil, nil
	}
	return newest, nil
}

// offer is the release that the device is given now, nil for none. The first
// time it is an entry before the device learns of it.
func (s *Server) offer(v *visit) (*release.Release, error) {
	r, err := s.choose(v)
	if err != nil || r == nil || v.state.stands(r.ID) {
		return r, err
	}
	defer s.turn(v.device.MAC)()
	if err := s.load(v.device.MAC, &v.state); err != nil { // another request of the device may have been faster
		return nil, err
	}
	v.state.into(&v.device)
	if r, err = s.choose(v); err != nil || r == nil || v.state.stands(r.ID) {
		return r, err
	}
	if !slices.Contains(v.state.Told, r.ID) {
		err = s.first(v, r)
	} else if !v.state.isCounted(r.ID) {
		err = s.countOffer(r)
	}
	if err != nil {
		return nil, err
	}
	return r, s.change(v.device.MAC, &v.state, func(st *state) {
		st.Offered, st.Refused, st.Told = r.ID, "", remember(st.Told, r.ID)
	})
}

// turn waits until nobody else changes what is told of the device.
func (s *Server) turn(mac chip.MAC) (end func()) {
	m := &s.turns[mac[5]]
	m.Lock()
	return m.Unlock
}

// first records that a device is offered a release.
func (s *Server) first(v *visit, r *release.Release) error {
	f := record.Field{Product: r.Product, Release: r.ID, Version: r.Version, SecureVersion: r.SecureVersion, App: r.App}
	if err := s.append(entry(record.UpdateOffered, v.device.MAC, f, "")); err != nil {
		return err
	}
	s.counts.offers.Add(1)
	return s.countOffer(r)
}

func (s *Server) countOffer(r *release.Release) error {
	return s.count(r, func(roll *release.Rollout) bool { roll.Offered++; return false })
}

// count changes the numbers of a rollout; f tells whether it stopped.
func (s *Server) count(r *release.Release, f func(*release.Rollout) (stopped bool)) error {
	for {
		roll, revision, err := release.LoadRollout(s.Store, r.Product, r.ID)
		if err != nil || roll == nil {
			return err
		}
		stopped := f(roll)
		_, err = s.Store.Set(release.RolloutKey(r.Product, r.ID), roll.JSON(), revision)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil || !stopped {
			return err
		}
		return s.append(entry(record.RolloutChanged, [6]byte{}, roll.Field(r.Version), roll.Reason))
	}
}

// The ends of an update.
const (
	success   = "success"
	failure   = "failure"
	cancelled = "cancelled"
)

// result takes how an update ended, of any release that the device was offered: while it
// downloaded or started again the offer may have been withdrawn, or another one made.
func (s *Server) result(v *visit, id int64, how, said string) error {
	defer s.turn(v.device.MAC)()
	if err := s.load(v.device.MAC, &v.state); err != nil || !v.state.news(id, how) {
		return err
	}
	r, err := s.offered(v, id)
	if err != nil {
		return err
	}
	first, counted := !v.state.gaveUp(id), v.state.isCounted(id)
	if how == cancelled && slices.Contains(v.state.Cancelled, id) { // it was offered once more since
		return s.change(v.device.MAC, &v.state, func(st *state) { st.Offered = 0 })
	}
	f := record.Field{Product: r.Product, Release: id, Version: r.Version, SecureVersion: r.SecureVersion, App: r.App, State: how}
	if err := s.append(entry(record.UpdateResult, v.device.MAC, f, said)); err != nil {
		return err
	}
	if err := s.change(v.device.MAC, &v.state, func(st *state) { st.ended(r, how) }); err != nil || how == cancelled || !first {
		return err
	}
	s.counts.results(how).Add(1)
	return s.count(r, func(roll *release.Rollout) bool {
		if !counted {
			roll.Offered++
		}
		return roll.Result(how == success)
	})
}
