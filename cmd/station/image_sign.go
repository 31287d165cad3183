package main

import (
	"context"
	"crypto"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"station/internal/firmware"
	"station/internal/hsm"
	"station/internal/keyfile"
	"station/internal/secureboot"
	"station/internal/station"
)

// signFlags are those of image sign.
type signFlags struct {
	key     string
	out     output
	version int
}

func imageSignCommand() *cobra.Command {
	var s signFlags
	cmd := &cobra.Command{
		Use:   "sign FILE",
		Short: "Sign an image for secure boot",
		Long: `Sign an image for secure boot. The key says for which version: EC P-256 for
version 1 (apps and partition tables), RSA-3072 for version 2 (apps and
bootloaders, chips from revision 3.0).

--key is a private key in PEM, without a passphrase, in a file that nobody else
can read; or a PKCS#11 URI whose object=LABEL names a key that may sign.

Sign first, encrypt last. Change nothing in a signed image, its flash settings
neither. Version 2 prints the key digest that BLOCK2 must hold.`,
		Example: `  station image sign --key secure_boot_signing_key.pem --out app-signed.bin app.bin
  station image sign --version 2 --key 'pkcs11:token=release;object=secure-boot?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/station/pin' --out app-signed.bin app.bin`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.run(cmd, args[0])
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.key, "key", "", "private key: PEM `FILE` or PKCS#11 URI")
	f.IntVar(&s.version, "version", 0, "refuse a key that is not for this `VERSION` of secure boot, 1 or 2")
	s.out.add(cmd, "out", "", "`FILE` to write")
	for _, name := range []string{"key", "out"} {
		_ = cmd.MarkFlagRequired(name)
	}
	return cmd
}

func (s *signFlags) run(cmd *cobra.Command, path string) error {
	if s.version < 0 || s.version > 2 {
		return fmt.Errorf("image: --version %d: secure boot of the ESP32 has versions 1 and 2", s.version)
	}
	image, err := keyfile.Read(path, keyfile.Image)
	if err != nil {
		return fmt.Errorf("image: %w", err)
	}
	key, done, err := s.signer(cmd.Context())
	if err != nil {
		return err
	}
	defer done()
	version, err := secureboot.VersionOf(key.Public())
	if err != nil {
		return fmt.Errorf("--key: %w", err)
	}
	if s.version != 0 && s.version != int(version) {
		return fmt.Errorf("image: --version %d, but the key is for version %d: 1 takes EC P-256, 2 takes RSA-3072", s.version, version)
	}
	file, err := secureboot.Sign(image, key)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	signature, err := secureboot.Verify(file, key.Public())
	if err != nil {
		return err
	}
	if err := s.out.bytes(file); err != nil {
		return err
	}
	warnUnknown(cmd.ErrOrStderr(), path, image)
	printSignature(cmd.OutOrStdout(), signature)
	return nil
}

// signer is the key of --key, and what ends its use.
func (s *signFlags) signer(ctx context.Context) (crypto.Signer, func(), error) {
	if !strings.HasPrefix(s.key, "pkcs11:") {
		key, err := keyfile.ReadPrivate(s.key)
		return key, func() {}, err
	}
	uri, err := hsm.ParseURI(s.key)
	if err != nil {
		return nil, nil, fmt.Errorf("--key: %w", err)
	}
	if uri.Object == "" {
		return nil, nil, fmt.Errorf("--key: the URI names no key; add object=LABEL")
	}
	token, err := openToken(s.key, nil, prompt())
	if err != nil {
		return nil, nil, err
	}
	key, err := token.ImageKey(ctx, uri.Object)
	if err != nil {
		token.Close()
		return nil, nil, station.TokenFailure(err)
	}
	return tokenKey{key}, func() { token.Close() }, nil
}

// tokenKey is a key in the token whose failures are the station's.
type tokenKey struct{ *hsm.ImageKey }

func (k tokenKey) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	sig, err := k.ImageKey.Sign(rand, digest, opts)
	return sig, station.TokenFailure(err)
}

// warnUnknown warns of a file that no ESP32 would boot. An encrypted image is
// such a file.
func warnUnknown(w io.Writer, path string, data []byte) {
	if kind := firmware.Describe(path, data).Kind; kind == "unknown" || kind == "OTA image" {
		fmt.Fprintf(w, "station: %s is neither an ESP image nor a partition table. If it is encrypted already: sign first, encrypt last\n", path)
	}
}

func printSignature(w io.Writer, s *secureboot.Signature) {
	kind := "ECDSA P-256"
	if s.Version == secureboot.V2 {
		kind = "RSA-3072 PSS"
	}
	fmt.Fprintf(w, "signature     secure boot version %d, %s\nsigned        %d bytes, sha256:%x\n", s.Version, kind, s.Signed, s.Digest)
	if s.Version == secureboot.V2 {
		fmt.Fprintf(w, "key digest    %x (BLOCK2, burned in this order)\n", s.KeyDigest)
	}
}
