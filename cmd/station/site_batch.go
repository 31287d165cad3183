package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"station/internal/chip"
	"station/internal/plain"
	"station/internal/record"
	qa "station/internal/report"
	"station/internal/site/hub"
	"station/internal/site/replica"
)

type siteBatchAnswer struct {
	qa.SiteAccount
	Balanced bool `json:"balanced"` // everything is accounted for
}

type siteBatchesAnswer struct {
	Site    string         `json:"site"`
	Batches []siteBatchRow `json:"batches"`
}

// siteBatchRow is the sum of what the benches count.
type siteBatchRow struct {
	Batch       string   `json:"batch"`
	Benches     []string `json:"benches"`
	Open        bool     `json:"open"` // at one of them
	Ordered     int      `json:"ordered"`
	Started     int      `json:"started"`
	Passed      int      `json:"passed"`
	Scrapped    int      `json:"scrapped"`
	Quarantined int      `json:"quarantined"`
	Simulated   bool     `json:"simulated,omitempty"`
}

// siteBatchFlags say what becomes of an account.
type siteBatchFlags struct {
	*siteFlags
	cert             output
	operator, anyway string
	simulated        bool
	json             *bool

	unsettled []chip.MAC // devices in a conflict, for a certificate
}

func siteBatchCommand(s *siteFlags) *cobra.Command {
	b := &siteBatchFlags{siteFlags: &siteFlags{options: s.options}}
	cmd := &cobra.Command{
		Use:   "batch [BATCH]",
		Short: "List the batches of all benches, or show and certify the account of one",
		Long: `List the batches of all benches, with their sums, or show the account of one: what
each bench counts, and the sum, in which a device counts once, at the bench whose device
it is. --certificate writes it signed by the site, with the ledger, size and root of each
bench; "station ledger check FILE --key witness.pem" checks it offline and anywhere.
Benches to which the site gives numbers share the quota of the order; of others each has
its own, and they are added up.`,
		Example: `  station site batch
  station site batch 2026-47 --certificate 2026-47.certificate --operator anna`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if b.cert.path != "" && (len(args) == 0 || record.Blank(b.operator)) {
				return errors.New("site batch: --certificate wants a BATCH and --operator")
			}
			if err := b.cert.check(); err != nil {
				return err
			}
			if b.cert.path != "" {
				if err := b.findUnsettled(cmd.Context()); err != nil {
					return err
				}
			}
			return b.use(cmd.Context(), func(f *hub.Folder, set *replica.Set) error {
				if len(args) == 0 {
					return b.list(cmd.OutOrStdout(), f, set)
				}
				return b.show(cmd.OutOrStdout(), f, set, args[0])
			})
		},
	}
	b.siteFlags.add(cmd)
	b.cert.add(cmd, "certificate", "", "`FILE` to write, signed by the site")
	cmd.Flags().StringVar(&b.operator, "operator", "", "`ID` of who has it certified")
	cmd.Flags().StringVar(&b.anyway, "anyway", "", "`REASON` to certify a batch that does not balance, is open at a bench, or has devices in a conflict")
	cmd.Flags().BoolVar(&b.simulated, "simulated", false, "with BATCH: its account at the benches with virtual devices alone, marked SIMULATION")
	b.json = jsonFlag(cmd)
	return cmd
}

func (b *siteBatchFlags) list(out io.Writer, f *hub.Folder, set *replica.Set) error {
	batches, err := set.Batches()
	if err != nil {
		return notTrue(err)
	}
	a := siteBatchesAnswer{f.Name, []siteBatchRow{}}
	for _, one := range batches {
		sum := one.Total()
		row := siteBatchRow{Batch: one.Name, Open: sum.Closed.IsZero(), Ordered: sum.Quota, Started: sum.Devices, Passed: sum.Passed, Scrapped: sum.Scrapped, Quarantined: sum.Quarantined, Simulated: one.Simulated}
		for _, p := range one.Parts {
			row.Benches = append(row.Benches, p.Bench)
		}
		a.Batches = append(a.Batches, row)
	}
	if *b.json {
		return answer(out, a)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "BATCH\tSTATE\tORDERED\tSTARTED\tPASSED\tSCRAPPED\tQUARANTINED\tBENCHES")
	for _, r := range a.Batches {
		state := "closed"
		if r.Open {
			state = "open"
		}
		if r.Simulated {
			state += " SIMULATION"
		}
		plain.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\n", r.Batch, state, r.Ordered, r.Started, r.Passed, r.Scrapped, r.Quarantined, commas(r.Benches))
	}
	return w.Flush()
}

func (b *siteBatchFlags) show(out io.Writer, f *hub.Folder, set *replica.Set, batch string) error {
	benches, err := benchesOf(set, b.simulated)
	if err != nil {
		return err
	}
	account, err := qa.SiteBalance(f.Name, batch, benches)
	if errors.Is(err, qa.ErrNoBatch) {
		return fmt.Errorf("site %w", err)
	}
	if err != nil {
		return notTrue(err)
	}
	if b.cert.path != "" {
		open, err := b.unsettledOf(set, batch)
		if err != nil {
			return notTrue(err)
		}
		return b.certify(out, f, account, open, benches[0].Ledger.Simulated())
	}
	if *b.json {
		return answer(out, siteBatchAnswer{*account, account.Balanced()})
	}
	if benches[0].Ledger.Simulated() {
		fmt.Fprintln(out, "SIMULATION")
	}
	for _, line := range account.Lines() {
		plain.Fprintf(out, "%-12s %s\n", line[0], line[1])
	}
	return nil
}

// findUnsettled asks the site which devices are in a conflict: ledgers may not have heard of it yet.
func (b *siteBatchFlags) findUnsettled(ctx context.Context) error {
	f, err := hub.Open(b.dir)
	if err != nil {
		return err
	}
	b.unsettled, err = f.Unsettled(ctx, func(text string) { plain.Fprintf(stderr, "station: site: %s\n", text) })
	return stationFault(err)
}

// unsettledOf are those of a batch.
func (b *siteBatchFlags) unsettledOf(set *replica.Set, batch string) (list []string, err error) {
	for _, mac := range b.unsettled {
		found, err := set.Device(mac)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(found, func(at replica.Found) bool { return at.Device.Batch == batch }) {
			list = append(list, mac.String())
		}
	}
	return list, nil
}

// certify signs the account with the site's key.
func (b *siteBatchFlags) certify(out io.Writer, f *hub.Folder, a *qa.SiteAccount, unsettled []string, simulated bool) error {
	switch {
	case simulated:
		return qa.ErrSimulated
	case (!a.Balanced() || !a.Closed) && record.Blank(b.anyway):
		return &codedError{exitFailed, fmt.Errorf("site batch: %s does not balance, or a bench has not closed it; put it right, or certify it --anyway \"why\"", a.Batch)}
	case len(unsettled) > 0 && record.Blank(b.anyway):
		return &codedError{exitFailed, fmt.Errorf("site batch: in a conflict that nobody has settled: %s; \"station site show\" tells of it, and \"station site settle\" ends it; or certify %s --anyway \"why\"", commas(unsettled), a.Batch)}
	}
	key, err := f.Witness()
	if err != nil {
		return err
	}
	cert, err := qa.CertifySite(a, key, qa.SiteCertificate{Issued: time.Now(), Operator: b.operator, Reason: b.anyway, Software: version()})
	if err != nil {
		return stationFault(err)
	}
	data, err := cert.Marshal()
	if err == nil {
		err = b.cert.bytes(data)
	}
	if err != nil {
		return stationFault(err)
	}
	fmt.Fprint(out, cert.Text())
	plain.Fprintf(stderr, "wrote %s\n", b.cert.path)
	return nil
}
