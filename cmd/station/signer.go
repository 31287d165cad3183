package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"fmt"

	"github.com/spf13/cobra"

	"station/internal/hsm"
	"station/internal/keyfile"
	"station/internal/ledger"
	qa "station/internal/report"
	"station/internal/station"
)

// signerFlags name the token's signing key.
type signerFlags struct {
	tokenFlags
	label string
}

func (s *signerFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.uri, "hsm", "", "the token's PKCS#11 `URI`, in place of the station file's")
	cmd.Flags().StringVar(&s.label, "signer", hsm.Signer.Label(), "`LABEL` of the token's signing key")
}

// open logs in and finds the signing key. A throw-away token signs nothing.
func (s *signerFlags) open(ctx context.Context) (*hsm.Token, crypto.Signer, error) {
	token, err := s.tokenFlags.open()
	if err != nil {
		return nil, nil, err
	}
	if token.Info().Throwaway() {
		token.Close()
		return nil, nil, fmt.Errorf("token %s is for rehearsals: %w", token.Info().Label, qa.ErrSimulated)
	}
	key, err := token.Signer(ctx, s.label)
	if err != nil {
		token.Close()
		return nil, nil, station.TokenFailure(err)
	}
	return token, key, nil
}

// publicKeys reads the P-256 public keys that signatures are trusted from.
func publicKeys(paths []string) ([]*ecdsa.PublicKey, error) {
	var list []*ecdsa.PublicKey
	for _, path := range paths {
		data, err := keyfile.Read(path, keyfile.Key)
		if err != nil {
			return nil, fmt.Errorf("--key: %w", err)
		}
		key, err := ledger.ParsePublicKey(data)
		clear(data) // it may be the wrong file
		if err != nil {
			return nil, fmt.Errorf("--key %s: %w", path, err)
		}
		list = append(list, key)
	}
	return list, nil
}
