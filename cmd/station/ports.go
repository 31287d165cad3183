package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"station/internal/port"
)

func portsCommand(*options) *cobra.Command {
	return &cobra.Command{
		Use:     "ports",
		Short:   "List serial ports: adapter, serial number, USB path",
		Example: `  station ports`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := port.List()
			if err != nil {
				return stationFault(err)
			}
			if len(list) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "no serial ports; plug in an adapter, or use --port socket://HOST:PORT")
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "PORT\tADAPTER\tPRODUCT\tSERIAL\tUSB PATH")
			for _, p := range list {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", p.Name, adapter(p), p.Product, p.Serial, p.Path)
			}
			return w.Flush()
		},
	}
}

// adapter names the kind of adapter by driver and USB identity.
func adapter(p port.Info) string {
	if p.VID == "" {
		return p.Driver
	}
	return p.Driver + " " + p.VID + ":" + p.PID
}
