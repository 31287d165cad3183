package main

import (
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"station/internal/chip"
	"station/internal/plain"
)

type chipsAnswer struct {
	Chips []chip.Summary `json:"chips"`
}

func chipsCommand() *cobra.Command {
	var asJSON *bool
	cmd := &cobra.Command{
		Use:   "chips",
		Short: "List the chips that the station seals, and which of them were held against a ROM",
		Long: `List the families of chips that the station seals: what a job calls them, where
their bootloader lies, how their flash is encrypted, where the key goes, and which
keys sign for secure boot. A chip that is "proved" was held against its own ROM;
one that is "tabled" against known answers alone, and a real device of it is burned
only where the job says allow_tabled = true beside the chip's name.`,
		Example: `  station chips
  station chips --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !*asJSON {
				return printChips(cmd.OutOrStdout())
			}
			var all chipsAnswer
			for _, f := range chip.Families {
				all.Chips = append(all.Chips, f.Summary())
			}
			return answer(cmd.OutOrStdout(), all)
		},
	}
	asJSON = jsonFlag(cmd)
	return cmd
}

func printChips(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	plain.Fprintf(w, "JOB NAME\tCHIP\tSTATE\tBOOTLOADER\tCRYSTAL\tCIPHER\tKEY IN\tCODING\tON BY\tSIGNED WITH\n")
	for _, f := range chip.Families {
		s := f.Summary()
		plain.Fprintf(w, "%s\t%s\t%s\t%s\t%s MHz\t%s\t%s\t%s\t%s\t%s\n", s.Name, s.Title, s.State, s.Bootloader, s.Crystals, s.Cipher, s.Key, s.Coding, s.Count, s.Signed)
	}
	return w.Flush()
}
