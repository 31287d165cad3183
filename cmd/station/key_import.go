package main

import (
	"github.com/spf13/cobra"

	"station/internal/hsm"
	"station/internal/keyfile"
	"station/internal/plain"
	"station/internal/station"
)

func keyImportCommand(t *tokenFlags) *cobra.Command {
	n := &noteFlags{tokenFlags: t}
	var label string
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Bring an espsecure key file into the token as a shared key",
		Long: `Bring a flash-encryption key file of an existing fleet (32 bytes, or 24 for
coding scheme 3/4) into the token, and note it in the station's ledger. The
key's check value proves that it arrived. The file is left alone: destroy it when
every station that needs the key has it.`,
		Example: `  station key import --label fleet-7 --operator eve flash_encryption_key.bin`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			secret, err := keyfile.ReadSecret(args[0])
			if err != nil {
				return err
			}
			defer secret.Destroy()
			err = n.making(cmd, station.KeyBrought, oneKey(func(token *hsm.Token) (hsm.Key, error) {
				return token.Import(cmd.Context(), label, secret)
			}))
			if err != nil {
				return err
			}
			plain.Fprintf(cmd.ErrOrStderr(), "the key is in the token; destroy %s when nobody needs it any more\n", args[0])
			return nil
		},
	}
	cmd.Flags().StringVar(&label, "label", "", "label of the key in the token")
	n.add(cmd)
	_ = cmd.MarkFlagRequired("label")
	return cmd
}
