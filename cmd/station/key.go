package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"

	"station/internal/hsm"
	"station/internal/plain"
)

func keyCommand(o *options) *cobra.Command {
	t := &tokenFlags{options: o}
	cmd := &cobra.Command{Use: "key", Short: "List, show, make, import, note and recover keys; never their values"}
	t.add(cmd)
	cmd.AddCommand(keyListCommand(t), keyShowCommand(t), keyNewCommand(t), keyImportCommand(t), keyAdoptCommand(t), keyNoteCommand(t), keyPublicCommand(t), keyRecoverCommand(t))
	return cmd
}

// printKey shows what may be told of a key: all but the key.
func printKey(w io.Writer, k hsm.Key) {
	plain.Fprintf(w, "label         %s\nrole          %s\ntype          %s, %d bits\n", k.Label, k.Role, k.Type, k.Bits)
	if k.Check != "" {
		plain.Fprintf(w, "check value   %s\n", k.Check)
	}
	plain.Fprintf(w, "attributes    %s\n", strings.Join(k.Attributes, " "))
	for _, p := range k.Problems {
		plain.Fprintf(w, "PROBLEM       %s\n", p)
	}
}
