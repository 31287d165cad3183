package main

import "github.com/spf13/cobra"

func imageDecryptCommand() *cobra.Command {
	return cipherCommand("decrypt", "Decrypt what was encrypted for a flash address", false)
}
