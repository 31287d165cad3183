package main

import (
	"github.com/spf13/cobra"
)

func imageCommand(*options) *cobra.Command {
	cmd := &cobra.Command{Use: "image", Short: "Examine, encrypt, decrypt, sign and verify flash images"}
	cmd.AddCommand(imageInfoCommand(), imageEncryptCommand(), imageDecryptCommand(), imageSignCommand(), imageDigestCommand(), imageVerifyCommand())
	return cmd
}
