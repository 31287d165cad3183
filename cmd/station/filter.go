package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"station/internal/record"
	qa "station/internal/report"
)

// filterFlags say which part of the ledger is wanted.
type filterFlags struct {
	from, to, day       string
	batch, job, verdict string
	key                 string
	simulated           bool
}

// addTimes adds what an export and a report share.
func (f *filterFlags) addTimes(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "first `TIME`: 2026-11-20, 2026-11-20T15:04 or RFC 3339")
	flags.StringVar(&f.to, "to", "", "last `TIME`; a day is included")
	flags.StringVar(&f.day, "day", "", "one `DAY`")
	flags.StringVar(&f.batch, "batch", "", "`ID` of a batch")
	flags.StringVar(&f.job, "job", "", "`NAME` of a product")
	cmd.MarkFlagsMutuallyExclusive("day", "from")
	cmd.MarkFlagsMutuallyExclusive("day", "to")
}

func (f *filterFlags) filter() (qa.Filter, error) {
	out := qa.Filter{Batch: f.batch, Job: f.job, Verdict: record.Verdict(strings.ToUpper(f.verdict)), Simulated: f.simulated}
	known := []record.Verdict{"", record.Pass, record.Retry, record.Scrap, record.Quarantine, record.Station, record.Begun}
	if !slices.Contains(known, out.Verdict) {
		return out, fmt.Errorf("--verdict %q: write one of %s", f.verdict, commas(known[1:]))
	}
	err := out.SetTimes(cmp.Or(f.from, f.day), cmp.Or(f.to, f.day), time.Local)
	if err != nil {
		return out, err
	}
	if f.key != "" {
		if out.Key, err = qa.ParseKeys(f.key); err != nil {
			return out, fmt.Errorf("--key: %w", err)
		}
	}
	return out, nil
}

// commas are names one after the other, as one says them.
func commas[T ~string](names []T) string {
	var list []string
	for _, name := range names {
		list = append(list, string(name))
	}
	return strings.Join(list, ", ")
}

// name is the filter in the words of who asked.
func (f *filterFlags) name() string {
	var parts []string
	for _, p := range [][2]string{{"batch ", f.batch}, {"job ", f.job}, {"", f.day}, {"from ", f.from}, {"to ", f.to}} {
		if p[1] != "" {
			parts = append(parts, p[0]+p[1])
		}
	}
	return strings.Join(parts, ", ")
}
