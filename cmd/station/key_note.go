package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"station/internal/plain"
	"station/internal/record"
	"station/internal/station"
)

func keyNoteCommand(t *tokenFlags) *cobra.Command {
	n := &noteFlags{tokenFlags: t}
	cmd := &cobra.Command{
		Use:   "note LABEL...",
		Short: "Note in the ledger that a key is in the token, or is there no longer",
		Long: `Note in the station's ledger what the token holds under a label, where the
ledger says otherwise: a key that nobody noted, another key than was noted, or
none any more. "station hsm status" finds such keys. Keys that this program
makes or imports are noted as that is done; this is for those of another time
or program. The key itself is never touched.`,
		Example: `  station key note station-master --operator eve`,
		Args:    cobra.MinimumNArgs(1),
		RunE:    n.run,
	}
	n.add(cmd)
	_ = cmd.MarkFlagRequired("operator")
	return cmd
}

func (n *noteFlags) run(cmd *cobra.Command, labels []string) error {
	file, err := station.LoadFile(n.station)
	if err != nil {
		return err
	}
	token, err := n.ready(file)
	if err != nil {
		return err
	}
	defer token.Close()
	keys, err := token.Keys(cmd.Context())
	if err != nil {
		return station.TokenFailure(err)
	}
	noted, err := station.KeysNotedAt(file.Ledger, token.Info())
	if err != nil {
		return station.LedgerFailure(err)
	}
	var notes []record.Entry
	for _, label := range labels {
		e, missing, err := station.MissingNote(token.Info(), keys, noted, label)
		if err != nil {
			return fmt.Errorf("key note: %w", err)
		}
		if missing {
			notes = append(notes, e)
		} else {
			plain.Fprintf(cmd.OutOrStdout(), "noted before: %s\n", label)
		}
	}
	if err := n.note(cmd.Context(), file, notes); err != nil {
		return err
	}
	for _, e := range notes {
		plain.Fprintf(cmd.OutOrStdout(), "noted: %s\n", e.Message)
	}
	return nil
}
