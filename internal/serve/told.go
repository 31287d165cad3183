package serve

import (
	"errors"
	"slices"

	"station/internal/record"
	"station/internal/release"
	"station/internal/store"
)

// toldBy is what is known of a device by its entries in the ledger, the oldest first.
func toldBy(entries []record.Entry) (st state, err error) {
	for _, e := range entries {
		f, err := e.Field()
		if err != nil {
			return st, err
		}
		switch e.Kind {
		case record.UpdateOffered:
			st.Offered, st.Told, st.ever = f.Release, remember(st.Told, f.Release), append(st.ever, f)
		case record.UpdateResult:
			st.ended(&release.Release{ID: f.Release, Version: f.Version, SecureVersion: f.SecureVersion, App: f.App}, f.State)
			if f.State == success {
				st.took = append(st.took, f.Release)
			}
		}
	}
	return st, nil
}

// learn adds what the ledger tells to what the store has: of what a device has, the higher; what it
// was told, tried and gave up, both. What it is offered now only the store knows: the ledger has of
// each release the first offer.
func (st *state) learn(told state) {
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
		st.tried(id)
	}
	st.Told = slices.DeleteFunc(slices.Clone(st.Told), func(id int64) bool { return slices.Contains(st.took, id) })
	if st.revision == 0 {
		st.Offered = told.Offered
	}
	if slices.Contains(st.took, st.Offered) || st.gaveUp(st.Offered) {
		st.Offered = 0
	}
}

// knows tells whether the device was ever offered the release.
func (st *state) knows(id int64) bool {
	_, is := st.offer(id)
	return is || st.Offered == id || slices.Contains(st.Told, id)
}

// isCounted tells whether the rollout of a release that the device was offered counts that: a store
// that is new or older than the ledger does not.
func (st *state) isCounted(id int64) bool { return slices.Contains(st.counted, id) }

// stands tells whether the device is offered the release already, and that is counted.
func (st *state) stands(id int64) bool { return st.Offered == id && st.isCounted(id) }

// offer is what the ledger says of a release that the device was offered.
func (st *state) offer(id int64) (f record.Field, is bool) {
	i := slices.IndexFunc(st.ever, func(f record.Field) bool { return f.Release == id })
	if i < 0 {
		return f, false
	}
	return st.ever[i], true
}

// offered is a release that the device was offered: where the store has lost it, what the ledger says.
func (s *Server) offered(v *visit, id int64) (*release.Release, error) {
	r, _, err := release.Load(s.Store, v.device.Product, id)
	if f, is := v.state.offer(id); is && errors.Is(err, store.ErrNotFound) {
		return &release.Release{ID: id, Product: f.Product, Version: f.Version, SecureVersion: f.SecureVersion, App: f.App}, nil
	}
	return r, err
}
