package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"github.com/spf13/cobra"

	"station/internal/hsm"
	"station/internal/station"
)

func keyPublicCommand(t *tokenFlags) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "public [LABEL]",
		Short: "Write the public half of the signing key, to check signatures with",
		Long: `Write the public half of the token's signing key in PEM. Whoever checks exports,
certificates and proofs needs it: give it to them by a way of its own, once.
With LABEL it is that of another key pair, as a job's [secure_boot] names it.`,
		Example: `  station key public --out station-signer.pem
  station key public station-secure-boot --out release.pub.pem`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			label := hsm.Signer.Label()
			if len(args) > 0 {
				label = args[0]
			}
			token, err := t.open()
			if err != nil {
				return err
			}
			defer token.Close()
			key, err := token.Show(cmd.Context(), label)
			if err != nil {
				return station.TokenFailure(err)
			}
			if key.Public == nil {
				return fmt.Errorf("key public: %q is a %s; it has no public half", label, key.Type)
			}
			der, err := x509.MarshalPKIXPublicKey(key.Public)
			if err != nil {
				return err
			}
			text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
			return out.print(cmd.OutOrStdout(), text)
		},
	}
	out.add(cmd, "out", "", "`FILE` to write (default: standard output)")
	return cmd
}
