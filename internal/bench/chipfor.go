package bench

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"station/internal/esp32"
	"station/internal/flow"
	"station/internal/sim"
)

// ChipFor is a virtual chip on which a correct job can be rehearsed: flash size
// and revision as the job needs them, the crystal as the build has it, and an
// application that says the job's marker.
func ChipFor(job *flow.Job) sim.Options {
	o := sim.Options{FlashSize: 1 << 20, Crystal: crystalOf(job), Ready: job.Boot.Marker, Console: job.Boot.Baud}
	for o.FlashSize < int(job.Flash.Size) {
		o.FlashSize *= 2
	}
	rev := revisionFor(job)
	o.Revision, o.Minor = rev.Major(), int(rev)%100
	if o.Revision == 0 {
		o.Revision = sim.Rev0
	}
	return o
}

// revisionFor is the revision that is most usual among those that run every image.
func revisionFor(job *flow.Job) esp32.Revision {
	usual := []esp32.Revision{300, 301, 100, 200, 0}
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

var crystalSetting = regexp.MustCompile(`(?m)^CONFIG_(?:ESP32_)?XTAL_FREQ=(26|40)\s*$`)

// crystalOf is what the sdkconfig beside the build says in MHz, 0 where there is none.
func crystalOf(job *flow.Job) int {
	if job.FlasherArgs == "" {
		return 0
	}
	build := filepath.Dir(job.FlasherArgs)
	if !filepath.IsAbs(build) {
		build = filepath.Join(filepath.Dir(job.Path), build)
	}
	for _, dir := range slices.Compact([]string{build, filepath.Dir(build)}) {
		b, err := os.ReadFile(filepath.Join(dir, "sdkconfig"))
		if err != nil {
			continue
		}
		if m := crystalSetting.FindSubmatch(b); m != nil {
			mhz, _ := strconv.Atoi(string(m[1])) // two digits
			return mhz
		}
	}
	return 0
}
