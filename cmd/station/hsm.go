package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"station/internal/hsm"
	"station/internal/job"
	"station/internal/station"
)

func hsmCommand(o *options) *cobra.Command {
	t := &tokenFlags{options: o}
	cmd := &cobra.Command{Use: "hsm", Short: "Prepare and examine the key token"}
	t.add(cmd)
	cmd.AddCommand(hsmInitCommand(t), hsmStatusCommand(t))
	return cmd
}

func hsmInitCommand(t *tokenFlags) *cobra.Command {
	n := &noteFlags{tokenFlags: t}
	var policy, label, signer, prf string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make in the token what a key policy needs, and the key that signs the ledger",
		Long: `Make in the token what a key policy needs: a master for "derived", a
key-encryption key for "random"; and beside it, unless it is there already, the
P-256 key that signs the ledger's checkpoints, exports and certificates. Keys
are made inside the token, can never leave it, and are refused if the token
gives them other attributes. Nothing that exists is changed. Each key is noted
in the station's ledger, which is made if there is none.

"--policy none" makes the signing key alone. What must be backed up before the
first device is sealed is in docs/keys.md.`,
		Example: `  station hsm init --policy derived --label station-master --operator eve
  station hsm init --policy none
  station hsm init --hsm 'pkcs11:token=line-1?module-path=/usr/lib/softhsm/libsofthsm2.so'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			role := hsm.Policy(policy).Role()
			switch {
			case role == hsm.SharedKey:
				return fmt.Errorf("hsm init: a shared key is made with \"station key new\" or brought in with \"station key import\"")
			case role == "" && policy != "none":
				return fmt.Errorf("hsm init: policy %q is not known; write derived, random or none", policy)
			case prf != string(hsm.HMAC) && prf != string(hsm.CMAC):
				return fmt.Errorf("hsm init: --prf %q is not known; write %s or %s", prf, hsm.HMAC, hsm.CMAC)
			case prf != string(hsm.HMAC) && role != hsm.Master:
				return fmt.Errorf("hsm init: --prf is for policy derived")
			case role == "" && signer == "":
				return fmt.Errorf("hsm init: nothing to make")
			}
			there := false
			err := n.making(cmd, station.KeyMade, func(token *hsm.Token) (keys []hsm.Key, err error) {
				keys, there, err = makeKeys(cmd.Context(), token, role, hsm.PRF(prf), label, signer)
				return keys, err
			})
			if there {
				fmt.Fprintf(cmd.OutOrStdout(), "the signing key %s is there already\n", signer)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&policy, "policy", "derived", "derived, random or none")
	cmd.Flags().StringVar(&prf, "prf", string(hsm.HMAC), "what a master derives with: hmac-sha256, or aes-cmac for tokens without HMAC")
	cmd.Flags().StringVar(&label, "label", "", "label of the policy's key (default: the role's own)")
	cmd.Flags().StringVar(&signer, "signer", hsm.Signer.Label(), "label of the signing key; empty makes none")
	n.add(cmd)
	return cmd
}

// makeKeys makes the policy's key, and the signing key unless it is there
// already. It returns those that it made, also with an error.
func makeKeys(ctx context.Context, token *hsm.Token, role hsm.Role, prf hsm.PRF, label, signer string) (made []hsm.Key, there bool, err error) {
	if err := canMake(ctx, token, role, prf, signer); err != nil {
		return nil, false, err
	}
	if role != "" {
		if label == "" {
			label = role.Label()
		}
		key, err := token.InitPRF(ctx, role, label, prf)
		if err != nil {
			return nil, false, err
		}
		made = append(made, key)
	}
	if signer == "" {
		return made, false, nil
	}
	key, err := token.Init(ctx, hsm.Signer, signer)
	switch {
	case errors.Is(err, hsm.ErrExists):
		return made, true, nil
	case err != nil:
		return made, false, err
	}
	return append(made, key), false, nil
}

// canMake has the token do everything once before anything is made.
func canMake(ctx context.Context, token *hsm.Token, role hsm.Role, prf hsm.PRF, signer string) error {
	if role != "" {
		if err := token.Rehearse(ctx, role, prf); err != nil {
			return fmt.Errorf("nothing was made: %w", err)
		}
	}
	if signer == "" {
		return nil
	}
	if _, err := token.Signer(ctx, signer); err == nil {
		return nil
	}
	if err := token.Rehearse(ctx, hsm.Signer, ""); err != nil {
		return fmt.Errorf("nothing was made: %w; without a signing key the ledger's checkpoints stay unsigned: --signer \"\" makes none", err)
	}
	return nil
}

func hsmStatusCommand(t *tokenFlags) *cobra.Command {
	var jobs []string
	var signer string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Audit the token: every object, what is too open, what is missing, what is not ours",
		Long: `Audit the token: what it is, which key policies it can serve (each is tried, with
the key that is there or with one that lives for the moment), every key of ours with its attributes,
what is too open or unfit, what is missing (the signing key, and the keys of the
jobs given), and what in it is not ours. If the station has a ledger, the keys
are compared with what it says of this token: a key that it knows nothing of, or
that it speaks of and the token lacks, is a problem too ("station key note").
What the token cannot do is no problem where neither a job given nor a key that
is there needs it. Exit code 3 if anything is wrong.`,
		Example: `  station hsm status
  station hsm status --job lamp.toml --job bell.toml --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			want, err := wantedKeys(jobs, signer)
			if err != nil {
				return err
			}
			token, err := t.open()
			if err != nil {
				return err
			}
			defer token.Close()
			s, err := token.Status(cmd.Context(), want...)
			if err != nil {
				return stationFault(station.TokenFailure(err))
			}
			book := t.compare(&s)
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				err = enc.Encode(s)
			} else {
				printStatus(cmd.OutOrStdout(), s, book)
			}
			if n := len(s.Problems()); err == nil && n > 0 {
				return stationFault(fmt.Errorf("hsm status: %d problems", n))
			}
			return err
		},
	}
	cmd.Flags().StringArrayVar(&jobs, "job", nil, "job `FILE` whose key must be there; may be given again")
	cmd.Flags().StringVar(&signer, "signer", hsm.Signer.Label(), "label of the signing key that must be there; empty for none")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

// wantedKeys are the keys that jobs and ledger count on.
func wantedKeys(jobs []string, signer string) (want []hsm.Want, err error) {
	for _, path := range jobs {
		job, err := job.Load(path)
		if err != nil {
			return nil, err
		}
		prf := hsm.PRF(job.Key.PRF)
		if prf == "" && job.Key.Policy == string(hsm.Derived) {
			prf = hsm.HMAC
		}
		want = append(want, hsm.Want{Role: hsm.Policy(job.Key.Policy).Role(), Label: job.Key.Label, PRF: prf})
	}
	if signer != "" {
		want = append(want, hsm.Want{Role: hsm.Signer, Label: signer})
	}
	return want, nil
}

// printStatus shows an audit; book is what is said of the ledger that it was
// compared with.
func printStatus(w io.Writer, s hsm.Status, book string) {
	fmt.Fprintf(w, "token         %s\nserial        %s\nmodel         %s, %s\nfirmware      %s\nmodule        %s\nlibrary       %s\n",
		s.Label, s.Serial, s.Model, s.Manufacturer, s.Firmware, s.Module, s.Library)
	if s.Throwaway {
		fmt.Fprintln(w, "SIMULATION    a throw-away token; nothing made with it is real")
	}
	if book != "" {
		fmt.Fprintf(w, "ledger        %s\n", book)
	}
	for _, a := range s.Abilities {
		switch {
		case a.Can:
			fmt.Fprintf(w, "%-13s can           %s\n", a.For, a.How)
		case a.Untried:
			fmt.Fprintf(w, "%-13s cannot tell   %s\n", a.For, a.Why)
		default:
			fmt.Fprintf(w, "%-13s cannot        %s\n", a.For, a.Why)
		}
	}
	for _, m := range s.Mechanisms {
		state := "yes"
		if !m.Present {
			state = "no"
		}
		fmt.Fprintf(w, "mechanism     %-28s %-8s %s\n", m.Name, state, m.For)
	}
	for _, k := range s.Keys {
		fmt.Fprintln(w)
		printKey(w, k)
	}
	if len(s.Keys) == 0 {
		fmt.Fprintln(w, "\nno keys of ours; make them with \"station hsm init\"")
	}
	for _, k := range s.Others {
		fmt.Fprintf(w, "\nnot ours      %s %q, %s\n", k.Type, k.Label, strings.Join(k.Attributes, " "))
	}
	problems := s.Problems()
	if len(problems) == 0 {
		fmt.Fprintln(w, "\nno problems")
	}
	for i, p := range problems {
		if i == 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "PROBLEM       %s\n", p)
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
