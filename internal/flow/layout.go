package flow

import (
	"cmp"
	"fmt"
	"path/filepath"

	"station/internal/esp32"
	"station/internal/firmware"
	"station/internal/keyfile"
	"station/internal/tomlfile"
)

// layout reads every file that the job names and finds the regions to write.
// An [[image]] wins over the flasher_args.json at the same place.
func (j *Job) layout(f *tomlfile.File) {
	l := firmware.Layout{
		Chip: j.ChipName, FlashSize: uint32(j.Flash.Size), Mode: string(j.Flash.Mode), Freq: string(j.Flash.Freq),
		Encrypted: true, TableOffset: j.TableOffset,
	}
	if j.PartitionTable != "" {
		l.Table = j.beside(j.PartitionTable)
	}
	for _, image := range j.Images {
		file := firmware.ImageFile{Name: image.Name, File: j.beside(image.File), Partition: image.Partition, Encrypt: image.Encrypt}
		if image.Address != nil {
			file.Address = *image.Address
		}
		l.Images = append(l.Images, file)
	}
	if j.FlasherArgs != "" {
		files, err := j.buildFiles(j.beside(j.FlasherArgs))
		if err != nil {
			f.Add(unjoin(err)...)
			return
		}
		l.Images = append(files, l.Images...)
	}
	plan, err := l.Plan()
	if err != nil {
		f.Add(unjoin(err)...)
		return
	}
	j.Regions = plan.Regions
	j.Warnings = append(j.Warnings, plan.Warnings...)
}

// buildFiles are the images of an ESP-IDF build.
func (j *Job) buildFiles(path string) ([]firmware.ImageFile, error) {
	data, err := keyfile.Read(path, keyfile.Build)
	if err != nil {
		return nil, fmt.Errorf("flasher_args: %w", err)
	}
	args, err := firmware.ParseFlasherArgs(path, data)
	if err != nil {
		return nil, err
	}
	if chip := cmp.Or(args.Chip, j.ChipName); chip != j.ChipName {
		return nil, fmt.Errorf("%s: the build is for the %s, the job for the %s", path, chip, j.ChipName)
	}
	return args.ImageFiles(filepath.Dir(path)), nil
}

// beside finds a file that the job names relative to itself.
func (j *Job) beside(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(j.Path), name)
}

// revision says why a chip of this revision cannot run the job's images.
func (j *Job) revision(rev esp32.Revision) error {
	for _, r := range j.Regions {
		if err := r.CheckRevision(rev); err != nil {
			return err
		}
	}
	return nil
}

// unjoin takes a joined error apart.
func unjoin(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}
