package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"station/internal/firmware"
	"station/internal/keyfile"
	"station/internal/plain"
)

type imageAnswer struct {
	File string `json:"file"`
	firmware.Info
}

func imageInfoCommand() *cobra.Command {
	var asJSON *bool
	cmd := &cobra.Command{
		Use:   "info FILE",
		Short: "Tell what a file is, what it says of itself, and what is wrong with it",
		Example: `  station image info build/app.bin
  station image info --json partitions.csv`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := keyfile.Read(args[0], keyfile.Image)
			if err != nil {
				return fmt.Errorf("image: %w", err)
			}
			info := firmware.Describe(args[0], data)
			if *asJSON {
				if err := answer(cmd.OutOrStdout(), imageAnswer{args[0], info}); err != nil {
					return err
				}
			} else {
				printInfo(cmd.OutOrStdout(), info)
			}
			if info.Kind == "unknown" {
				return fmt.Errorf("image: %s is neither an ESP image nor a partition table nor otadata nor an OTA image", args[0])
			}
			if len(info.Faults) > 0 {
				return fmt.Errorf("image: %s has %s", args[0], plain.Count(len(info.Faults), "fault"))
			}
			return nil
		},
	}
	asJSON = jsonFlag(cmd)
	return cmd
}

func printInfo(w io.Writer, info firmware.Info) {
	plain.Fprintf(w, "kind          %s, %d bytes\ndigest        %s\n", info.Kind, info.Size, info.SHA256)
	if i := info.Image; i != nil {
		printImage(w, i)
	}
	if info.Behind != "" {
		plain.Fprintf(w, "behind it     %s\n", info.Behind)
	}
	if t := info.Partition; t != nil {
		fmt.Fprintf(w, "%s", t.CSV())
	}
	if o := info.OTAData; o != nil {
		printOTAData(w, *o)
	}
	for _, f := range info.Faults {
		plain.Fprintf(w, "FAULT         %s\n", f)
	}
}

// printOTAData tells of both entries, and what the bootloader makes of them.
func printOTAData(w io.Writer, o firmware.OTAData) {
	for n, e := range o {
		what := fmt.Sprintf("sequence %d, %s", e.Seq, e.State)
		switch {
		case e.Damaged:
			what = "none: its CRC is wrong"
		case e.Seq == 0:
			what = "none: erased"
		}
		plain.Fprintf(w, "entry %d       %s\n", n, what)
	}
	chosen, ok := o.Chosen()
	if !ok {
		plain.Fprintf(w, "starts        no slot is chosen: the factory app, or ota_0 where there is none\n")
		return
	}
	two, _ := o.Slot(2)
	three, _ := o.Slot(3)
	plain.Fprintf(w, "starts        by entry %d: ota_%d of two slots, ota_%d of three\n", chosen, two, three)
}

func printImage(w io.Writer, i *firmware.Image) {
	plain.Fprintf(w, "flash         %s, %s, %d MB\nentry         %#08x\nchip          %s, revision %s and later\nlength        %d\nchecksum      %#02x\n",
		i.Mode, i.Freq, i.FlashSize>>20, i.Entry, strings.TrimPrefix(i.Chip(), "the "), i.MinRevision, i.Length, i.Checksum)
	if i.SHA256 != "" {
		plain.Fprintf(w, "sha256        %s (appended)\n", i.SHA256)
	}
	for n, s := range i.Segments {
		plain.Fprintf(w, "segment %-2d    load %#08x, %7d bytes at %#x\n", n, s.Load, s.Size, s.Offset)
	}
	if a := i.App; a != nil {
		plain.Fprintf(w, "app           %s %s, ESP-IDF %s, %s %s\n", a.Project, a.Version, a.IDF, a.Date, a.Time)
	}
	if b := i.Bootloader; b != nil {
		plain.Fprintf(w, "bootloader    ESP-IDF %s, %s\n", b.IDF, b.Time)
	}
}
