package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"station/internal/keyfile"
	"station/internal/ledger"
	"station/internal/plain"
)

func ledgerProveCommand(l *ledgerFlags) *cobra.Command {
	var out output
	var since string
	cmd := &cobra.Command{
		Use:   "prove [NAME]",
		Short: "Write the proof of a device's entries, or that an old checkpoint is continued",
		Long: `Write one file that proves what the ledger says of a device: its entries, their
way to the root of the Merkle tree, and the newest signed checkpoint. NAME is
its MAC, its serial number or its ID. With
--since FILE, and no device, it proves that the newest checkpoint continues the log
of the checkpoint in FILE. "station ledger check" checks both offline.`,
		Example: `  station ledger prove 24:0a:c4:01:02:03 --out device.proof
  station ledger prove --since kept.checkpoint --out continues.proof`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 0) == (since == "") {
				return fmt.Errorf("ledger prove: give a device or --since FILE")
			}
			return l.read(func(b *ledger.Ledger) error {
				data, newer, err := prove(b, args, since)
				switch {
				case errors.Is(err, ledger.ErrNoCheckpoint):
					return fmt.Errorf("%w; \"station ledger checkpoint\" signs one", err)
				case err != nil:
					return err
				}
				if newer > 0 {
					plain.Fprintf(cmd.ErrOrStderr(), "%s after the newest checkpoint, not in the proof; \"station ledger checkpoint\" signs a new one\n", plain.Count(newer, "entry"))
				}
				return out.print(cmd.OutOrStdout(), data)
			})
		},
	}
	out.add(cmd, "out", "", "`FILE` to write (default: standard output)")
	cmd.Flags().StringVar(&since, "since", "", "checkpoint `FILE` that was kept")
	return cmd
}

func prove(b *ledger.Ledger, args []string, since string) (data []byte, newer int, err error) {
	if since != "" {
		old, err := keyfile.Read(since, keyfile.Proof)
		if err != nil {
			return nil, 0, err
		}
		p, err := b.ProveConsistency(old)
		if err != nil {
			return nil, 0, err
		}
		data, err = p.File()
		return data, 0, err
	}
	d, err := namedDevice(b, args[0])
	if err == nil && d.Simulated {
		err = fmt.Errorf("%s is a virtual chip: nothing of it is proved", d.MAC)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("ledger prove: %w", err)
	}
	p, newer, err := b.Prove(d.MAC)
	if err != nil {
		return nil, 0, err
	}
	data, err = p.File()
	return data, newer, err
}
