package main

import (
	"crypto/ecdsa"
	"fmt"
	"io"
	"iter"
	"runtime/debug"

	"github.com/spf13/cobra"

	"station/internal/keyfile"
	"station/internal/ledger"
	"station/internal/plain"
)

func ledgerVerifyCommand(l *ledgerFlags) *cobra.Command {
	var keys, kept []string
	var site string
	var asJSON *bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Reread the whole ledger and report every fault",
		Long: `Reread the whole ledger, beside a running line too, and report every fault: the
pages of the file, every entry's hash and place, the devices' chains, the
promises about keys, the indexes, the checkpoints and their signatures.

Against somebody who could write a whole ledger anew, with a key of his own, only
what is kept elsewhere helps: the public key of the station's token with --key,
and an old checkpoint with --checkpoint, which this ledger must continue. With --site
the key of the site to which the bench belongs counts: some checkpoint has to have its
signature too, and up to there the site has had each entry.`,
		Example: `  station ledger verify
  station ledger verify --key station-signer.pem --checkpoint 2026-10.checkpoint`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, _, err := l.file()
			if err != nil {
				return err
			}
			var a ledger.Audit
			if a.Trusted, err = publicKeys(keys); err != nil {
				return err
			}
			if a.Site, err = siteKey(site); err != nil {
				return err
			}
			for _, name := range kept {
				signed, err := keyfile.Read(name, keyfile.Proof)
				if err != nil {
					return fmt.Errorf("--checkpoint: %w", err)
				}
				a.Kept = append(a.Kept, signed)
			}
			defer debug.SetGCPercent(debug.SetGCPercent(60)) // a fifth of its memory for a tenth of its time
			check := func(a *ledger.Audit) iter.Seq[ledger.Fault] { return ledger.Check(path, a) }
			if *asJSON {
				return verifyAnswered(cmd.OutOrStdout(), &a, check)
			}
			return verifyWith(cmd.OutOrStdout(), &a, check)
		},
	}
	cmd.Flags().StringArrayVar(&keys, "key", nil, "public key `FILE` (PEM) that must have signed the checkpoints; may be given again (default: the keys that the ledger names)")
	cmd.Flags().StringArrayVar(&kept, "checkpoint", nil, "checkpoint `FILE` that was kept elsewhere; may be given again")
	cmd.Flags().StringVar(&site, "site", "", "public key `FILE` (witness.pem) of the site, which has to have signed a checkpoint too")
	asJSON = jsonFlag(cmd)
	return cmd
}

// siteKey is the one key of --site; nil without it.
func siteKey(path string) (key *ecdsa.PublicKey, err error) {
	if path == "" {
		return nil, nil
	}
	data, err := keyfile.Read(path, keyfile.Key)
	if err == nil {
		key, err = ledger.ParsePublicKey(data)
	}
	if err != nil {
		return nil, fmt.Errorf("--site: %w", err)
	}
	return key, nil
}

// verifyLedger reports every fault that the check finds.
func verifyLedger(out io.Writer, check func(*ledger.Audit) iter.Seq[ledger.Fault]) error {
	return verifyWith(out, new(ledger.Audit), check)
}

func verifyWith(out io.Writer, audit *ledger.Audit, check func(*ledger.Audit) iter.Seq[ledger.Fault]) error {
	faults := 0
	for f := range watched(audit, check) {
		faults++
		plain.Fprintf(out, "FAULT %s\n", f)
	}
	if faults > 0 {
		return faulty(faults, audit, check)
	}
	plain.Fprintf(out, "ledger is whole: %s, %s, root %s\n", plain.Count(audit.Size, "entry"), plain.Count(audit.Devices, "device"), audit.Root)
	switch by := len(audit.Trusted); {
	case audit.Checkpoints == 0:
	case by == 0:
		plain.Fprintf(out, "checkpoints: %d, signed by keys that the ledger itself names; --key checks with yours\n", audit.Checkpoints)
	default:
		plain.Fprintf(out, "checkpoints: %d, signed by your keys; %d kept elsewhere are continued\n", audit.Checkpoints, len(audit.Kept))
	}
	if audit.Site != nil {
		plain.Fprintf(out, "site: it has had the first %d entries, and signed so\n", audit.Cosigned)
	}
	if audit.Copy {
		fmt.Fprintln(out, "it is a copy: whether a checkpoint between two others was taken out shows in the ledger itself alone")
	}
	if audit.Stale {
		fmt.Fprintln(out, "its indexes are of another version or were not made to the end: the next command that writes makes them anew from the log")
	}
	return nil
}

// watched is the check with its progress told.
func watched(audit *ledger.Audit, check func(*ledger.Audit) iter.Seq[ledger.Fault]) iter.Seq[ledger.Fault] {
	return func(yield func(ledger.Fault) bool) {
		bar := newProgress("rereading the ledger", "entries")
		defer bar.end()
		audit.Progress, audit.Pages = bar.tell, func(done, total uint64) { bar.tellOf(done, total, "pages") }
		for f := range check(audit) {
			bar.end()
			if !yield(f) {
				return
			}
		}
	}
}

// faulty says what to do about faults: what only the site's key misses is sent there, and
// the indexes alone can be made anew.
func faulty(faults int, audit *ledger.Audit, check func(*ledger.Audit) iter.Seq[ledger.Fault]) error {
	if audit.Site != nil && isWhole(&ledger.Audit{Trusted: audit.Trusted, Kept: audit.Kept}, check) {
		return stationFault(fmt.Errorf("ledger: %s by the key of --site, none without it; is it the witness.pem of this bench's site? Then sign a checkpoint (\"station ledger checkpoint\") and send it there (\"station site push\")", plain.Count(faults, "fault")))
	}
	if !isWhole(&ledger.Audit{Log: true, Trusted: audit.Trusted, Kept: audit.Kept, Site: audit.Site}, check) {
		return stationFault(fmt.Errorf("ledger: %s; keep this file as it is and restore the last backup", plain.Count(faults, "fault")))
	}
	return stationFault(fmt.Errorf("ledger: %s of the indexes, none of the log; \"station ledger recover\" makes the indexes anew from it", plain.Count(faults, "fault")))
}

func isWhole(audit *ledger.Audit, check func(*ledger.Audit) iter.Seq[ledger.Fault]) bool {
	for range watched(audit, check) {
		return false
	}
	return true
}

type verifyAnswer struct {
	Whole       bool          `json:"whole"`
	Faults      []ledgerFault `json:"faults"`
	Entries     uint64        `json:"entries"`
	Devices     int           `json:"devices"`
	Root        string        `json:"root,omitempty"`
	Checkpoints int           `json:"checkpoints"`
	Trusted     int           `json:"trusted"`            // keys of --key; 0: those counted that the ledger itself names
	Kept        int           `json:"kept"`               // checkpoints of --checkpoint, which it continues
	Cosigned    uint64        `json:"cosigned,omitempty"` // entries that the site of --site has had, and signed so
	Copy        bool          `json:"copy,omitempty"`     // it has those checkpoints alone that it was given
	Newer       uint64        `json:"newer,omitempty"`    // entries of a newer version: their hashes were checked
	Stale       bool          `json:"stale,omitempty"`    // the indexes are made anew by the next command that writes
}

type ledgerFault struct {
	Entry *int64 `json:"entry,omitempty"` // absent: it is of no one entry
	Text  string `json:"text"`
}

// verifyAnswered says the same as verifyWith in one object, also of a ledger
// that has faults.
func verifyAnswered(out io.Writer, audit *ledger.Audit, check func(*ledger.Audit) iter.Seq[ledger.Fault]) error {
	a := verifyAnswer{Faults: []ledgerFault{}}
	for f := range watched(audit, check) {
		fault := ledgerFault{Text: f.Text}
		if f.Entry >= 0 {
			fault.Entry = &f.Entry
		}
		a.Faults = append(a.Faults, fault)
	}
	a.Whole, a.Entries, a.Devices, a.Checkpoints = len(a.Faults) == 0, audit.Size, audit.Devices, audit.Checkpoints
	a.Trusted, a.Kept, a.Newer, a.Stale = len(audit.Trusted), len(audit.Kept), audit.Newer, audit.Stale
	a.Cosigned, a.Copy = audit.Cosigned, audit.Copy
	if a.Whole {
		a.Root = audit.Root.String()
	}
	if err := answer(out, a); err != nil || a.Whole {
		return err
	}
	return faulty(len(a.Faults), audit, check)
}
