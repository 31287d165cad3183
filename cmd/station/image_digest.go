package main

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/spf13/cobra"

	"station/internal/keyfile"
	"station/internal/secureboot"
)

// digestFlags are those of image digest.
type digestFlags struct {
	key cipherFlags
	iv  string
}

func imageDigestCommand() *cobra.Command {
	var d digestFlags
	cmd := &cobra.Command{
		Use:   "digest FILE",
		Short: "Make the digest by which secure boot version 1 knows its bootloader",
		Long: `Make the digest by which a chip with secure boot version 1 knows its bootloader:
192 bytes for flash address 0, made with the key that its BLOCK2 holds. On a
device with flash encryption they are encrypted for that address, and so is the
bootloader with FF behind it up to a multiple of 128 bytes.

--key is a key file as espsecure writes it, of 32 bytes or 24 for coding scheme
3/4, or a PKCS#11 URI whose object=LABEL names a shared key. "station run" makes
the digest of each device by itself; this is for devices served by hand.`,
		Example: `  station image digest --key secure-bootloader-key.bin --out digest-0x0.bin bootloader.bin`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return d.run(cmd.Context(), args[0])
		},
	}
	f := cmd.Flags()
	f.StringVar(&d.key.key, "key", "", "key `FILE` or PKCS#11 URI")
	f.IntVar(&d.key.size, "key-size", 32, "bytes of a key in a token: 32, or 24 for coding scheme 3/4")
	f.StringVar(&d.iv, "iv", "", "the 128 bytes that the digest begins with, in `HEX` (default: random)")
	d.key.out.add(cmd, "out", "", "`FILE` to write")
	for _, name := range []string{"key", "out"} {
		_ = cmd.MarkFlagRequired(name)
	}
	return cmd
}

func (d *digestFlags) run(ctx context.Context, path string) error {
	image, err := keyfile.Read(path, keyfile.Image)
	if err != nil {
		return fmt.Errorf("image: %w", err)
	}
	iv := secureboot.NewIV()
	if d.iv != "" {
		b, err := hex.DecodeString(d.iv)
		if err != nil || len(b) != secureboot.IVSize {
			return fmt.Errorf("image: --iv: want %d bytes as hexadecimal digits", secureboot.IVSize)
		}
		iv = [secureboot.IVSize]byte(b)
	}
	key, err := d.key.load(ctx)
	if err != nil {
		return err
	}
	defer key.Destroy()
	digest, err := secureboot.BootloaderDigest(image, key, iv)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return d.key.out.bytes(digest)
}
