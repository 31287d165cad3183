package main

import (
	"crypto"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"station/internal/hsm"
	"station/internal/identity"
)

// caFlags are those of identity ca.
type caFlags struct {
	label, subject string
	selfSigned     bool
	days           int
	out            output
}

func identityCaCommand(t *tokenFlags) *cobra.Command {
	var c caFlags
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "Write the request for the certificate of the token's CA key, or one that it signs itself",
		Long: `Write a certificate request (CSR) for the token's CA key. A root of your own
answers it with a certificate: what the key certifies then verifies against your
root.

With --self-signed the key certifies itself and is its own root. Nothing is
changed in the token. "station hsm init --policy none --role ca" makes the key.`,
		Example: `  station identity ca --subject "CN=Line 1 CA,O=Plant" --out ca.csr
  station identity ca --subject "CN=Line 1 CA,O=Plant" --self-signed --out ca.pem`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.days < 0 || c.days > 0 && !c.selfSigned {
				return fmt.Errorf("identity ca: --days is for --self-signed, and counts from 1: how long a request is good, its root says")
			}
			if _, err := identity.ParseSubject(c.subject); err != nil {
				return fmt.Errorf("identity ca: --%w", err)
			}
			return t.with(func(token *hsm.Token) error {
				key, err := token.CA(cmd.Context(), c.label)
				if err != nil {
					return err
				}
				block, err := c.certify(key)
				if err != nil {
					return err
				}
				return c.out.print(cmd.OutOrStdout(), pem.EncodeToMemory(block))
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.label, "label", hsm.CA.Label(), "`LABEL` of the CA key in the token")
	f.StringVar(&c.subject, "subject", "", "whose certificate it is, such as \"CN=Line 1 CA,O=Plant\"")
	f.BoolVar(&c.selfSigned, "self-signed", false, "write a certificate that the key signs itself")
	f.IntVar(&c.days, "days", 0, "how long that is good; 0: without end")
	c.out.add(cmd, "out", "", "`FILE` to write (default: standard output)")
	_ = cmd.MarkFlagRequired("subject")
	return cmd
}

func (c *caFlags) certify(key crypto.Signer) (*pem.Block, error) {
	if c.selfSigned {
		der, err := identity.SelfSigned(c.subject, c.days, time.Now(), key)
		return &pem.Block{Type: "CERTIFICATE", Bytes: der}, err
	}
	der, err := identity.Request(c.subject, key)
	return &pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}, err
}
