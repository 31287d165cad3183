package main

import (
	"bytes"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"station/internal/chip"
	"station/internal/firmware"
	"station/internal/flashcrypt"
	"station/internal/flow"
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
	dest                     output
}

func keyRecoverCommand(t *tokenFlags) *cobra.Command {
	r := &recoverFlags{tokenFlags: t, ledger: ledgerFlags{options: t.options}}
	cmd := &cobra.Command{
		Use:   "recover MAC",
		Short: "Service a device: images that its key encrypts, or its key wrapped to somebody",
		Long: `Get the key of a device again, for the day it must be serviced. The key is never
shown and never a file. What comes out is one of

  --job FILE   the job's images, encrypted for this device, in the folder --out
  --to FILE    the key wrapped to the RSA public key in FILE (RSA-OAEP with
               SHA-256), in the file --out

The key comes from the token, by its recorded ID. With --officer it is opened
from its escrow with the officer's private key: token and station may be lost.

Who did it and why is an entry of the ledger before the key leaves the token;
where the station file wants two people for it, both names.`,
		Example: `  station key recover 24:0a:c4:01:02:03 --operator eve --reason "RMA 4711" --job job.toml --out rma-4711
  station key recover 24:0a:c4:01:02:03 --operator eve --reason audit --to auditor.pem --out key.wrapped
  station key recover 24:0a:c4:01:02:03 --operator eve --reason "token lost" --officer officer-private.pem --job job.toml --out images`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			mac, err := chip.ParseMAC(args[0])
			if err != nil {
				return err
			}
			return r.run(cmd.Context(), cmd.ErrOrStderr(), mac)
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.ledger.path, "ledger", "", "ledger `FILE`, in place of the station file's")
	f.StringVar(&r.operator, "operator", "", "who asks for it")
	f.StringVar(&r.second, "second", "", secondUsage)
	f.StringVar(&r.reason, "reason", "", "why")
	f.StringVar(&r.job, "job", "", "job `FILE` whose images are encrypted")
	f.StringVar(&r.to, "to", "", "RSA public key `FILE` (PEM) to wrap the key to")
	f.StringVar(&r.officer, "officer", "", "RSA private key `FILE` (PEM) that opens the escrow")
	r.dest.add(cmd, "out", "", "folder of the images, or file of the wrapped key")
	for _, name := range []string{"operator", "reason", "out"} {
		_ = cmd.MarkFlagRequired(name)
	}
	cmd.MarkFlagsMutuallyExclusive("job", "to")
	cmd.MarkFlagsOneRequired("job", "to")
	return cmd
}

// sealedKey is what the ledger knows of a device's key.
type sealedKey struct {
	id      string
	size    int // bytes
	wrapped []byte
	escrow  []byte
	config  uint8  // FLASH_CRYPT_CONFIG of the device
	boot    string // ID of its key for secure boot version 1; empty: it has none
}

func (r *recoverFlags) run(ctx context.Context, person io.Writer, mac chip.MAC) error {
	about, err := r.tokenFlags.seconded(station.Recover, r.operator, r.second)
	if err != nil {
		return fmt.Errorf("key %w", err)
	}
	use, what, err := r.use(person)
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
		k, err := findKey(b, mac)
		if err != nil {
			return fmt.Errorf("key recover: %w", err)
		}
		_, err = b.Append(record.Entry{Kind: record.KeyRecovered, MAC: mac, Keys: record.FlashKey(k.id), Operator: r.operator, Decision: what,
			Message: r.reason + "; to " + filepath.Base(r.dest.path), Simulated: b.Simulated(), About: about})
		if err != nil {
			return stationFault(err)
		}
		keys, err := open(mac, k)
		defer keys.Destroy()
		if err != nil {
			return err
		}
		return use(mac, k, keys)
	})
}

// findKey gathers what the ledger says of a device's key.
func findKey(b *ledger.Ledger, mac chip.MAC) (k sealedKey, err error) {
	if _, _, err := heldDevice(b, mac); err != nil {
		return k, err
	}
	list, err := b.History(mac)
	if err != nil {
		return k, stationFault(err)
	}
	for _, e := range list {
		if e.Identity != nil {
			k.size = e.Identity.Coding.KeyBytes()
		}
		if e.Kind == record.KeyAssigned {
			key := e.FlashKey()
			k.id, k.wrapped, k.escrow = key.ID, key.Wrapped, key.Escrow
			k.boot = e.KeyFor(chip.SecureBootV1).ID
		}
		if words := e.Fuses.Block("BLOCK0").Words; len(words) > 5 {
			word, err := strconv.ParseUint(words[5], 16, 32)
			if err != nil {
				return k, fmt.Errorf("fuses of entry %d: %w", e.Index, err)
			}
			k.config = uint8(word >> 28) // FLASH_CRYPT_CONFIG
		}
	}
	switch {
	case k.id == "":
		return k, fmt.Errorf("the ledger knows no key of %s", mac)
	case k.size == 0:
		return k, fmt.Errorf("the ledger does not know the coding scheme of %s", mac)
	}
	return k, nil
}

// source is where the key comes from: the token, or its escrow.
func (r *recoverFlags) source(ctx context.Context) (open func(chip.MAC, sealedKey) (sealedKeys, error), done func(), err error) {
	if r.officer != "" {
		private, err := keyfile.ReadPrivate(r.officer)
		if err != nil {
			return nil, nil, err
		}
		officer, ok := private.(*rsa.PrivateKey)
		if !ok {
			return nil, nil, fmt.Errorf("--officer %s: want an RSA key", r.officer)
		}
		return func(mac chip.MAC, k sealedKey) (keys sealedKeys, err error) {
			if k.escrow == nil {
				return keys, fmt.Errorf("key recover: the key of %s has no escrow", mac)
			}
			keys.flash, err = hsm.OpenEscrow(officer, k.id, k.escrow)
			return keys, err
		}, func() {}, nil
	}
	token, err := r.open()
	if err != nil {
		return nil, nil, err
	}
	return func(mac chip.MAC, k sealedKey) (keys sealedKeys, err error) {
		if keys.flash, err = fromToken(ctx, token, mac, chip.FlashEncryption, k.id, k); err == nil && k.boot != "" {
			keys.boot, err = fromToken(ctx, token, mac, chip.SecureBootV1, k.boot, k)
		}
		return keys, err
	}, func() { token.Close() }, nil
}

// sealedKeys are those of a device: for its flash, and for the digest of its
// bootloader, which no escrow has.
type sealedKeys struct{ flash, boot *secret.Bytes }

// Destroy overwrites the keys.
func (k sealedKeys) Destroy() {
	k.flash.Destroy()
	k.boot.Destroy()
}

// fromToken is the key of a device for a purpose, by its ID.
func fromToken(ctx context.Context, token *hsm.Token, mac chip.MAC, purpose chip.Purpose, name string, k sealedKey) (*secret.Bytes, error) {
	id, err := hsm.ParseKeyID(name)
	if err != nil {
		return nil, err
	}
	req := hsm.Request{Chip: chip.Known(nil).Name, MAC: mac, Purpose: purpose, Size: k.size, Policy: id.Policy, Label: id.Label}
	if purpose == chip.FlashEncryption {
		req.Wrapped = k.wrapped
	}
	got, err := token.DeviceKey(ctx, req)
	if err != nil {
		return nil, station.TokenFailure(err)
	}
	if got.ID != name {
		got.Secret.Destroy()
		return nil, stationFault(flow.Fail("E-KEY-CHANGED", fmt.Errorf("the ledger has key %s, the token gives %s", name, got.ID)))
	}
	return got.Secret, nil
}

// use is what is done with the key, and its name in the ledger. All files that
// it needs are read before the key is asked for.
func (r *recoverFlags) use(person io.Writer) (func(chip.MAC, sealedKey, sealedKeys) error, string, error) {
	if r.to != "" {
		public, err := keyfile.ReadPublic(r.to)
		if err != nil {
			return nil, "", err
		}
		to, ok := public.(*rsa.PublicKey)
		if !ok {
			return nil, "", fmt.Errorf("--to %s: want an RSA key", r.to)
		}
		return func(_ chip.MAC, k sealedKey, keys sealedKeys) error {
			blob, err := hsm.Escrow(to, hsm.DeviceKey{ID: k.id, Secret: keys.flash})
			if err != nil {
				return err
			}
			plain.Fprintf(person, "wrote %s: %s, RSA-OAEP with SHA-256, OAEP label %x\n", r.dest.path, k.id, hsm.EscrowLabel(k.id))
			return r.dest.bytes(blob)
		}, "wrap", nil
	}
	job, err := job.Load(r.job)
	if err != nil {
		return nil, "", err
	}
	return func(mac chip.MAC, k sealedKey, keys sealedKeys) error {
		if job.SecureBoot.Version == 1 && keys.boot.Len() == 0 {
			return errors.New("key recover: the digest of the bootloader needs the device's key for secure boot, which is in the token alone: recover without --officer")
		}
		regions, err := ownRegions(job, mac, keys)
		if err != nil {
			return fmt.Errorf("key recover: %w", err)
		}
		defer regions.Destroy()
		if k.config == 0 {
			return errors.New("key recover: the device's FLASH_CRYPT_CONFIG was never burned; it needs no encrypted images")
		}
		if err := writeImages(r.dest.path, regions.List, k.config, keys.flash); err != nil {
			return fmt.Errorf("key recover: %w", err)
		}
		plain.Fprintf(person, "wrote %d images of %s and flash_args to %s; flash-encryption config %d\n", len(regions.List), job.Name, r.dest.path, k.config)
		return nil
	}, "images", nil
}

// ownRegions are the device's without its identity, which it keeps: a file would
// hold the token and the private key.
func ownRegions(j *job.Job, mac chip.MAC, keys sealedKeys) (job.Regions, error) {
	return j.RegionsFor(job.Own{MAC: mac, BootKey: keys.boot})
}

// writeImages writes every region as the device's flash must hold
// it, and flash_args, which names them as ESP-IDF's tools take them.
func writeImages(dir string, regions []firmware.Region, config uint8, key *secret.Bytes) error {
	cipher, err := flashcrypt.New(key, config)
	if err != nil {
		return err
	}
	defer cipher.Destroy()
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
