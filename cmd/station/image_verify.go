package main

import (
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"station/internal/filefault"
	"station/internal/firmware"
	"station/internal/job"
	"station/internal/keyfile"
	"station/internal/otaimage"
	"station/internal/plain"
	"station/internal/secureboot"
)

func imageVerifyCommand(o *options) *cobra.Command {
	var key, jobFile string
	var asJSON *bool
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
			}
			path := jobFile
			if path == "" {
				path = args[0]
			}
			if *asJSON {
				v, err := o.verified(io.Discard, path, key, jobFile != "")
				return errors.Join(answer(cmd.OutOrStdout(), v), err)
			}
			_, err := o.verified(cmd.OutOrStdout(), path, key, jobFile != "")
			return err
		},
	}
	cmd.Flags().StringVar(&jobFile, "job", "", "job `FILE` whose images are verified")
	cmd.Flags().StringVar(&key, "key", "", "PEM `FILE` of the key that must have signed")
	asJSON = jsonFlag(cmd)
	return cmd
}

// imageVerdict says whether an image, or each image of a job, is right. Of one that is
// not, nothing but the faults counts.
type imageVerdict struct {
	File      string            `json:"file"` // the image, or the job
	OK        bool              `json:"ok"`
	Faults    []filefault.Fault `json:"faults,omitempty"`
	Signature *imageSignature   `json:"signature,omitempty"`
	Inner     *innerImage       `json:"inner,omitempty"`  // of an OTA image
	Images    []jobImage        `json:"images,omitempty"` // of a job
}

// imageSignature is a secure boot signature that holds.
type imageSignature struct {
	Version    int      `json:"version"`
	Signed     int      `json:"signed"` // bytes that it covers
	Digest     string   `json:"digest"`
	KeyDigests []string `json:"keyDigests,omitempty"` // of version 2, in the order of its blocks
}

// innerImage is what an OTA image opens to.
type innerImage struct {
	Size   int    `json:"size"`
	Digest string `json:"digest"`
}

// jobImage is an image of a job, and by what the device knows it.
type jobImage struct {
	Address uint32 `json:"address"`
	Name    string `json:"name"`
	Check   string `json:"check"` // signature, digest, device or none
}

// imageChecks are the values of Check, in words.
var imageChecks = map[string]string{
	"signature": "signed with the job's key",
	"digest":    "has the key built in; known by its digest",
	"device":    "made for each device",
	"none":      "not checked by the chip",
}

// verified prints what is found, and is the verdict.
func (o *options) verified(w io.Writer, path, key string, isJob bool) (v imageVerdict, err error) {
	if isJob {
		v.Images, err = o.verifyJob(w, path)
	} else {
		v.Signature, v.Inner, err = verifyImage(w, path, key)
	}
	if err != nil {
		return imageVerdict{File: path, Faults: faultsOf(err)}, err
	}
	v.File, v.OK = path, true
	return v, nil
}

func verifyImage(w io.Writer, path, keyPath string) (*imageSignature, *innerImage, error) {
	data, err := keyfile.Read(path, keyfile.Image)
	if err != nil {
		return nil, nil, fmt.Errorf("image: %w", err)
	}
	if otaimage.Is(data) {
		inner, err := verifyOTA(w, path, data, keyPath)
		return nil, inner, err
	}
	var key crypto.PublicKey
	if keyPath != "" {
		if key, err = keyfile.ReadPublic(keyPath); err != nil {
			return nil, nil, err
		}
		if _, err := secureboot.VersionFor(secureboot.ChipOf(data), key); err != nil {
			return nil, nil, fmt.Errorf("--key: %w", err)
		}
	}
	signature, err := secureboot.Verify(data, key)
	if errors.Is(err, secureboot.ErrKeyNeeded) {
		return nil, nil, fmt.Errorf("image: %s: %w; give the public key with --key", path, err)
	}
	if signature != nil {
		printSignature(w, signature)
	}
	if err != nil {
		return nil, nil, printFaults(w, path, err)
	}
	out := &imageSignature{Version: int(signature.Version), Signed: signature.Signed, Digest: fmt.Sprintf("%s:%x", signature.Hash(), signature.Digest)}
	for _, digest := range signature.KeyDigests {
		out.KeyDigests = append(out.KeyDigests, fmt.Sprintf("%x", digest))
	}
	return out, nil, nil
}

// verifyJob tells of every image that the devices check. Whatever is wrong with
// one is a fault of the job, which is not loaded then.
func (o *options) verifyJob(w io.Writer, path string) (list []jobImage, err error) {
	j, err := job.Load(path, o.tokenKey)
	if err != nil {
		return nil, err
	}
	if j.SecureBoot.Version == 0 {
		return nil, fmt.Errorf("image verify: %s has no [secure_boot]: its devices check no signature", path)
	}
	for _, r := range j.Regions {
		by := "none"
		switch {
		case r.PerDevice:
			by = "device"
		case j.Checked(r) && j.SecureBoot.Version == 1 && r.Address == j.Chip().Bootloader:
			by = "digest"
		case j.Checked(r):
			by = "signature"
		}
		list = append(list, jobImage{r.Address, r.Name, by})
		plain.Fprintf(w, "%#08x %-20s %s\n", r.Address, r.Name, imageChecks[by])
	}
	return list, nil
}

// faultyFile is a file that has faults.
type faultyFile struct {
	path   string
	faults []error
}

func (f *faultyFile) Error() string {
	return fmt.Sprintf("image: %s has %s", f.path, plain.Count(len(f.faults), "fault"))
}

func (f *faultyFile) Unwrap() []error { return f.faults }

// printFaults shows each line of an error as a fault of the file.
func printFaults(w io.Writer, path string, err error) error {
	if err == nil {
		return nil
	}
	f := &faultyFile{path: path}
	for fault := range strings.SplitSeq(err.Error(), "\n") {
		f.faults = append(f.faults, errors.New(fault))
		plain.Fprintf(w, "FAULT         %s\n", fault)
	}
	return f
}

func verifyOTA(w io.Writer, path string, data []byte, keyPath string) (*innerImage, error) {
	if keyPath == "" {
		return nil, fmt.Errorf("image: %s is a pre-encrypted OTA image; give the fleet's private key with --key to open it", path)
	}
	key, err := keyfile.ReadPrivate(keyPath)
	if err != nil {
		return nil, err
	}
	image, err := otaimage.Open(data, key)
	if err != nil {
		return nil, printFaults(w, path, err)
	}
	inner := &innerImage{len(image), fmt.Sprintf("sha256:%x", sha256.Sum256(image))}
	plain.Fprintf(w, "OTA image     opens with this key\nimage         %d bytes, %s\n", inner.Size, inner.Digest)
	if firmware.Describe(path, image).Kind == "unknown" {
		return nil, printFaults(w, path, fmt.Errorf("the image in it is no ESP image"))
	}
	_, err = firmware.ParseImage(image)
	return inner, printFaults(w, path, err)
}
