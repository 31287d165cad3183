package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"station/internal/station"
)

func releaseWithdrawCommand(r *releaseFlags) *cobra.Command {
	r = &releaseFlags{options: r.options}
	var reason string
	cmd := &cobra.Command{
		Use:   "withdraw NUMBER",
		Short: "Take a release back: it is offered to nobody any more",
		Long: `Take a release back. It is offered to nobody any more, and clients of hawkBit that
were offered it are told to cancel. Devices that run it keep it: make a newer one.`,
		Example: `  station release withdraw 7 --operator anna --reason "it loses its settings"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.of(args[0], func(all *station.Releases, id int64) error {
				doc, err := all.Withdraw(id, reason)
				if err == nil {
					fmt.Fprintf(cmd.OutOrStdout(), "release %d of %s is withdrawn\n", doc.ID, doc.Product)
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why")
	_ = cmd.MarkFlagRequired("reason")
	r.addStore(cmd)
	r.addOperator(cmd)
	return cmd
}
