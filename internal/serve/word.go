package serve

import (
	"slices"

	"station/internal/release"
)

// news tells whether a device's word of how an update ended is one that nobody knows yet. A
// success always counts, also after a failure: what the device runs decides what it may get.
func (st *state) news(id int64, how string) bool {
	offered := st.Offered == id
	switch known := offered || slices.Contains(st.Told, id); {
	case !known, st.Release == id:
		return false
	case how == failure:
		return !st.gaveUp(id)
	case how == cancelled:
		return offered || !st.gaveUp(id) && !slices.Contains(st.Cancelled, id)
	}
	return true
}

// gaveUp tells whether an update to the release ended badly.
func (st *state) gaveUp(id int64) bool {
	return slices.Contains(st.Tried, id) || len(st.Tried) >= kept && id < slices.Min(st.Tried)
}

// ended is what becomes of a device's offers when an update ended. A success that is told late
// does not take back that it runs a newer release.
func (st *state) ended(r *release.Release, how string) {
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
		st.tried(r.ID)
	case cancelled:
		st.Cancelled = remember(st.Cancelled, r.ID)
	}
}
