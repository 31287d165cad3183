package job

import (
	"cmp"
	"fmt"
	"path/filepath"

	"station/internal/chip"
	"station/internal/filefault"
	"station/internal/firmware"
	"station/internal/keyfile"
	"station/internal/tomlfile"
)

// layout reads every file that the job names and finds the regions to write.
// An [[image]] wins over the flasher_args.json at the same place.
func (j *Job) layout(f *tomlfile.File) {
	l := firmware.Layout{
		Chip: j.ChipName(), FlashSize: uint32(j.Flash.Size), Mode: string(j.Flash.Mode), Freq: string(j.Flash.Freq),
		Encrypted: j.Encrypts(), TableOffset: j.TableOffset, KeepSize: j.SecureBoot.Version == 2,
	}
	if j.PartitionTable != "" {
		l.Table = j.beside(j.PartitionTable)
	}
	names := map[string]string{l.Table: "partition_table"} // of files, to the keys that name them
	for n, image := range j.Images {
		at := fmt.Sprintf("image.%d", n)
		if f.Bad(at) || f.Bad(at+".file") || f.Bad(at+".partition") || f.Bad(at+".address") {
			l.Lost++
			continue
		}
		names[j.beside(image.File)] = at
		file := firmware.ImageFile{Name: image.Name, File: j.beside(image.File), Partition: image.Partition, Encrypt: image.Encrypt}
		if image.Address != nil {
			file.Address = *image.Address
		}
		l.Images = append(l.Images, file)
	}
	if j.FlasherArgs != "" {
		files, err := j.buildFiles(j.beside(j.FlasherArgs))
		if err != nil {
			j.ofTheBuild(f, err)
			l.Lost++
		}
		for _, file := range files {
			names[file.File] = "flasher_args"
		}
		l.Images = append(files, l.Images...)
	}
	if f.Bad("flasher_args") || f.Bad("image") {
		l.Lost++
	}
	if f.Bad("chip") || f.Bad("partition_table") || f.Bad("partition_table_offset") {
		return
	}
	plan, err := l.Plan()
	if err != nil {
		j.onTheirLines(f, names, err)
		return
	}
	j.placeIdentity(f, plan)
	j.Regions = plan.Regions
	j.encryptsItself(f)
	j.Erased = plan.Erased(firmware.Erase(j.Flash.Erase), uint32(j.Flash.Size))
	j.Warnings = append(j.Warnings, plan.Warnings...)
}

// onTheirLines files each fault of a layout under the key that names its file.
// A fault that has a line of its own, of a table, keeps it.
func (j *Job) onTheirLines(f *tomlfile.File, names map[string]string, err error) {
	for _, fault := range filefault.All(err) {
		if key := names[fault.File]; key != "" && fault.Line == 0 && fault.File != "" {
			f.At(key, "%v", fault)
			continue
		}
		f.Add(fault)
	}
}

// ofTheBuild files the faults of the build under the key that names it, but those
// with a line of their own.
func (j *Job) ofTheBuild(f *tomlfile.File, err error) {
	for _, one := range unjoin(err) {
		if fault, ok := one.(*filefault.Fault); ok && fault.Line > 0 {
			f.Add(fault)
			continue
		}
		f.At("flasher_args", "%v", one)
	}
}

// buildFiles are the images of an ESP-IDF build.
func (j *Job) buildFiles(path string) ([]firmware.ImageFile, error) {
	data, err := keyfile.Read(path, keyfile.Build)
	if err != nil {
		return nil, err
	}
	args, err := firmware.ParseFlasherArgs(path, data)
	if err != nil {
		return nil, err
	}
	if chip := cmp.Or(args.Chip, j.ChipName()); chip != j.ChipName() {
		return nil, fmt.Errorf("%s: the build is for the %s, the job for the %s", path, chip, j.ChipName())
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

// RunsOn says why a chip of this revision cannot run the job's images, or has
// no secure boot of the job's version.
func (j *Job) RunsOn(rev chip.Revision) error {
	if on := j.Chip().Seal.SecureBoot[j.SecureBoot.Version].On; on != "" {
		since, until := j.Chip().Seal.Since[on], j.Chip().Seal.Until[on]
		if rev < since || until != 0 && rev >= until {
			return fmt.Errorf("secure boot version %d is not for revision %v", j.SecureBoot.Version, rev)
		}
	}
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
