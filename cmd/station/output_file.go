package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"station/internal/hsm"
	"station/internal/keyfile"
	"station/internal/station"
)

// output is the file that a command writes.
type output struct {
	path      string
	overwrite bool
}

// add adds the flag that names the file, and --overwrite.
func (o *output) add(cmd *cobra.Command, flag, value, usage string) {
	cmd.Flags().StringVar(&o.path, flag, value, usage)
	o.addOverwrite(cmd)
}

func (o *output) addOverwrite(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.overwrite, "overwrite", false, "replace a file that is there already; never a ledger, nor what was read")
}

// write writes the file whole or not at all.
func (o *output) write(write func(io.Writer) error) error {
	return keyfile.Write(o.path, o.overwrite, write)
}

// bytes is write for what is in memory.
func (o *output) bytes(data []byte) error {
	return o.write(func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// beside is the file whose name has more at its end.
func (o *output) beside(end string) *output { return &output{o.path + end, o.overwrite} }

// check refuses a file that may not be written, before anything is read for it.
func (o *output) check() error {
	if o.path == "" {
		return nil
	}
	return keyfile.Check(o.path, o.overwrite)
}

// print is bytes for a file, or for w where none was named.
func (o *output) print(w io.Writer, data []byte) error {
	if o.path != "" {
		return o.bytes(data)
	}
	_, err := w.Write(data)
	return err
}

// written are the flags that name what a command writes. What all others name
// is read.
var written = map[string]bool{"out": true, "meter": true, "log": true, "junit": true, "certificate": true}

// guardFiles keeps the outputs of a command away from what matters, and refuses
// an output that could not be written before anything is done.
func (o *options) guardFiles(cmd *cobra.Command, args []string) error {
	for _, arg := range args {
		if cmd.Annotations[writesArgument] == "" {
			protectInput("input", arg)
		}
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		switch value := f.Value.(type) {
		case pflag.SliceValue:
			for _, v := range value.GetSlice() {
				protectInput("file of --"+f.Name, v)
			}
		default:
			if !written[f.Name] && f.Value.Type() == "string" {
				protectInput("file of --"+f.Name, f.Value.String())
			}
		}
	})
	o.protectStation()
	if f := cmd.Flags().Lookup("ledger"); f != nil && f.Value.String() != "" {
		protectLedger(f.Value.String())
	}
	return errors.Join(o.checkLog(), checkOutputs(cmd))
}

// checkLog refuses a log that may not be appended to. Whoever has read more
// files since asks again.
func (o *options) checkLog() error {
	if o.log == "" {
		return nil
	}
	if err := keyfile.CheckAppend(o.log, eventBegins); err != nil {
		return fmt.Errorf("--log: %w", err)
	}
	return nil
}

// protectInput protects what an argument names, if it names a file: a path, or
// what is in the URI of a token.
func protectInput(what, value string) {
	if uri, err := hsm.ParseURI(value); err == nil {
		protectToken(uri)
	} else if info, err := os.Stat(value); err == nil && !info.IsDir() {
		keyfile.Protect(what, value)
	}
}

func protectToken(uri hsm.URI) {
	if path := uri.PINFile(); path != "" {
		keyfile.Protect("PIN file", path)
	}
	if uri.ModulePath != "" {
		keyfile.Protect("PKCS#11 module", uri.ModulePath)
	}
}

// tokenURI finds the URIs of tokens in a station file that has faults.
var tokenURI = regexp.MustCompile(`pkcs11:[^"'\n]*`)

// protectFaulty protects what a station file names of which more cannot be told.
func protectFaulty(path string) {
	data, err := keyfile.Read(path, keyfile.TOML)
	if err != nil {
		return
	}
	for _, text := range tokenURI.FindAllString(string(data), -1) {
		file := station.File{Path: path}
		file.HSM.URI = text
		if uri, err := hsm.ParseURI(file.TokenURI()); err == nil {
			protectToken(uri)
		}
	}
}

// protectStation protects the station file and what it names. One that is not
// there or has faults is for those to report that need it.
func (o *options) protectStation() {
	keyfile.Protect("station file", o.station)
	file, err := station.LoadFile(o.station)
	if err != nil {
		protectFaulty(o.station)
		return
	}
	protectLedger(file.Ledger)
	if file.Site.Pass != "" {
		keyfile.Protect("pass of the site", file.Site.Pass)
	}
	if uri, err := hsm.ParseURI(file.TokenURI()); err == nil {
		protectToken(uri)
	}
}

func protectLedger(path string) {
	keyfile.Protect("ledger", path)
	for _, side := range station.SideFiles(path) {
		keyfile.Protect("ledger's side file", side)
	}
}

// checkOutputs refuses what the flags of a command name and cannot be written.
func checkOutputs(cmd *cobra.Command) error {
	over := cmd.Flags().Lookup("overwrite")
	for _, name := range []string{"out", "meter", "junit"} {
		f := cmd.Flags().Lookup(name)
		if f == nil || f.Value.String() == "" {
			continue
		}
		paths := []string{f.Value.String()}
		if cmd.Flags().Lookup("sign") != nil {
			paths = append(paths, paths[0]+".proof")
		}
		for _, path := range paths {
			if cmd.Annotations[toDevice] != "" && isDevice(path) {
				continue
			}
			if err := keyfile.Check(path, over != nil && over.Value.String() == "true"); err != nil {
				return fmt.Errorf("--%s: %w", name, err)
			}
		}
	}
	return nil
}

// writesArgument marks a command whose argument is not read but written.
const writesArgument = "writes argument"

// toDevice marks a command that also writes to what is no file, as it comes.
const toDevice = "device"

func isDevice(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular() && !info.IsDir()
}
