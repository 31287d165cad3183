package station

import (
	"errors"
	"fmt"

	"station/internal/record"
	"station/internal/release"
	"station/internal/store"
)

// Rollout is the rollout of a release, nil where there is none.
func (r *Releases) Rollout(doc *release.Release) (*release.Rollout, uint64, error) {
	return release.LoadRollout(r.Store, doc.Product, doc.ID)
}

// Share is what a person says of a rollout; what is nil stays as it is, and is
// the default in a new one.
type Share struct {
	Percent  *int // of the devices, 0 to 100
	Samples  *int // results before which it does not stop by itself
	Failures *int // failures in a hundred results above which it stops
}

// DefaultPercent is the share of a new rollout, unless told otherwise.
const DefaultPercent = 5

// Start hands a release out to a share of its devices, or to a larger share. A
// share only grows: who was offered it keeps the offer. One that is held goes on
// by Resume alone, which wants a reason.
func (r *Releases) Start(id int64, share Share, why string) (*release.Rollout, error) {
	return r.change(id, why, func(doc *release.Release, roll *release.Rollout) (*release.Rollout, error) {
		switch {
		case doc.Withdrawn != "":
			return nil, fmt.Errorf("rollout: release %d was withdrawn: %s", id, doc.Withdrawn)
		case roll == nil:
			roll = &release.Rollout{Product: doc.Product, Release: id, Percent: DefaultPercent, State: release.Running, Samples: release.DefaultSamples, Failures: release.DefaultFailures}
		case roll.State != release.Running:
			return nil, fmt.Errorf("rollout: that of release %d is %s: %s; \"station rollout resume %d --reason …\" lets it go on", id, roll.State, roll.Reason, id)
		case share.Percent != nil && *share.Percent < roll.Percent:
			return nil, fmt.Errorf("rollout: it is at %d %%, and a share only grows; \"station rollout pause %d\" holds it", roll.Percent, id)
		}
		share.apply(roll)
		return roll, nil
	})
}

func (s Share) apply(roll *release.Rollout) {
	for from, to := range map[*int]*int{s.Percent: &roll.Percent, s.Samples: &roll.Samples, s.Failures: &roll.Failures} {
		if from != nil {
			*to = *from
		}
	}
}

// Pause holds a rollout: no further device is offered the release.
func (r *Releases) Pause(id int64, why string) (*release.Rollout, error) {
	return r.change(id, why, func(_ *release.Release, roll *release.Rollout) (*release.Rollout, error) {
		if roll == nil || roll.State != release.Running {
			return nil, fmt.Errorf("rollout: release %d has none that is running", id)
		}
		roll.State, roll.Reason = release.Paused, why
		return roll, nil
	})
}

// Resume lets a rollout go on that was paused or that stopped by itself, whose
// results count anew then.
func (r *Releases) Resume(id int64, why string) (*release.Rollout, error) {
	return r.change(id, why, func(_ *release.Release, roll *release.Rollout) (*release.Rollout, error) {
		if roll == nil || roll.State == release.Running {
			return nil, fmt.Errorf("rollout: release %d has none that is held", id)
		}
		if roll.State == release.Stopped {
			roll.Succeeded, roll.Failed = 0, 0
		}
		roll.State, roll.Reason = release.Running, ""
		return roll, nil
	})
}

// change changes a rollout in the ledger, then in the store.
func (r *Releases) change(id int64, why string, f func(*release.Release, *release.Rollout) (*release.Rollout, error)) (*release.Rollout, error) {
	doc, err := r.Find(id)
	if err != nil {
		return nil, err
	}
	roll, revision, err := r.Rollout(doc)
	if err != nil {
		return nil, err
	}
	before := ""
	if roll != nil {
		before = string(roll.JSON())
	}
	if roll, err = f(doc, roll); err != nil || string(roll.JSON()) == before {
		return roll, err // it is so already
	}
	if _, err := release.ParseRollout(roll.JSON()); err != nil {
		return nil, err
	}
	if err := r.append(record.RolloutChanged, roll.Field(doc.Version), why); err != nil {
		return nil, err
	}
	// A server counts meanwhile: only the numbers may be others.
	for {
		_, err = r.Store.Set(release.RolloutKey(doc.Product, id), roll.JSON(), revision)
		if !errors.Is(err, store.ErrConflict) {
			return roll, err
		}
		if roll, revision, err = r.Rollout(doc); err != nil {
			return nil, err
		}
		if roll, err = f(doc, roll); err != nil {
			return nil, err
		}
	}
}
