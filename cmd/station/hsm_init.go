package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"station/internal/hsm"
	"station/internal/plain"
	"station/internal/station"
)

// initFlags are those of hsm init: which keys are to be made.
type initFlags struct {
	policy, role, is, prf, label, signer string
}

func hsmInitCommand(t *tokenFlags) *cobra.Command {
	n := &noteFlags{tokenFlags: t}
	var i initFlags
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make in the token what a key policy needs, and the key that signs the ledger",
		Long: `Make in the token what a key policy needs: a master for "derived", a
key-encryption key for "random"; and beside it, unless it is there already, the
P-256 key that signs the ledger's checkpoints, exports and certificates. Keys
are made inside the token, can never leave it, and are refused if the token
gives them other attributes. Nothing that exists is changed. Each key is noted
in the station's ledger, which is made if there is none.

"--policy none" makes the signing key alone. With it, --role makes a key that no
policy asks for: "secure-boot" signs images ("station image sign"), with --type
rsa-3072, p-256 or p-384, as the chips take it ("station chips" lists their kinds); "ca"
signs the certificates of devices. What must be backed up before the first device
is sealed is in docs/keys.md.`,
		Example: `  station hsm init --policy derived --label station-master --operator eve
  station hsm init --policy none --operator eve
  station hsm init --policy none --role secure-boot --type rsa-3072 --operator eve
  station hsm init --hsm 'pkcs11:token=line-1?module-path=/usr/lib/softhsm/libsofthsm2.so' --operator eve`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := i.check(); err != nil {
				return fmt.Errorf("hsm init: %w", err)
			}
			there := false
			err := n.making(cmd, station.KeyMade, func(token *hsm.Token) (keys []hsm.Key, err error) {
				keys, there, err = i.make(cmd.Context(), token)
				return keys, err
			})
			if there {
				plain.Fprintf(cmd.OutOrStdout(), "the signing key %s is there already\n", i.signer)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&i.policy, "policy", "derived", "derived, random or none")
	f.StringVar(&i.role, "role", "", "with --policy none: secure-boot, ca, bundle or manifest")
	f.StringVar(&i.is, "type", "", "of a secure-boot key: rsa-3072 (default), p-256 or p-384")
	f.StringVar(&i.prf, "prf", string(hsm.HMAC), "what a master derives with: hmac-sha256, or aes-cmac for tokens without HMAC")
	f.StringVar(&i.label, "label", "", "label of the key of the policy or role (default: the role's own)")
	f.StringVar(&i.signer, "signer", hsm.Signer.Label(), "label of the signing key; empty makes none")
	n.add(cmd)
	return cmd
}

// check finds what is asked for and cannot be made.
func (i *initFlags) check() error {
	role := hsm.Policy(i.policy).Role()
	switch {
	case role == hsm.SharedKey:
		return errors.New("a shared key is made with \"station key new\" or brought in with \"station key import\"")
	case role == "" && i.policy != "none":
		return fmt.Errorf("policy %q is not known; write derived, random or none", i.policy)
	case i.role != "" && role != "":
		return fmt.Errorf("--role is for keys that no policy needs: add --policy none")
	case i.role != "" && !slices.Contains(ownRoles, hsm.Role(i.role)):
		return fmt.Errorf("--role %q is not known; write one of %s", i.role, commas(ownRoles))
	case i.is != "" && i.role != string(hsm.SecureBoot):
		return fmt.Errorf("--type is for --role %s", hsm.SecureBoot)
	case i.is != "" && !slices.Contains([]hsm.KeyType{hsm.RSA3072, hsm.P256, hsm.P384}, hsm.KeyType(i.is)):
		return fmt.Errorf("--type %q is not known; write %s, %s or %s, as \"station chips\" has it of the chips", i.is, hsm.RSA3072, hsm.P256, hsm.P384)
	case i.prf != string(hsm.HMAC) && i.prf != string(hsm.CMAC):
		return fmt.Errorf("--prf %q is not known; write %s or %s", i.prf, hsm.HMAC, hsm.CMAC)
	case i.prf != string(hsm.HMAC) && role != hsm.Master:
		return errors.New("--prf is for policy derived")
	case i.wanted() == "" && i.signer == "":
		return errors.New("nothing to make")
	}
	return nil
}

// ownRoles are those that --role makes a key of.
var ownRoles = []hsm.Role{hsm.SecureBoot, hsm.CA, hsm.Bundle, hsm.Manifest}

// wanted is the role of the key besides the signing key, "" for none.
func (i *initFlags) wanted() hsm.Role {
	if i.role != "" {
		return hsm.Role(i.role)
	}
	return hsm.Policy(i.policy).Role()
}

// make makes the key of the policy or role, and the signing key unless it is
// there already. It returns those that it made, also with an error.
func (i *initFlags) make(ctx context.Context, token *hsm.Token) (made []hsm.Key, there bool, err error) {
	role := i.wanted()
	if err := canMake(ctx, token, role, hsm.PRF(i.prf), i.signer); err != nil {
		return nil, false, err
	}
	if role != "" {
		key, err := i.makeWanted(ctx, token, role, cmp.Or(i.label, role.Label()))
		if err != nil {
			return nil, false, err
		}
		made = append(made, key)
	}
	if i.signer == "" {
		return made, false, nil
	}
	key, err := token.Init(ctx, hsm.Signer, i.signer)
	switch {
	case errors.Is(err, hsm.ErrExists):
		return made, true, nil
	case err != nil:
		return made, false, err
	}
	return append(made, key), false, nil
}

func (i *initFlags) makeWanted(ctx context.Context, token *hsm.Token, role hsm.Role, label string) (hsm.Key, error) {
	if role == hsm.SecureBoot || role == hsm.Manifest {
		return token.InitType(ctx, role, label, cmp.Or(hsm.KeyType(i.is), hsm.RSA3072))
	}
	return token.InitPRF(ctx, role, label, hsm.PRF(i.prf))
}

// canMake has the token do everything once before anything is made.
func canMake(ctx context.Context, token *hsm.Token, role hsm.Role, prf hsm.PRF, signer string) error {
	if role != "" && role != hsm.SecureBoot && role != hsm.Manifest { // whose key takes long to make: the new one is tried
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
