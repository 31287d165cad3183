package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"station/internal/hsm"
	"station/internal/job"
	"station/internal/station"
)

func keyPublicCommand(t *tokenFlags) *cobra.Command {
	var out output
	var jobPath string
	cmd := &cobra.Command{
		Use:   "public [LABEL]",
		Short: "Write the public half of the signing key, to check signatures with",
		Long: `Write the public half of the token's signing key in PEM. Whoever checks exports,
certificates and proofs needs it: give it to them by a way of its own, once.
With LABEL it is that of another key pair, as a job's [secure_boot] names it.

With --job it is the key for which updates of the job's devices are encrypted: their
chips make the private half of the key under [ota]. "release add" does so by itself;
other tools that make ECIES images (esp_enc_img_gen.py) need the file.`,
		Example: `  station key public --out station-signer.pem
  station key public station-secure-boot --out release.pub.pem
  station key public --job lamp.toml --out fleet-public.pem`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			label := hsm.Signer.Label()
			if len(args) > 0 {
				label = args[0]
			}
			var j *job.Job
			if jobPath != "" {
				var err error
				if j, err = jobWithUpdates(t, jobPath, len(args) > 0); err != nil {
					return err
				}
			}
			token, err := t.open()
			if err != nil {
				return err
			}
			defer token.Close()
			public, err := publicHalf(cmd.Context(), token, label, j)
			if err != nil {
				return err
			}
			der, err := x509.MarshalPKIXPublicKey(public)
			if err != nil {
				return err
			}
			text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
			return out.print(cmd.OutOrStdout(), text)
		},
	}
	out.add(cmd, "out", "", "`FILE` to write (default: standard output)")
	cmd.Flags().StringVar(&jobPath, "job", "", "job `FILE` whose devices' key for updates it is")
	return cmd
}

// jobWithUpdates is a job whose devices have a key for updates.
func jobWithUpdates(t *tokenFlags, path string, labelled bool) (*job.Job, error) {
	if labelled {
		return nil, errors.New("key public: --job names the key already; leave the label out")
	}
	j, err := job.Load(path, t.tokenKey)
	if err == nil && j.OTA == nil {
		err = fmt.Errorf("key public: the devices of %s have no key for updates; write [ota]", path)
	}
	return j, err
}

// publicHalf is that of a key pair in the token, or of the key that a job's devices make.
func publicHalf(ctx context.Context, token *hsm.Token, label string, j *job.Job) (crypto.PublicKey, error) {
	if j != nil {
		return station.UpdateKey(ctx, token, j)
	}
	key, err := token.Show(ctx, label)
	switch {
	case err != nil:
		return nil, station.TokenFailure(err)
	case key.Public == nil:
		return nil, fmt.Errorf("key public: %q is a %s; it has no public half", label, key.Type)
	}
	return key.Public, nil
}
