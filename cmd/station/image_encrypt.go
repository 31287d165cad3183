package main

import "github.com/spf13/cobra"

func imageEncryptCommand() *cobra.Command {
	return cipherCommand("encrypt", "Encrypt an image for its flash address", true)
}
