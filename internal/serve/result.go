package serve

import (
	"slices"

	"station/internal/release"
)

// isNewResult tells whether a device's report of how an update ended says something that
// is not known yet. A success is news even after a failure: what the device runs decides
// what it is offered next.
func (st *state) isNewResult(id int64, how string) bool {
	offered := st.Offered == id
	switch known := offered || slices.Contains(st.Told, id); {
	case !known, st.Release == id:
		return false
	case how == failure:
		return !st.hasFailed(id)
	case how == cancelled:
		return offered || !st.hasFailed(id) && !slices.Contains(st.Cancelled, id)
	}
	return true
}

// hasFailed tells whether an update to the release has failed on the device.
func (st *state) hasFailed(id int64) bool {
	return slices.Contains(st.Tried, id) || len(st.Tried) >= maxRemembered && id < slices.Min(st.Tried)
}

// applyResult changes the state by the result of an update. A success of an older
// release that is reported late does not replace the newer one that the device runs.
func (st *state) applyResult(r *release.Release, how string) {
	if st.Offered == r.ID {
		st.Offered = 0
	}
	switch how {
	case success:
		st.SecureVersion = max(st.SecureVersion, r.SecureVersion)
		if r.ID > st.Release {
			st.Release, st.Version, st.App = r.ID, r.Version, r.App
		}
		st.Told = slices.DeleteFunc(slices.Clone(st.Told), func(id int64) bool { return id == r.ID })
	case failure:
		st.addFailed(r.ID)
	case cancelled:
		st.Cancelled = remember(st.Cancelled, r.ID)
	}
}
