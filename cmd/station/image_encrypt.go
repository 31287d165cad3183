package main

import "github.com/spf13/cobra"

func imageEncryptCommand(o *options) *cobra.Command {
	return cipherCommand(o, "encrypt", "Encrypt an image for its flash address", true)
}
