package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"station/internal/chip"
	"station/internal/plain"
	qa "station/internal/report"
	"station/internal/site/hub"
	"station/internal/site/replica"
)

// siteFlags name the folder of a site.
type siteFlags struct {
	*options
	dir string
}

func siteCommand(o *options) *cobra.Command {
	s := &siteFlags{options: o}
	cmd := &cobra.Command{Use: "site", Short: "One record of many stations"}
	cmd.AddCommand(siteInitCommand(s), siteAddCommand(s), siteRevokeCommand(s), siteRunCommand(s), siteListCommand(s), siteShowCommand(s), siteVerifyCommand(s), siteBackupCommand(s), siteAddressCommand(s), siteReleaseCommand(s), siteSettleCommand(s), siteFreeCommand(s), sitePushCommand(o),
		siteDeviceCommand(s), siteAffectedCommand(s), siteBatchCommand(s), siteExportCommand(s), siteReportCommand(s), siteSyncCommand(s), siteTokenCommand(s))
	return cmd
}

func (s *siteFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.dir, "dir", "site", "`DIR` of the site")
}

// deviceAt is the site's folder, and the device of a command.
func (s *siteFlags) deviceAt(cmd *cobra.Command, text string) (f *hub.Folder, mac chip.MAC, err error) {
	if mac, err = chip.ParseMAC(text); err != nil {
		return nil, mac, fmt.Errorf("site %s: %w", cmd.Name(), err)
	}
	f, err = hub.Open(s.dir)
	return f, mac, err
}

// apply lets the running site know who may come now; or says what helps where it did not hear it.
func (s *siteFlags) apply(ctx context.Context, f *hub.Folder, helps string) error {
	err := f.Apply(ctx)
	if errors.Is(err, hub.ErrNotRunning) {
		plain.Fprintf(stderr, "station: the site does not run on this machine: it holds from its next start\n")
		return nil
	}
	if err != nil {
		err = fmt.Errorf("%w; the running site may not have heard it: %s", err, helps)
	}
	return stationFault(err)
}

// use lets f read the ledgers of all benches, as the site has them at this moment: of the
// site that runs here, or of its folder.
func (s *siteFlags) use(ctx context.Context, f func(*hub.Folder, *replica.Set) error) error {
	folder, err := hub.Open(s.dir)
	if err != nil {
		return err
	}
	set, end, err := folder.Replicas(ctx, func(text string) { plain.Fprintf(stderr, "station: site: %s\n", text) })
	if err != nil {
		return stationFault(err)
	}
	defer end()
	return f(folder, set)
}

// siteFault is stationFault, but for what the site refuses or has not got: that was asked for
// in error.
func siteFault(err error) error {
	if errors.As(err, new(hub.Refusal)) {
		return err
	}
	return stationFault(err)
}

var errNoVirtual = errors.New("site: no bench has virtual devices alone")

// benchesToList are those of benchesOf; where virtual devices are asked for and no bench has
// them alone, it is those with real devices, which may have some too.
func benchesToList(set *replica.Set, simulated bool) ([]qa.Bench, error) {
	list, err := benchesOf(set, simulated)
	if errors.Is(err, errNoVirtual) {
		list, err = benchesOf(set, false)
	}
	return list, err
}

// benchesOf are the benches that a report tells of: those with real devices, if there
// are any, and of the others only if they are asked for.
func benchesOf(set *replica.Set, simulated bool) (list []qa.Bench, err error) {
	var virtual []qa.Bench
	for _, name := range set.Benches() {
		l := set.Ledger(name)
		head, err := qa.HeadOf(l, nil)
		if err != nil {
			return nil, stationFault(fmt.Errorf("%s: %w", name, err))
		}
		b := qa.Bench{Name: name, Head: head, Within: func(from, to time.Time) (uint64, uint64) { return set.Within(name, from, to) }}
		if l.Simulated() {
			virtual = append(virtual, b)
		} else {
			list = append(list, b)
		}
	}
	if simulated || len(list) == 0 {
		list = virtual
	}
	if simulated && len(list) == 0 && len(set.Benches()) > 0 {
		return nil, errNoVirtual
	}
	if len(list) == 0 {
		return nil, errors.New("site: it has no ledger of any bench yet")
	}
	return list, nil
}
