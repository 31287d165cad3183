package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"station/internal/bench"
	"station/internal/hsm"
)

func hsmCommand(o *options) *cobra.Command {
	t := &tokenFlags{options: o}
	cmd := &cobra.Command{Use: "hsm", Short: "Prepare and examine the key token"}
	t.add(cmd)
	cmd.AddCommand(hsmInitCommand(t), hsmStatusCommand(t))
	return cmd
}

func hsmInitCommand(t *tokenFlags) *cobra.Command {
	var policy, label string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make in the token what a key policy needs",
		Long: `Make in the token what a key policy needs: a master for "derived", a
key-encryption key for "random". It is made inside the token, can never leave
it, and is refused if the token gives it other attributes. Nothing that exists
is changed.`,
		Example: `  station hsm init --policy derived --label station-master
  station hsm init --hsm 'pkcs11:token=line-1?module-path=/usr/lib/softhsm/libsofthsm2.so'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			role := hsm.Policy(policy).Role()
			switch role {
			case "":
				return fmt.Errorf("hsm init: policy %q is not known; write derived or random", policy)
			case hsm.SharedKey:
				return fmt.Errorf("hsm init: a shared key is made with \"station key new\" or brought in with \"station key import\"")
			}
			if label == "" {
				label = role.Label()
			}
			token, err := t.open()
			if err != nil {
				return err
			}
			defer token.Close()
			key, err := token.Init(cmd.Context(), role, label)
			if err != nil {
				return stationFault(bench.TokenFailure(err))
			}
			printKey(cmd.OutOrStdout(), key)
			return nil
		},
	}
	cmd.Flags().StringVar(&policy, "policy", "derived", "derived or random")
	cmd.Flags().StringVar(&label, "label", "", "label of the new key (default: the role's own)")
	return cmd
}

func hsmStatusCommand(t *tokenFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Show the token and every key of ours in it, with what is wrong",
		Example: `  station hsm status --station station.toml`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			token, err := t.open()
			if err != nil {
				return err
			}
			defer token.Close()
			out, info := cmd.OutOrStdout(), token.Info()
			fmt.Fprintf(out, "token         %s\nserial        %s\nmodel         %s, %s\nfirmware      %s\n", info.Label, info.Serial, info.Model, info.Manufacturer, info.Firmware)
			keys, err := token.Keys(cmd.Context())
			if err != nil {
				return stationFault(bench.TokenFailure(err))
			}
			for _, k := range keys {
				fmt.Fprintln(out)
				printKey(out, k)
			}
			if len(keys) == 0 {
				fmt.Fprintln(out, "\nno keys of ours; make them with \"station hsm init\"")
			}
			return nil
		},
	}
}

// printKey shows what may be told of a key: all but the key.
func printKey(w io.Writer, k hsm.Key) {
	fmt.Fprintf(w, "label         %s\nrole          %s\ntype          %s, %d bits\n", k.Label, k.Role, k.Type, k.Bits)
	if k.Check != "" {
		fmt.Fprintf(w, "check value   %s\n", k.Check)
	}
	fmt.Fprintf(w, "attributes    %s\n", strings.Join(k.Attributes, " "))
	for _, p := range k.Problems {
		fmt.Fprintf(w, "PROBLEM       %s\n", p)
	}
}
