package main

import (
	"bytes"
	"context"
	"crypto/rsa"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"station/internal/chip"
	"station/internal/firmware"
	"station/internal/flashcrypt"
	"station/internal/hsm"
	"station/internal/job"
	"station/internal/keyfile"
	"station/internal/ledger"
	"station/internal/plain"
	"station/internal/record"
	"station/internal/secret"
	"station/internal/station"
)

// recoverFlags are those of key recover.
type recoverFlags struct {
	*tokenFlags
	ledger                   ledgerFlags
	operator, second, reason string
	job, to, officer         string
	purpose                  string
	dest                     output

	token *hsm.Token // nil with an officer's key
}

func keyRecoverCommand(t *tokenFlags) *cobra.Command {
	r := &recoverFlags{tokenFlags: t, ledger: ledgerFlags{options: t.options}}
	cmd := &cobra.Command{
		Use:   "recover NAME",
		Short: "Service a device: images that its key encrypts, or its key wrapped to somebody",
		Long: `Get the key of a device again, for the day it must be serviced. NAME is its MAC,
its serial number or its ID. The key is never shown and never a file. What comes out is one of

  --job FILE   the job's images, encrypted for this device, in the folder --out
  --to FILE    the key wrapped to the RSA public key in FILE (RSA-OAEP with
               SHA-256), in the file --out. A device may have further keys:
               --purpose secure-boot-v1, hmac or hmac-updates

Images of a job with secure boot version 1 have the digest of the bootloader for
this device among them, and what holds its identity is made again by the token;
with --officer it is left out.

The key comes from the token, by its recorded ID. With --officer it is opened
from its escrow with the officer's private key: token and station may be lost.

Who did it and why is an entry of the ledger before the key leaves the token;
where the station file wants two people for it, both names.`,
		Example: `  station key recover 24:0a:c4:01:02:03 --operator eve --reason "RMA 4711" --job job.toml --out rma-4711
  station key recover 24:0a:c4:01:02:03 --operator eve --reason audit --to auditor.pem --out key.wrapped
  station key recover 24:0a:c4:01:02:03 --operator eve --reason "token lost" --officer officer-private.pem --job job.toml --out images`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.run(cmd.Context(), cmd.ErrOrStderr(), args[0])
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.ledger.path, "ledger", "", "ledger `FILE`, in place of the station file's")
	f.StringVar(&r.operator, "operator", "", "who asks for it")
	f.StringVar(&r.second, "second", "", secondUsage)
	f.StringVar(&r.reason, "reason", "", "why")
	f.StringVar(&r.job, "job", "", "job `FILE` whose images are encrypted")
	f.StringVar(&r.to, "to", "", "RSA public key `FILE` (PEM) to wrap the key to")
	f.StringVar(&r.purpose, "purpose", "", "of the key that --to wraps: flash-encryption, secure-boot-v1, hmac or hmac-updates (default: the device's first)")
	f.StringVar(&r.officer, "officer", "", "RSA private key `FILE` (PEM) that opens the escrow")
	r.dest.add(cmd, "out", "", "folder of the images, or file of the wrapped key")
	for _, name := range []string{"operator", "reason", "out"} {
		_ = cmd.MarkFlagRequired(name)
	}
	cmd.MarkFlagsMutuallyExclusive("job", "to")
	cmd.MarkFlagsOneRequired("job", "to")
	return cmd
}

func (r *recoverFlags) run(ctx context.Context, person io.Writer, name string) error {
	about, err := r.tokenFlags.seconded(station.Recover, r.operator, r.second)
	if err != nil {
		return fmt.Errorf("key %w", err)
	}
	use, what, err := r.use(ctx, person)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(r.dest.path); err == nil && (r.to == "" || !r.dest.overwrite) {
		return fmt.Errorf("key recover: %s is there already", r.dest.path)
	}
	open, closeSource, err := r.source(ctx)
	if err != nil {
		return err
	}
	defer closeSource()
	return r.ledger.change(ctx, func(b *ledger.Ledger) error {
		d, err := findKeys(b, name)
		if err == nil && r.to != "" {
			err = d.only(r.purpose)
		}
		if err != nil {
			return fmt.Errorf("key recover: %w", err)
		}
		_, err = b.Append(record.Entry{Kind: record.KeyRecovered, MAC: d.mac, Keys: d.named(), Operator: r.operator, Decision: what,
			Message: r.reason + "; to " + filepath.Base(r.dest.path), Simulated: b.Simulated(), About: about})
		if err != nil {
			return stationFault(err)
		}
		keys, err := open(d)
		defer keys.Destroy()
		if err != nil {
			return err
		}
		return use(d, keys)
	})
}

// use is what is done with the key, and its name in the ledger. All files that
// it needs are read before the key is asked for.
func (r *recoverFlags) use(ctx context.Context, person io.Writer) (func(sealedDevice, sealedKeys) error, string, error) {
	if r.to != "" {
		public, err := keyfile.ReadPublic(r.to)
		if err != nil {
			return nil, "", err
		}
		to, ok := public.(*rsa.PublicKey)
		if !ok {
			return nil, "", fmt.Errorf("--to %s: want an RSA key", r.to)
		}
		return func(d sealedDevice, keys sealedKeys) error {
			k := d.keys[0]
			blob, err := hsm.Escrow(to, hsm.DeviceKey{ID: k.ID, Secret: keys[k.Purpose]})
			if err != nil {
				return err
			}
			plain.Fprintf(person, "wrote %s: %s, RSA-OAEP with SHA-256, OAEP label %x\n", r.dest.path, k.ID, hsm.EscrowLabel(k.ID))
			return r.dest.bytes(blob)
		}, "wrap", nil
	}
	job, err := job.Load(r.job, r.tokenKey)
	if err != nil {
		return nil, "", err
	}
	return func(d sealedDevice, keys sealedKeys) error {
		if err := d.fits(job, keys); err != nil {
			return fmt.Errorf("key recover: %w", err)
		}
		own, err := r.own(ctx, d, job, keys)
		defer own.Values.Destroy()
		defer own.NVSKeys.Destroy()
		if err != nil {
			return fmt.Errorf("key recover: %w", err)
		}
		regions, err := job.RegionsFor(own)
		if err != nil {
			return fmt.Errorf("key recover: %w", err)
		}
		defer regions.Destroy()
		if err := writeImages(r.dest.path, regions.List, d, keys[chip.FlashEncryption]); err != nil {
			return fmt.Errorf("key recover: %w", err)
		}
		how := "encrypted with " + string(d.cipher())
		switch {
		case !job.Encrypts():
			how = "not encrypted"
		case d.chip.Cipher == chip.TweakedAES:
			how = fmt.Sprintf("flash-encryption config %d", d.config)
		}
		plain.Fprintf(person, "wrote %s of %s and flash_args to %s; %s\n", plain.Count(len(regions.List), "image"), job.Name, r.dest.path, how)
		for _, region := range job.Regions {
			if own.Values == nil && region.PerDevice && region.Partition != "" {
				plain.Fprintf(person, "left out %s at %#x: it holds the identity of the device, which only the token makes again; where the flash was erased, the line writes it\n", region.Name, region.Address)
			}
		}
		return nil
	}, "images", nil
}

// writeImages writes every region as the device's flash must hold
// it, and flash_args, which names them as ESP-IDF's tools take them.
func writeImages(dir string, regions []firmware.Region, d sealedDevice, key *secret.Bytes) error {
	var cipher *flashcrypt.Cipher
	if key != nil {
		var err error
		if cipher, err = flashcrypt.For(d.chip.Cipher, key, d.config); err != nil {
			return err
		}
		defer cipher.Destroy()
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	args := "--flash_mode keep --flash_freq keep --flash_size keep\n"
	for _, region := range regions {
		name := fmt.Sprintf("%#08x-%s.bin", region.Address, fileName(region.Name))
		args += fmt.Sprintf("%#x %s\n", region.Address, name)
		var contents io.Reader = bytes.NewReader(region.Data)
		if region.Encrypted {
			at, err := flashcrypt.NewReaderAt(cipher, bytes.NewReader(region.Data), int64(len(region.Data)), region.Address, flashcrypt.BlockSize)
			if err != nil {
				return fmt.Errorf("%s: %w", region.Name, err)
			}
			contents = io.NewSectionReader(at, 0, int64(region.Size))
		}
		err := keyfile.Write(filepath.Join(dir, name), false, func(w io.Writer) error {
			_, err := io.Copy(w, contents)
			return err
		})
		if err != nil {
			return err
		}
	}
	return (&output{path: filepath.Join(dir, "flash_args")}).bytes([]byte(args))
}

// fileName keeps of a region's name what is harmless in a path.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == '.' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '_'
	}, name)
}
