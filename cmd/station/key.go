package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"station/internal/hsm"
	"station/internal/station"
)

func keyCommand(o *options) *cobra.Command {
	t := &tokenFlags{options: o}
	cmd := &cobra.Command{Use: "key", Short: "List, show, make, import, note and recover keys; never their values"}
	t.add(cmd)
	cmd.AddCommand(keyListCommand(t), keyShowCommand(t), keyNewCommand(t), keyImportCommand(t), keyAdoptCommand(t), keyNoteCommand(t), keyPublicCommand(t), keyRecoverCommand(t))
	return cmd
}

func keyListCommand(t *tokenFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List our keys in the token",
		Example: `  station key list`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var keys []hsm.Key
			err := t.with(func(token *hsm.Token) (err error) {
				keys, err = token.Keys(cmd.Context())
				return err
			})
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "LABEL\tROLE\tTYPE\tBITS\tCHECK VALUE\tPROBLEMS")
			for _, k := range keys {
				fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%d\n", k.Label, k.Role, k.Type, k.Bits, k.Check, len(k.Problems))
			}
			return w.Flush()
		},
	}
}

func keyShowCommand(t *tokenFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "show LABEL",
		Short:   "Show a key's attributes and check value, never the key",
		Example: `  station key show station-master`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.with(func(token *hsm.Token) error {
				key, err := token.Show(cmd.Context(), args[0])
				if err == nil {
					printKey(cmd.OutOrStdout(), key)
				}
				return err
			})
		},
	}
}

func keyNewCommand(t *tokenFlags) *cobra.Command {
	n := &noteFlags{tokenFlags: t}
	var label string
	var size int
	cmd := &cobra.Command{
		Use:   "new",
		Short: "Make a shared flash-encryption key inside the token",
		Long: `Make a shared flash-encryption key inside the token, and note it in the
station's ledger.`,
		Example: `  station key new --label fleet-8 --operator eve`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if size != 32 && size != 24 {
				return fmt.Errorf("key new: --size %d: a key is 32 bytes, or 24 for coding scheme 3/4", size)
			}
			return n.making(cmd, station.KeyMade, oneKey(func(token *hsm.Token) (hsm.Key, error) {
				return token.NewShared(cmd.Context(), label, size)
			}))
		},
	}
	cmd.Flags().StringVar(&label, "label", "", "label of the new key")
	cmd.Flags().IntVar(&size, "size", 32, "bytes: 32, or 24 for coding scheme 3/4")
	n.add(cmd)
	_ = cmd.MarkFlagRequired("label")
	return cmd
}

// oneKey is fn for who can make several keys.
func oneKey(fn func(*hsm.Token) (hsm.Key, error)) func(*hsm.Token) ([]hsm.Key, error) {
	return func(token *hsm.Token) ([]hsm.Key, error) {
		key, err := fn(token)
		if err != nil {
			return nil, err
		}
		return []hsm.Key{key}, nil
	}
}

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
			secret, err := keyFile(args[0])
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
			fmt.Fprintf(cmd.ErrOrStderr(), "the key is in the token; destroy %s when nobody needs it any more\n", args[0])
			return nil
		},
	}
	cmd.Flags().StringVar(&label, "label", "", "label of the key in the token")
	n.add(cmd)
	_ = cmd.MarkFlagRequired("label")
	return cmd
}
