package main

import (
	"github.com/spf13/cobra"
)

func imageCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{Use: "image", Short: "Examine, encrypt, decrypt, sign and verify flash images"}
	cmd.AddCommand(imageInfoCommand(), imageEncryptCommand(o), imageDecryptCommand(o), imageSignCommand(o), imageDigestCommand(), imageVerifyCommand(o))
	return cmd
}
