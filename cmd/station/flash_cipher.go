package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"station/internal/chip"
	"station/internal/flashcrypt"
	"station/internal/hsm"
	"station/internal/keyfile"
	"station/internal/secret"
	"station/internal/station"
)

// cipherFlags are those of image encrypt and image decrypt.
type cipherFlags struct {
	*options
	key, mac string
	chip     string
	out      output
	address  uint32
	config   uint8
	size     int
}

// cipherCommand is what image encrypt and image decrypt share.
func cipherCommand(o *options, use, short string, encrypt bool) *cobra.Command {
	c := cipherFlags{options: o}
	cmd := &cobra.Command{
		Use:   use + " FILE",
		Short: short,
		Long: short + `.

--chip says whose cipher it is: the ESP32 has its own, the chips after it have
XTS-AES, with a key of 32 bytes or of 64, or on the ESP32-C2 of 16.

--key is a key file as espsecure writes it, or a PKCS#11 URI. A URI names a
shared key with object=LABEL; with --mac it names the master from which that
device's key is derived.`,
		Example: fmt.Sprintf("  station image %s --key fleet.bin --address 0x10000 --out app.out app.bin\n"+
			"  station image %s --key 'pkcs11:token=line-1;object=station-master?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/station/pin' --mac 24:0a:c4:01:02:03 --address 0x1000 --out boot.out bootloader.bin", use, use),
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.run(cmd.Context(), args[0], encrypt)
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.key, "key", "", "key `FILE` or PKCS#11 URI")
	f.StringVar(&c.chip, "chip", chip.Known(nil).Name, "`NAME` of the device's chip: "+chipNames())
	f.StringVar(&c.mac, "mac", "", "device whose key is derived from the master in --key")
	f.Uint32Var(&c.address, "address", 0, "flash address of the first byte, a multiple of 16")
	f.Uint8Var(&c.config, "crypt-config", 0xf, "FLASH_CRYPT_CONFIG of an ESP32, 0 to 15")
	f.IntVar(&c.size, "key-size", 32, "bytes of a key in a token: 32, 24 for coding scheme 3/4, 64 or 16")
	c.out.add(cmd, "out", "", "`FILE` to write")
	for _, name := range []string{"key", "address", "out"} {
		_ = cmd.MarkFlagRequired(name)
	}
	return cmd
}

func (c *cipherFlags) run(ctx context.Context, path string, encrypt bool) error {
	family := chip.ByName(c.chip)
	if family == nil {
		return fmt.Errorf("--chip %q: want one of %s", c.chip, chipNames())
	}
	in, err := keyfile.Open(path, keyfile.Image)
	if err != nil {
		return fmt.Errorf("image: %w", err)
	}
	defer in.Close()
	key, err := c.load(ctx)
	if err != nil {
		return err
	}
	defer key.Destroy()
	cipher, err := flashcrypt.For(family.Cipher, key, c.config)
	if err != nil {
		return err
	}
	defer cipher.Destroy()
	return c.out.write(func(w io.Writer) error {
		_, err := cipher.Copy(w, in, c.address, encrypt)
		return err
	})
}

// load reads the key from the file or takes it out of the token.
func (c *cipherFlags) load(ctx context.Context) (*secret.Bytes, error) {
	if !strings.HasPrefix(c.key, "pkcs11:") {
		if c.mac != "" {
			return nil, fmt.Errorf("image: --mac derives a key inside a token; --key must be a PKCS#11 URI then, not a file")
		}
		return keyfile.ReadSecret(c.key)
	}
	uri, err := hsm.ParseURI(c.key)
	if err != nil {
		return nil, fmt.Errorf("--key: %w", err)
	}
	if uri.Object == "" {
		return nil, fmt.Errorf("--key: the URI names no key; add object=LABEL")
	}
	req := hsm.Request{Chip: c.chip, Purpose: chip.FlashEncryption, Policy: hsm.Shared, Label: uri.Object, Size: c.size}
	if c.mac != "" {
		req.Policy = hsm.Derived
		if req.MAC, err = chip.ParseMAC(c.mac); err != nil {
			return nil, fmt.Errorf("--mac: %w", err)
		}
	}
	token, err := c.openNamed(c.key)
	if err != nil {
		return nil, err
	}
	defer token.Close()
	key, err := token.DeviceKey(ctx, req)
	if err != nil {
		return nil, station.TokenFailure(err)
	}
	return key.Secret, nil
}
