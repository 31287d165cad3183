package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"station/internal/plain"
	"station/internal/station"
)

func releaseWithdrawCommand(r *releaseFlags) *cobra.Command {
	r = &releaseFlags{options: r.options}
	var reason string
	var server uploadFlags
	cmd := &cobra.Command{
		Use:   "withdraw NUMBER",
		Short: "Take a release back: it is offered to nobody any more",
		Long: `Take a release back. It is offered to nobody any more, and clients of hawkBit that
were offered it are told to cancel. Devices that run it keep it: make a newer one.`,
		Example: `  station release withdraw 7 --operator anna --reason "it loses its settings"
  station release withdraw 7 --operator anna --reason "it burns" --upload https://updates.example:8443 --credentials anna.txt`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.of(args[0], func(all *station.Releases, id int64) error {
				door, err := server.door()
				if err != nil {
					return err
				}
				doc, err := all.Withdraw(id, reason)
				if err != nil {
					return err
				}
				if door != nil {
					if err := door.Put(cmd.Context(), doc); err != nil {
						return uploadFault(fmt.Errorf("withdraw: %s: %w", door.URL, err), "it is withdrawn here; the same command once more tells the server")
					}
				}
				plain.Fprintf(cmd.OutOrStdout(), "release %d of %s is withdrawn\n", doc.ID, doc.Product)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why")
	_ = cmd.MarkFlagRequired("reason")
	server.add(cmd, "that gives it out")
	r.addStore(cmd)
	r.addOperator(cmd)
	return cmd
}
