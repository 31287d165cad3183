package serve

import (
	"errors"
	"slices"

	"station/internal/chip"
	"station/internal/record"
	"station/internal/release"
	"station/internal/store"
)

// choose finds the release to offer to the device: the newest one that fits it and whose
// rollout runs and includes it. An earlier offer holds as long as its release fits and
// its rollout is not stopped, even one that is paused or includes the device no longer.
// An earlier offer that does not hold is put into v.lapsed. A client that can be told to
// cancel must cancel that one before it is offered another; until then choose returns
// nil.
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

// offer is the release that the device may have now, nil for none. A first offer is
// written into the ledger before the device learns of it.
func (s *Server) offer(v *visit) (*release.Release, error) {
	r, err := s.choose(v)
	if err != nil || r == nil || v.state.isOffered(r.ID) {
		return r, err
	}
	defer s.lockDevice(v.device.MAC)()
	if err := s.load(v.device.MAC, &v.state); err != nil { // another request of the device may have been faster
		return nil, err
	}
	v.state.applyTo(&v.device)
	if r, err = s.choose(v); err != nil || r == nil || v.state.isOffered(r.ID) {
		return r, err
	}
	if !slices.Contains(v.state.Told, r.ID) {
		err = s.recordOffer(v, r)
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

// lockDevice locks out other changes to the device's state; call end to unlock. Some
// devices share a lock: there is one for each last byte of a MAC.
func (s *Server) lockDevice(mac chip.MAC) (end func()) {
	m := &s.locks[mac[5]]
	m.Lock()
	return m.Unlock
}

// recordOffer writes a first offer to the device into the ledger and counts it.
func (s *Server) recordOffer(v *visit, r *release.Release) error {
	f := record.Field{Product: r.Product, Release: r.ID, Version: r.Version, SecureVersion: r.SecureVersion, App: r.App}
	if err := s.append(entry(record.UpdateOffered, v.device.MAC, f, "")); err != nil {
		return err
	}
	s.counts.offers.Add(1)
	return s.countOffer(r)
}

// countOffer adds one to the devices that the rollout of r was offered to.
func (s *Server) countOffer(r *release.Release) error {
	return s.count(r, func(roll *release.Rollout) bool { roll.Offered++; return false })
}

// count changes the counters of a rollout by f, which may be called again where another
// request was faster. f tells whether the rollout has stopped by it; that goes into the
// ledger.
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

// How an update of a device can end.
const (
	success   = "success"
	failure   = "failure"
	cancelled = "cancelled"
)

// result records a device's report of how an update ended; said is the device's message.
// It accepts the report for any release that the device was ever offered: the offer may
// have been withdrawn or replaced while the device downloaded. A report that says
// nothing new is ignored.
func (s *Server) result(v *visit, id int64, how, said string) error {
	defer s.lockDevice(v.device.MAC)()
	if err := s.load(v.device.MAC, &v.state); err != nil || !v.state.isNewResult(id, how) {
		return err
	}
	r, err := s.loadOffered(v, id)
	if err != nil {
		return err
	}
	first, counted := !v.state.hasFailed(id), v.state.isCounted(id)
	if how == cancelled && slices.Contains(v.state.Cancelled, id) { // in the ledger already, but it was offered again since
		return s.change(v.device.MAC, &v.state, func(st *state) { st.Offered = 0 })
	}
	f := record.Field{Product: r.Product, Release: id, Version: r.Version, SecureVersion: r.SecureVersion, App: r.App, State: how}
	if err := s.append(entry(record.UpdateResult, v.device.MAC, f, said)); err != nil {
		return err
	}
	if err := s.change(v.device.MAC, &v.state, func(st *state) { st.applyResult(r, how) }); err != nil || how == cancelled || !first {
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
