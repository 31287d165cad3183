package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"station/internal/firmware"
	"station/internal/keyfile"
	"station/internal/otaimage"
	"station/internal/plain"
)

func otaBuildCommand() *cobra.Command {
	var key string
	var out output
	cmd := &cobra.Command{
		Use:   "build FILE",
		Short: "Encrypt an app for updates over the air of one fleet",
		Long: `Encrypt an app for updates over the air, as ESP-IDF's esp_encrypted_img opens
them: AES-256-GCM under a new key, which is wrapped to the fleet's public key:
RSA-3072, or EC P-256 (ECIES) for chips that have the HMAC peripheral. Any server may carry the result; the devices open it with the
private key in their firmware and encrypt it again for their own flash.

FILE is the app as the build made it, signed where the fleet has secure boot,
and not encrypted for the flash. The result is secret, but it does not prove who
made it: anybody with the public key can make one. Secure boot proves that.`,
		Example: `  openssl genrsa -out fleet-private.pem 3072
  openssl pkey -in fleet-private.pem -pubout -out fleet-public.pem
  station ota build --key fleet-public.pem --out app.ota app-signed.bin
  station image verify --key fleet-private.pem app.ota`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return buildOTA(cmd, args[0], key, &out)
		},
	}
	f := cmd.Flags()
	f.StringVar(&key, "key", "", "PEM `FILE` of the fleet's public key, RSA-3072 or EC P-256")
	out.add(cmd, "out", "", "`FILE` to write")
	for _, name := range []string{"key", "out"} {
		_ = cmd.MarkFlagRequired(name)
	}
	return cmd
}

func buildOTA(cmd *cobra.Command, path, keyPath string, out *output) error {
	image, err := keyfile.Read(path, keyfile.Image)
	if err != nil {
		return fmt.Errorf("ota: %w", err)
	}
	info := firmware.Describe(path, image)
	if otaimage.Is(image) {
		return fmt.Errorf("ota: %s is a pre-encrypted OTA image already", path)
	}
	if len(info.Faults) > 0 {
		return fmt.Errorf("ota: %s: %s", path, strings.Join(info.Faults, "; "))
	}
	key, err := keyfile.ReadPublic(keyPath)
	if err != nil {
		return err
	}
	file, err := otaimage.Seal(image, key)
	if err != nil {
		return fmt.Errorf("--key: %w", err)
	}
	if err := out.bytes(file); err != nil {
		return err
	}
	if info.Kind != "app" && info.Kind != "image" {
		plain.Fprintf(cmd.ErrOrStderr(), "station: %s is no app. If it is encrypted for the flash already, the devices cannot use it\n", path)
	}
	plain.Fprintf(cmd.OutOrStdout(), "image         %d bytes, %s\nOTA image     %d bytes\n", info.Size, info.SHA256, len(file))
	return nil
}
