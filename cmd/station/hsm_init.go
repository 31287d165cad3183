package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"station/internal/hsm"
	"station/internal/station"
)

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
  station hsm init --policy none --operator eve
  station hsm init --hsm 'pkcs11:token=line-1?module-path=/usr/lib/softhsm/libsofthsm2.so' --operator eve`,
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
			return fmt.Errorf("nothing was made: %w%s", err, otherwise(role))
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

// otherwise is the way to a key that the token does not make for us.
func otherwise(role hsm.Role) string {
	return fmt.Sprintf("; if the maker's own tool makes such a key, take it in: station key adopt LABEL --role %s --operator ID", role)
}
