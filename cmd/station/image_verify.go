package main

import (
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"station/internal/firmware"
	"station/internal/job"
	"station/internal/keyfile"
	"station/internal/otaimage"
	"station/internal/plain"
	"station/internal/secureboot"
)

func imageVerifyCommand(o *options) *cobra.Command {
	var key, jobFile string
	cmd := &cobra.Command{
		Use:   "verify [FILE]",
		Short: "Verify an image and its signature, or open an OTA image",
		Long: `Verify an image and its secure boot signature, and name all that is wrong.

--key is the public key, in PEM, that must have signed. Version 1 needs it. A
version 2 signature brings its key along: without --key the signature is
verified with that one, and what it proves is up to you: compare the key digest
with BLOCK2 of your devices.

A pre-encrypted OTA image has no signature of its own. It is opened with the
fleet's private key in --key, and the image in it is verified.

--job verifies every image that the devices of a job check, against the key that
the job names under [secure_boot].`,
		Example: `  station image verify --key secure_boot_public_key.pem app-signed.bin
  station image verify app-signed.bin
  station image verify --key fleet-private.pem app.ota
  station image verify --job job.toml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case (jobFile == "") == (len(args) == 0):
				return errors.New("image verify: name either a FILE or a --job")
			case jobFile != "" && key != "":
				return errors.New("image verify: --key is for a FILE; a job names its own key")
			case jobFile != "":
				return o.verifyJob(cmd.OutOrStdout(), jobFile)
			}
			return verifyImage(cmd.OutOrStdout(), args[0], key)
		},
	}
	cmd.Flags().StringVar(&jobFile, "job", "", "job `FILE` whose images are verified")
	cmd.Flags().StringVar(&key, "key", "", "PEM `FILE` of the key that must have signed")
	return cmd
}

func verifyImage(w io.Writer, path, keyPath string) error {
	data, err := keyfile.Read(path, keyfile.Image)
	if err != nil {
		return fmt.Errorf("image: %w", err)
	}
	if otaimage.Is(data) {
		return verifyOTA(w, path, data, keyPath)
	}
	var key crypto.PublicKey
	if keyPath != "" {
		if key, err = keyfile.ReadPublic(keyPath); err != nil {
			return err
		}
		if _, err := secureboot.VersionOf(key); err != nil {
			return fmt.Errorf("--key: %w", err)
		}
	}
	signature, err := secureboot.Verify(data, key)
	if errors.Is(err, secureboot.ErrKeyNeeded) {
		return fmt.Errorf("image: %s: %w; give the public key with --key", path, err)
	}
	if signature != nil {
		printSignature(w, signature)
	}
	return printFaults(w, path, err)
}

// verifyJob tells of every image that the devices check. Whatever is wrong with
// one is a fault of the job, which is not loaded then.
func (o *options) verifyJob(w io.Writer, path string) error {
	j, err := job.Load(path, o.tokenKey)
	if err != nil {
		return err
	}
	if j.SecureBoot.Version == 0 {
		return fmt.Errorf("image verify: %s has no [secure_boot]: its devices check no signature", path)
	}
	for _, r := range j.Regions {
		what := "not checked by the chip"
		switch {
		case r.PerDevice:
			what = "made for each device"
		case j.Checked(r) && j.SecureBoot.Version == 1 && r.Address == j.Chip().Bootloader:
			what = "has the key built in; known by its digest"
		case j.Checked(r):
			what = "signed with the job's key"
		}
		plain.Fprintf(w, "%#08x %-20s %s\n", r.Address, r.Name, what)
	}
	return nil
}

// printFaults shows each line of an error as a fault of the file.
func printFaults(w io.Writer, path string, err error) error {
	if err == nil {
		return nil
	}
	list := strings.Split(err.Error(), "\n")
	for _, fault := range list {
		plain.Fprintf(w, "FAULT         %s\n", fault)
	}
	return fmt.Errorf("image: %s has %d faults", path, len(list))
}

func verifyOTA(w io.Writer, path string, data []byte, keyPath string) error {
	if keyPath == "" {
		return fmt.Errorf("image: %s is a pre-encrypted OTA image; give the fleet's private key with --key to open it", path)
	}
	key, err := keyfile.ReadPrivate(keyPath)
	if err != nil {
		return err
	}
	image, err := otaimage.Open(data, key)
	if err != nil {
		return printFaults(w, path, err)
	}
	plain.Fprintf(w, "OTA image     opens with this key\nimage         %d bytes, sha256:%x\n", len(image), sha256.Sum256(image))
	if firmware.Describe(path, image).Kind == "unknown" {
		return printFaults(w, path, fmt.Errorf("the image in it is no ESP image"))
	}
	_, err = firmware.ParseImage(image)
	return printFaults(w, path, err)
}
