package main

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"station/internal/chip"
	"station/internal/firmware"
	"station/internal/job"
	"station/internal/keyfile"
	"station/internal/plain"
)

func jobNewCommand() *cobra.Command {
	var name, marker, label string
	var out output
	cmd := &cobra.Command{
		Use:   "new FLASHER_ARGS",
		Short: "Write a job file for an ESP-IDF build",
		Long: `Write a job file for an ESP-IDF build from its flasher_args.json. What the
build does not say is set to the safe choice and marked to be looked at. Secure
boot, identity and what closes a device stand there as comments, with what the
sdkconfig beside the build says of them; the length of the key for flash
encryption is the one that it has.`,
		Example: `  station job new build/flasher_args.json --name lamp --marker "lamp: ready" --out job.toml`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := keyfile.Read(args[0], keyfile.Build)
			if err != nil {
				return fmt.Errorf("job new: %w", err)
			}
			build, err := firmware.ParseFlasherArgs(args[0], data)
			if err != nil {
				return err
			}
			if err := forKnownChip(args[0], build); err != nil {
				return err
			}
			path, err := relative(out.path, args[0])
			if err != nil {
				return fmt.Errorf("job new: %w", err)
			}
			err = out.write(func(w io.Writer) error {
				return writeJob(w, build, jobTexts{path, name, marker, label, filepath.Dir(args[0])})
			})
			if err != nil {
				return err
			}
			plain.Fprintf(cmd.ErrOrStderr(), "wrote %s; look through it, then: station job check %s\n", out.path, out.path)
			return nil
		},
	}
	f := cmd.Flags()
	out.add(cmd, "out", "job.toml", "`FILE` to write")
	f.StringVar(&name, "name", "", "product name")
	f.StringVar(&marker, "marker", "", "text that the firmware prints when it is ready")
	f.StringVar(&label, "key", "station-master", "label of the key in the token")
	_ = cmd.MarkFlagRequired("name")
	_ = cmd.MarkFlagRequired("marker")
	return cmd
}

// relative is the path of the build as the job file beside out must name it.
func relative(out, build string) (string, error) {
	dir, err := filepath.Abs(filepath.Dir(out))
	if err != nil {
		return "", err
	}
	abs, err := filepath.Abs(build)
	if err != nil {
		return "", err
	}
	return filepath.Rel(dir, abs)
}

// forKnownChip refuses a build for a chip that no job can be for: by its name,
// and by the images of builds that are too old to name one.
func forKnownChip(path string, build *firmware.FlasherArgs) error {
	names := strings.Join(chip.Names(), ", ")
	family := chip.Known(chip.ByName(build.Chip))
	if build.Chip != "" && build.Chip != family.Name {
		return fmt.Errorf("job new: %s is a build for the %s; this station seals the %s: idf.py set-target %s, then build again", path, build.Chip, names, family.Name)
	}
	for _, image := range build.ImageFiles(filepath.Dir(path)) {
		data, err := keyfile.Read(image.File, keyfile.Image)
		if err != nil {
			continue // job check names every file that is missing
		}
		if info := firmware.Describe(image.File, data); info.Image != nil && info.Image.ChipID != family.ImageID {
			return fmt.Errorf("job new: %s is built for %s; the build is for the %s: idf.py set-target %s, then build again", image.File, info.Image.Chip(), family.Name, family.Name)
		}
	}
	return nil
}

// tableOffset is the line for a build whose partition table is not at 0x8000.
func tableOffset(build *firmware.FlasherArgs) string {
	if at := build.TableOffset(); at != 0 && at != firmware.DefaultTableOffset {
		return fmt.Sprintf("partition_table_offset = %#x\n", at)
	}
	return ""
}

// keyBits is the line for a build whose key for flash encryption is not of the usual
// length.
func keyBits(dir string) string {
	if bits := job.BuiltKeyBits(dir); bits != 0 {
		return fmt.Sprintf("bits = %d           # as the build's sdkconfig has it\n", bits)
	}
	return ""
}

// chipLine names the chip, and what one needs that was not held against its ROM.
func chipLine(f *chip.Family) string {
	if f.Proved {
		return fmt.Sprintf("chip = %q", f.Name)
	}
	return fmt.Sprintf("chip = %q   # tabled (station chips): a real device needs { name = %q, allow_tabled = true }", f.Name, f.Name)
}

// jobTexts are what a job file says that is not in its flasher_args.json.
type jobTexts struct{ path, name, marker, label, build string }

func writeJob(w io.Writer, build *firmware.FlasherArgs, t jobTexts) error {
	family := chip.Known(chip.ByName(build.Chip))
	size, note := build.Size, ""
	if _, err := firmware.ParseFlashSize(size); err != nil {
		size, note = "4MB", "   # the build does not say: look at the module"
	}
	_, err := fmt.Fprintf(w, `name = %q
revision = "1"
%s

# Bootloader, partition table and apps of the build. The partition table decides
# what is encrypted.
flasher_args = %q
%s
[flash]
size = %q%s
mode = %q
freq = %q
baud = 921600

[key]
policy = "derived"   # each device its own key, derived inside the token from its MAC
label = %q
%s
[security]
mode = "release"     # for good: encryption can never be switched off

[boot]
marker = %q
timeout = "10s"
%s`, t.name, chipLine(family), t.path, tableOffset(build), size, note, cmp.Or(build.Mode, "keep"), cmp.Or(build.Freq, "keep"), t.label, keyBits(t.build), t.marker, job.Sections(t.build, family))
	return err
}
