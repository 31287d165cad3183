package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"station/internal/keyfile"
	"station/internal/plain"
	field "station/internal/release"
	"station/internal/station"
	"station/internal/store"
)

func releaseExportCommand(r *releaseFlags) *cobra.Command {
	r = &releaseFlags{options: r.options}
	cmd := &cobra.Command{
		Use:   "export NUMBER DIR",
		Short: "Write all files of a release into a folder, for a card or another server",
		Long: `Write all files of a release into a folder, which is made: app.bin, app.ota,
slots.bundle, manifest and sbom, as far as there are, and release.json. Files
that are there already are left alone, and said.`,
		Example: `  station release export 7 /media/card`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.of(args[0], func(all *station.Releases, id int64) error {
				doc, err := all.Find(id)
				if err != nil {
					return err
				}
				return exportRelease(cmd.OutOrStdout(), all, doc, args[1])
			})
		},
	}
	r.addStore(cmd)
	return cmd
}

func exportRelease(w io.Writer, all *station.Releases, doc *field.Release, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	for _, f := range doc.Forms {
		path := filepath.Join(dir, field.Files[f.Kind])
		file, err := all.Store.Artifact(store.Digest(f.SHA256))
		if err != nil {
			return stationFault(err)
		}
		err = keyfile.Write(path, false, func(w io.Writer) error {
			_, err := io.Copy(w, file)
			return err
		})
		file.Close()
		if err != nil {
			return err
		}
		plain.Fprintf(w, "wrote %s\n", path)
	}
	path := filepath.Join(dir, "release.json")
	err := keyfile.Write(path, false, func(w io.Writer) error {
		_, err := w.Write(doc.JSON())
		return err
	})
	if err == nil {
		plain.Fprintf(w, "wrote %s\n", path)
	}
	return err
}
