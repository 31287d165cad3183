package main

import (
	"context"
	"crypto"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"station/internal/chip"
	"station/internal/hsm"
	"station/internal/keyfile"
	"station/internal/plain"
	"station/internal/secureboot"
	"station/internal/station"
)

// signFlags are those of image sign.
type signFlags struct {
	*options
	keys    []string
	out     output
	version int
	more    bool
}

func imageSignCommand(o *options) *cobra.Command {
	s := signFlags{options: o}
	cmd := &cobra.Command{
		Use:   "sign FILE",
		Short: "Sign an image for secure boot",
		Long: `Sign an image for secure boot, as the chip takes it that the image is for: the
ESP32 takes EC P-256 with version 1 (apps and partition tables) and RSA-3072 with
version 2 (apps and bootloaders, revision 3.0 and later); other chips have version
2 with the kinds of keys that "station chips" lists. What a version 1 chip checks
of its bootloader is no signature but a digest: station image digest.

--key is a private key in PEM, without a passphrase, in a file that nobody else
can read; or a PKCS#11 URI whose object=LABEL names a key that may sign, as
"station hsm init --role secure-boot" makes it. A URI without a module means the
station's own token.

With version 2 an image can have up to three signatures of one kind: give --key
again, or have the second person --append theirs to the signed file. The ESP32
reads the first alone, so the key that its BLOCK2 knows goes first.

Sign first, encrypt last. Change nothing in a signed image, its flash settings
neither. Version 2 prints the key digest that the fuses must hold.`,
		Example: `  station image sign --key secure_boot_signing_key.pem --out app-signed.bin app.bin
  station image sign --version 2 --key 'pkcs11:token=release;object=station-secure-boot?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/station/pin' --out app-signed.bin app.bin
  station image sign --append --key next.pem --out app-both.bin app-signed.bin`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.run(cmd, args[0])
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&s.keys, "key", nil, "private key: PEM `FILE` or PKCS#11 URI; may be repeated")
	f.IntVar(&s.version, "version", 0, "refuse a key that is not for this `VERSION` of secure boot, 1 or 2")
	f.BoolVar(&s.more, "append", false, "add the signature to those that the file has")
	s.out.add(cmd, "out", "", "`FILE` to write")
	for _, name := range []string{"key", "out"} {
		_ = cmd.MarkFlagRequired(name)
	}
	return cmd
}

func (s *signFlags) run(cmd *cobra.Command, path string) error {
	if s.version < 0 || s.version > 2 {
		return fmt.Errorf("image: --version %d: secure boot has versions 1 and 2", s.version)
	}
	image, err := keyfile.Read(path, keyfile.Image)
	if err != nil {
		return fmt.Errorf("image: %w", err)
	}
	var keys []crypto.Signer
	for _, name := range s.keys {
		key, done, err := s.signer(cmd.Context(), secureboot.ChipOf(image), name)
		if err != nil {
			return err
		}
		defer done()
		keys = append(keys, key)
	}
	file, err := s.sign(image, keys)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	var first crypto.PublicKey
	if !s.more {
		first = keys[0].Public()
	}
	signature, err := secureboot.Verify(file, first)
	if err != nil {
		return err
	}
	if err := s.out.bytes(file); err != nil {
		return err
	}
	printSignature(cmd.OutOrStdout(), signature)
	return nil
}

// sign signs with all keys, or adds their signatures.
func (s *signFlags) sign(image []byte, keys []crypto.Signer) (file []byte, err error) {
	if !s.more {
		return secureboot.Sign(image, keys...)
	}
	for _, key := range keys {
		if image, err = secureboot.Append(image, key); err != nil {
			return nil, err
		}
	}
	return image, nil
}

// signer is a key of --key, and what ends its use.
func (s *signFlags) signer(ctx context.Context, family *chip.Family, name string) (crypto.Signer, func(), error) {
	key, done, err := s.openSigner(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	version, err := secureboot.VersionFor(family, key.Public())
	switch {
	case err != nil:
		err = fmt.Errorf("--key: %w", err)
	case s.version != 0 && s.version != int(version):
		err = fmt.Errorf("image: --version %d, but the %s takes this key with version %d", s.version, family.Title, version)
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	return key, done, nil
}

// openSigner is a private key in a file or a token, and what ends its use.
func (o *options) openSigner(ctx context.Context, name string) (crypto.Signer, func(), error) {
	if !strings.HasPrefix(name, "pkcs11:") {
		key, err := keyfile.ReadPrivate(name)
		return key, func() {}, err
	}
	uri, err := hsm.ParseURI(name)
	if err != nil {
		return nil, nil, fmt.Errorf("--key: %w", err)
	}
	if uri.Object == "" {
		return nil, nil, fmt.Errorf("--key: the URI names no key; add object=LABEL")
	}
	if uri.ModulePath+uri.ModuleName == "" {
		if name, err = o.ownToken(uri); err != nil {
			return nil, nil, fmt.Errorf("--key: %w", err)
		}
	}
	token, err := o.openNamed(name)
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

func printSignature(w io.Writer, s *secureboot.Signature) {
	kind := string(s.Key)
	if s.Key == chip.RSA3072 {
		kind += " PSS"
	}
	plain.Fprintf(w, "signature     secure boot version %d, %s\nsigned        %d bytes, %s:%x\n", s.Version, kind, s.Signed, s.Hash(), s.Digest)
	reads := s.Chip.Trusts(int(s.Version))
	for i, digest := range s.KeyDigests {
		switch {
		case i >= reads:
			plain.Fprintf(w, "also signed   by the key of digest %x, which the %s does not read\n", digest, s.Chip.Title)
		case reads > 1:
			plain.Fprintf(w, "key digest    %x (one of up to %d in the fuses of the %s, burned in this order)\n", digest, reads, s.Chip.Title)
		default:
			plain.Fprintf(w, "key digest    %x (%s, burned in this order)\n", digest, s.Chip.Seal.Keys[s.Chip.Seal.SecureBoot[2].Purpose].Blocks[0])
		}
	}
}
