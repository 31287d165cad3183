package main

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"station/internal/hsm"
	"station/internal/job"
	"station/internal/keyfile"
	"station/internal/plain"
	field "station/internal/release"
	"station/internal/secureboot"
	"station/internal/station"
)

// addFlags are those of release add.
type addFlags struct {
	*releaseFlags
	upload                                                               uploadFlags
	product, name, fleet, manifest, sign, signManifest, signBundle, sbom string
	jobs                                                                 []string
	id                                                                   int64
}

func releaseAddCommand(r *releaseFlags) *cobra.Command {
	a := &addFlags{releaseFlags: &releaseFlags{options: r.options}}
	cmd := &cobra.Command{
		Use:   "add FILE",
		Short: "Check, sign, encrypt and record a firmware for the devices of a product",
		Long: `Make a release of an app: check it, have the token sign it if it is not signed
(--sign), make the forms that the devices need, and record all digests in the
ledger. The same app once more is the same release with the same files.

  --job           the revisions of the product that are in the field, one job
                  file each: its partition table says where updates go, and its
                  devices are offered the release
  --fleet-key     pre-encrypts the app (esp_encrypted_img): RSA-3072, EC P-256.
                  Devices whose jobs have [ota] need none: the app is encrypted
                  for the key that their chips make of the one in their fuses
  --manifest-key  makes the environment's manifest: the fleet's RSA-4096 key

Where the jobs share a flash key, the app is encrypted with it for every slot of
every job: a slot bundle. With --upload all of it goes to an update server too:
what the server has is left alone, so after a failure the same command once more
goes on where it stood. The app must have a secure version that is not lower
than that of the releases before. A release is offered to nobody until "station
rollout start".`,
		Example: `  station release add build/lamp.bin --product lamp --job lamp.toml --fleet-key fleet-public.pem --operator anna
  station release add build/lamp.bin --product lamp --job lot1.toml --job lot2.toml --manifest-key manifest-public.pem --sign station-secure-boot --operator anna
  station release add build/lamp.bin --product lamp --job lamp.toml --upload https://updates.example:8443 --credentials anna.txt --operator anna`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("id") {
				if err := field.CheckID(a.id); err != nil {
					return fmt.Errorf("--id: %w", err)
				}
			}
			return a.run(cmd.Context(), cmd.OutOrStdout(), args[0])
		},
	}
	f := cmd.Flags()
	f.StringVar(&a.product, "product", "", "`NAME` of the product, as its jobs have it")
	f.StringVar(&a.name, "name", "", "`NAME` of the firmware (default: the product's)")
	f.Int64Var(&a.id, "id", 0, "`NUMBER` of the release (default: the next one)")
	f.StringVar(&a.sbom, "sbom", "", "`FILE` of the firmware's bill of materials, to lie beside it; CycloneDX, for \"station affected --cve\"")
	a.addMaking(cmd)
	for _, name := range []string{"product", "job"} {
		_ = cmd.MarkFlagRequired(name)
	}
	return cmd
}

// addMaking adds what says how releases are made, and where they go.
func (a *addFlags) addMaking(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&a.jobs, "job", nil, "job `FILE` of devices in the field; more than one may")
	f.StringVar(&a.fleet, "fleet-key", "", "PEM `FILE` of the public key that the app is pre-encrypted to")
	f.StringVar(&a.manifest, "manifest-key", "", "PEM `FILE` of the public key that the manifest is encrypted to")
	f.StringVar(&a.sign, "sign", "", "`LABEL` of the token's key that signs the app, if it is not signed")
	f.StringVar(&a.signManifest, "manifest-signer", hsm.Manifest.Label(), "`LABEL` of the token's key that signs the manifest")
	f.StringVar(&a.signBundle, "bundle-signer", hsm.Bundle.Label(), "`LABEL` of the token's key that signs the slot bundle")
	a.upload.add(cmd, "that gets it")
	a.addStore(cmd)
	a.addOperator(cmd)
}

func (a *addFlags) run(ctx context.Context, w io.Writer, path string) error {
	door, err := a.upload.door()
	if err != nil {
		return err
	}
	return a.make(ctx, path, func(r *station.Releases, doc *field.Release) error {
		printRelease(w, doc, nil)
		return upload(ctx, door, r, doc)
	})
}

// make makes the release of an app, or finds it, and gives it to then.
func (a *addFlags) make(ctx context.Context, path string, then func(*station.Releases, *field.Release) error) error {
	n, err := a.read(path)
	if err != nil {
		return err
	}
	token, err := a.token(ctx, n)
	if token != nil {
		defer token.Close()
	}
	if n.Key != nil {
		defer n.Key.Destroy()
	}
	if err != nil {
		return err
	}
	return a.with(func(r *station.Releases) error {
		doc, err := r.Make(ctx, *n)
		if err != nil {
			return err
		}
		return then(r, doc)
	})
}

// read reads all files that the release is made of.
func (a *addFlags) read(path string) (*station.NewRelease, error) {
	n, err := a.readAround()
	if err != nil {
		return nil, err
	}
	if n.App, err = keyfile.Read(path, keyfile.Image); err != nil {
		return nil, fmt.Errorf("release: %w", err)
	}
	return n, nil
}

// readAround reads all of these but the app.
func (a *addFlags) readAround() (*station.NewRelease, error) {
	n := &station.NewRelease{Product: a.product, Name: a.name, ID: a.id}
	var err error
	for _, path := range a.jobs {
		j, err := job.Load(path, a.tokenKey)
		if err != nil {
			return nil, err
		}
		n.Jobs = append(n.Jobs, j)
	}
	if a.fleet != "" {
		if n.Fleet, err = keyfile.ReadPublic(a.fleet); err != nil {
			return nil, err
		}
	}
	if a.manifest != "" {
		key, err := keyfile.ReadPublic(a.manifest)
		if err != nil {
			return nil, err
		}
		public, ok := key.(*rsa.PublicKey)
		if !ok {
			return nil, fmt.Errorf("--manifest-key: a key of type %T; a manifest takes RSA-4096", key)
		}
		n.Manifest = public
	}
	n.SBOM, err = a.readBOM()
	return n, err
}

// readBOM reads the bill of materials, which has to be one that can be asked later.
func (a *addFlags) readBOM() ([]byte, error) {
	if a.sbom == "" {
		return nil, nil
	}
	data, err := keyfile.Read(a.sbom, keyfile.Proof)
	if err != nil {
		return nil, fmt.Errorf("release: %w", err)
	}
	if _, err := field.ParseBOM(data); err != nil {
		return nil, fmt.Errorf("--sbom %s: %w; have your tool write CycloneDX in JSON, or leave --sbom out", a.sbom, err)
	}
	return data, nil
}

// shared is the label of the flash key that the jobs share, "" where they share none.
func shared(jobs []*job.Job) (label string, err error) {
	for i, j := range jobs {
		own := ""
		if j.Key.Policy == string(hsm.Shared) {
			own = j.Key.Label
		}
		if i > 0 && (own != label || j.Key.Bits != jobs[0].Key.Bits) {
			return "", fmt.Errorf("release: %s and %s have other flash keys: make a release for each", jobs[0].Path, j.Path)
		}
		label = own
	}
	return label, nil
}

// updateKey is the label of the key for updates that the jobs' devices have in their
// fuses, "" where they have none.
func updateKey(jobs []*job.Job) (label string, err error) {
	for i, j := range jobs {
		own := ""
		if j.OTA != nil {
			own = j.OTA.Label
		}
		if i > 0 && own != label {
			return "", fmt.Errorf("release: the devices of %s and %s have other keys for updates: make a release for each", jobs[0].Path, j.Path)
		}
		label = own
	}
	return label, nil
}

// encryptFor has the app encrypted for the key that the devices make of theirs.
func (a *addFlags) encryptFor(ctx context.Context, token *hsm.Token, n *station.NewRelease) error {
	public, err := station.UpdateKey(ctx, token, n.Jobs[0])
	if err != nil {
		return err
	}
	if n.Fleet != nil && !public.Equal(n.Fleet) {
		return fmt.Errorf("--fleet-key: the devices of %s make another key of theirs (%q under [ota]); leave --fleet-key out", n.Jobs[0].Path, n.Jobs[0].OTA.Label)
	}
	n.Fleet = public
	return nil
}

// token finds the keys that are needed, nil where none is.
func (a *addFlags) token(ctx context.Context, n *station.NewRelease) (*hsm.Token, error) {
	label, err := shared(n.Jobs)
	ota, err1 := updateKey(n.Jobs)
	if err := errors.Join(err, err1); err != nil || a.sign == "" && n.Manifest == nil && label == "" && ota == "" {
		return nil, err
	}
	file, err := station.LoadFile(a.options.station)
	if err != nil {
		return nil, err
	}
	token, err := station.OpenToken(file.TokenURI(), file, prompt())
	if err != nil {
		return nil, err
	}
	if a.sign != "" {
		key, err := token.ImageKey(ctx, a.sign)
		if err != nil {
			return token, station.TokenFailure(err)
		}
		if _, err := secureboot.VersionFor(secureboot.ChipOf(n.App), key.Public()); err != nil {
			return token, fmt.Errorf("--sign: %w", err)
		}
		n.Boot = tokenKey{key}
	}
	if n.Manifest != nil {
		if n.Author, err = token.ManifestKey(ctx, a.signManifest); err != nil {
			return token, station.TokenFailure(err)
		}
	}
	if ota != "" {
		if err := a.encryptFor(ctx, token, n); err != nil {
			return token, err
		}
	}
	if label == "" {
		return token, nil
	}
	if n.Bundler, err = token.Bundler(ctx, a.signBundle); err != nil {
		return token, station.TokenFailure(err)
	}
	key, err := station.SharedKey(ctx, token, n.Jobs[0])
	n.Key = key
	return token, err
}

// printRelease says what a release is, and how far its rollout has come.
func printRelease(w io.Writer, r *field.Release, roll *field.Rollout) {
	plain.Fprintf(w, "release       %d\nproduct       %s\nfirmware      %s", r.ID, r.Product, r.Name)
	if r.App != "" { // else only its maker knows what it is
		plain.Fprintf(w, " %s, secure version %d", r.Version, r.SecureVersion)
	}
	plain.Fprintf(w, "\n")
	if r.App != "" {
		plain.Fprintf(w, "app           %d bytes, %s\n", r.AppSize, r.App)
	}
	for _, j := range r.Jobs {
		plain.Fprintf(w, "for job       %s\n", j)
	}
	for _, f := range r.Forms {
		plain.Fprintf(w, "%-13s %d bytes, %s\n", f.Kind, f.Size, f.SHA256)
	}
	if r.Withdrawn != "" {
		plain.Fprintf(w, "WITHDRAWN     %s\n", r.Withdrawn)
	}
	if roll != nil {
		printRollout(w, roll)
	}
}

func printRollout(w io.Writer, r *field.Rollout) {
	plain.Fprintf(w, "rollout       %s at %d %%: %d offered, %d succeeded, %d failed; stops above %d %% of %d or more\n",
		r.State, r.Percent, r.Offered, r.Succeeded, r.Failed, r.Failures, r.Samples)
	if r.Reason != "" {
		plain.Fprintf(w, "because       %s\n", r.Reason)
	}
}
