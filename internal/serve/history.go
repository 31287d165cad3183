package serve

import (
	"errors"
	"slices"

	"station/internal/record"
	"station/internal/release"
	"station/internal/store"
)

// stateFrom is the state of a device as its entries in the ledger give it, which are in
// order, the oldest first.
func stateFrom(entries []record.Entry) (st state, err error) {
	for _, e := range entries {
		f, err := e.Field()
		if err != nil {
			return st, err
		}
		switch e.Kind {
		case record.UpdateOffered:
			st.Offered, st.Told, st.ever = f.Release, remember(st.Told, f.Release), append(st.ever, f)
		case record.UpdateResult:
			st.applyResult(&release.Release{ID: f.Release, Version: f.Version, SecureVersion: f.SecureVersion, App: f.App}, f.State)
			if f.State == success {
				st.took = append(st.took, f.Release)
			}
		}
	}
	return st, nil
}

// merge adds to a state from the store what the ledger has. The higher release wins, and
// lists are united. Which release is offered now only the store knows, since the ledger
// has only the first offer of each; the ledger's last one is used where the store has no
// state of the device.
func (st *state) merge(told state) {
	st.ever, st.took = told.ever, told.took
	if told.Release > st.Release {
		st.Release, st.Version, st.App = told.Release, told.Version, told.App
	}
	st.SecureVersion = max(st.SecureVersion, told.SecureVersion)
	for _, id := range told.Told {
		st.Told = remember(st.Told, id)
	}
	for _, id := range told.Cancelled {
		st.Cancelled = remember(st.Cancelled, id)
	}
	for _, id := range told.Tried {
		st.addFailed(id)
	}
	st.Told = slices.DeleteFunc(slices.Clone(st.Told), func(id int64) bool { return slices.Contains(st.took, id) })
	if st.revision == 0 {
		st.Offered = told.Offered
	}
	if slices.Contains(st.took, st.Offered) || st.hasFailed(st.Offered) {
		st.Offered = 0
	}
}

// knows tells whether the device was ever offered the release.
func (st *state) knows(id int64) bool {
	_, is := st.offerInLedger(id)
	return is || st.Offered == id || slices.Contains(st.Told, id)
}

// isCounted tells whether the release's rollout, as the store has it, has counted the
// offer to this device. It has not where the store is new or older than the ledger.
func (st *state) isCounted(id int64) bool { return slices.Contains(st.counted, id) }

// isOffered tells whether the device is offered the release now and its rollout has
// counted that.
func (st *state) isOffered(id int64) bool { return st.Offered == id && st.isCounted(id) }

// offerInLedger is what the ledger has of the first offer of the release to the device.
func (st *state) offerInLedger(id int64) (f record.Field, is bool) {
	i := slices.IndexFunc(st.ever, func(f record.Field) bool { return f.Release == id })
	if i < 0 {
		return f, false
	}
	return st.ever[i], true
}

// loadOffered reads a release that the device was offered. If it is no longer in the
// store, the result has only what the ledger's entry of the offer says.
func (s *Server) loadOffered(v *visit, id int64) (*release.Release, error) {
	r, _, err := release.Load(s.Store, v.device.Product, id)
	if f, is := v.state.offerInLedger(id); is && errors.Is(err, store.ErrNotFound) {
		return &release.Release{ID: id, Product: f.Product, Version: f.Version, SecureVersion: f.SecureVersion, App: f.App}, nil
	}
	return r, err
}
