package main

import "github.com/spf13/cobra"

func imageDecryptCommand(o *options) *cobra.Command {
	return cipherCommand(o, "decrypt", "Decrypt what was encrypted for a flash address", false)
}
