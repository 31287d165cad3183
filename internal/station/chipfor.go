package station

import (
	"slices"

	"station/internal/chip"
	"station/internal/job"
	"station/internal/sim"
)

// ChipFor is a virtual chip on which a correct job can be rehearsed: flash size
// and revision as the job needs them, the crystal as the build has it, and an
// application that says the job's marker.
func ChipFor(job *job.Job) sim.Options {
	o := sim.Options{Chip: job.Chip(), FlashSize: 1 << 20, Crystal: crystal(job), Ready: job.Boot.Marker, Console: job.Boot.Baud, Identity: job.Identity.Line("{id}")}
	for _, k := range job.Plan.Named() {
		if k.For() == chip.HMAC {
			o.NVSKey = k.Block
		}
	}
	for o.FlashSize < int(job.Flash.Size) {
		o.FlashSize *= 2
	}
	rev := revisionFor(job)
	o.Revision, o.Minor = rev.Major(), int(rev)%100
	if o.Revision == 0 {
		o.Revision = sim.Rev0 // and not the usual one
	}
	return o
}

// revisionFor is the revision that is most usual among those that run every image.
func revisionFor(job *job.Job) chip.Revision {
	usual := slices.Clone(job.Chip().Revisions)
	for _, r := range job.Regions {
		usual = append(usual, r.MinRevision)
	}
	for _, rev := range usual {
		if job.RunsOn(rev) == nil {
			return rev
		}
	}
	return usual[0] // none runs them all; the rehearsal will say so
}

// crystal is a crystal in MHz that the virtual chip can have; 0 is its usual one.
func crystal(job *job.Job) int {
	if mhz := job.Crystal(); slices.Contains(job.Chip().Crystals, mhz) {
		return mhz
	}
	return 0
}
