package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"station/internal/filefault"
	"station/internal/firmware"
	"station/internal/keyfile"
	"station/internal/plain"
	field "station/internal/release"
)

func releaseBundleCheckCommand() *cobra.Command {
	var keys []string
	var asJSON *bool
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Check a slot bundle: form, signature, every digest",
		Long: `Check a slot bundle as a device does that reads it: letters, numbers, zeros and
order of its header, who signed it, and the SHA-256 of every slot. All that is
wrong is named. docs/bundle.md has the form.`,
		Example: `  station release bundle check --key bundle-public.pem lamp-1.2.0.bundle`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if *asJSON {
				b, err := checkBundle(io.Discard, args[0], keys)
				return errors.Join(answer(cmd.OutOrStdout(), bundleOf(args[0], b, err)), err)
			}
			_, err := checkBundle(cmd.OutOrStdout(), args[0], keys)
			return err
		},
	}
	cmd.Flags().StringArrayVar(&keys, "key", nil, "PEM `FILE` of the P-256 key that must have signed; more than one may")
	_ = cmd.MarkFlagRequired("key")
	asJSON = jsonFlag(cmd)
	return cmd
}

// bundleVerdict says whether a slot bundle is right, and what is in it. Of one that is
// not, nothing but the faults counts.
type bundleVerdict struct {
	File     string                  `json:"file"`
	OK       bool                    `json:"ok"`
	Faults   []filefault.Fault       `json:"faults,omitempty"`
	Product  string                  `json:"product,omitempty"`
	App      *firmware.AppDescriptor `json:"app,omitempty"`
	Size     uint32                  `json:"size,omitempty"` // of the plain app
	Digest   string                  `json:"digest,omitempty"`
	FlashKey string                  `json:"flashKey,omitempty"` // its check value
	Signer   string                  `json:"signer,omitempty"`
	Slots    []bundleSlot            `json:"slots,omitempty"`
}

type bundleSlot struct {
	Where  string `json:"where"` // address, in words
	Config uint8  `json:"config"`
	Size   uint32 `json:"size"`
	Offset uint32 `json:"offset"` // in the bundle
	Digest string `json:"digest"`
}

func bundleOf(path string, b *field.Bundle, err error) bundleVerdict {
	if err != nil {
		return bundleVerdict{File: path, Faults: faultsOf(err)}
	}
	v := bundleVerdict{File: path, OK: true, Product: plain.Text(b.Product), App: firmware.ParseDescriptor(b.Descriptor[:]), Size: b.PlainSize,
		Digest: fmt.Sprintf("sha256:%x", b.Plain), FlashKey: fmt.Sprintf("%x", b.Check), Signer: fmt.Sprintf("%x", b.Signer[:8])}
	for _, s := range b.Slots {
		v.Slots = append(v.Slots, bundleSlot{s.Where(), s.Config, s.Size, s.Offset, fmt.Sprintf("sha256:%x", s.Digest)})
	}
	return v
}

func checkBundle(w io.Writer, path string, keyPaths []string) (*field.Bundle, error) {
	trusted, err := publicKeys(keyPaths)
	if err != nil {
		return nil, err
	}
	f, err := keyfile.Open(path, keyfile.Bundle)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	header := make([]byte, min(info.Size(), field.BundleHeaderSize))
	if _, err := io.ReadFull(f, header); err != nil {
		return nil, fmt.Errorf("bundle: %s: %w", path, err)
	}
	b, err := field.ParseBundle(header)
	if err != nil {
		return nil, printFaults(w, path, err)
	}
	printBundle(w, b)
	if err := b.SignedByOne(trusted); err != nil {
		return nil, printFaults(w, path, err)
	}
	plain.Fprintf(w, "signature     holds, key %x\n", b.Signer[:8])
	bar := newProgress("check "+path, "bytes")
	defer bar.end()
	err = b.CheckBody(f, info.Size(), func(done int64) { bar.tell(uint64(done), uint64(info.Size())) })
	bar.end()
	return b, printFaults(w, path, err)
}

func printBundle(w io.Writer, b *field.Bundle) {
	app := firmware.ParseDescriptor(b.Descriptor[:])
	plain.Fprintf(w, "product       %s\n", plain.Text(b.Product))
	if app != nil {
		plain.Fprintf(w, "app           %s %s, secure version %d\n", app.Project, app.Version, app.SecureVersion)
	}
	plain.Fprintf(w, "plain app     %d bytes, sha256:%x\nflash key     check value %x\n", b.PlainSize, b.Plain, b.Check)
	for _, s := range b.Slots {
		plain.Fprintf(w, "slot          %s, config %#x, %d bytes at %d\n", s.Where(), s.Config, s.Size, s.Offset)
	}
}
