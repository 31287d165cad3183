package main

import (
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"station/internal/ledger"
	"station/internal/port"
	"station/internal/station"
	"station/internal/store"
)

// A lister lists what may stand at a place of the command line that begins so.
// What it cannot find out it leaves out: completion says nothing and writes nothing.
type lister func(cmd *cobra.Command, begun string) ([]string, cobra.ShellCompDirective)

// Completions of arguments, by the word of the command's use, and of flags, by
// their names.
var (
	argumentLists = map[string]lister{"NAME": listDevices, "BATCH": listBatchIDs, "NUMBER": listReleases, "NUMBER DIR": listReleases}
	flagLists     = map[string]lister{"mac": listDevices, "batch": listBatchIDs, "port": listPorts, "job": listTOML, "station": listTOML, "product": listProducts, "release": listReleases}
)

// complete teaches a command and those below it to complete what they name.
func complete(cmd *cobra.Command) {
	if list := argumentList(cmd); list != nil && cmd.ValidArgsFunction == nil {
		cmd.ValidArgsFunction = func(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return list(c, begun)
		}
	}
	for _, flags := range []*pflag.FlagSet{cmd.LocalNonPersistentFlags(), cmd.PersistentFlags()} {
		flags.VisitAll(func(f *pflag.Flag) {
			list := flagLists[f.Name]
			if kind, _ := pflag.UnquoteUsage(f); f.Name == "job" && kind == "NAME" {
				list = listProducts
			}
			if list != nil {
				_ = cmd.RegisterFlagCompletionFunc(f.Name, func(c *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
					return list(c, begun)
				})
			}
		})
	}
	for _, sub := range cmd.Commands() {
		complete(sub)
	}
}

// argumentList completes the first argument of a command, which is a job file
// where the command is one of jobs.
func argumentList(cmd *cobra.Command) lister {
	if cmd.CommandPath() == "station job check" {
		return listTOML
	}
	_, argument, _ := strings.Cut(cmd.Use, " ")
	return argumentLists[strings.Trim(argument, "[].")]
}

func listTOML(*cobra.Command, string) ([]string, cobra.ShellCompDirective) {
	return []string{"toml"}, cobra.ShellCompDirectiveFilterFileExt
}

func listPorts(*cobra.Command, string) ([]string, cobra.ShellCompDirective) {
	all, _ := port.List()
	var names []string
	for _, p := range all {
		names = append(names, p.Name)
		if p.Path != "" {
			names = append(names, "usb:"+p.Path)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// enough is how many names a shell is given.
const enough = 5000

// listDevices lists each device by all of its names.
func listDevices(cmd *cobra.Command, begun string) ([]string, cobra.ShellCompDirective) {
	return fromLedger(cmd, begun, func(b *ledger.Ledger, add func(string) bool) {
		for d, err := range b.Devices() {
			if err != nil || !add(d.MAC.String()) || !add(d.Serial) || d.Identity.Known() && !add(d.Identity.ID) {
				return
			}
		}
	})
}

func listBatchIDs(cmd *cobra.Command, begun string) ([]string, cobra.ShellCompDirective) {
	return fromLedger(cmd, begun, func(b *ledger.Ledger, add func(string) bool) {
		for lot, err := range b.Lots() {
			if err != nil {
				return
			}
			if name, ok := strings.CutPrefix(lot.Name, "batch:"); ok && !add(name) {
				return
			}
		}
	})
}

func listProducts(cmd *cobra.Command, begun string) ([]string, cobra.ShellCompDirective) {
	return fromLedger(cmd, begun, func(b *ledger.Ledger, add func(string) bool) {
		for d, err := range b.Devices() {
			if err != nil || !add(d.Job) {
				return
			}
		}
	})
}

// listReleases lists the numbers in the store of --store, or in that beside the
// ledger of the station file.
func listReleases(cmd *cobra.Command, _ string) ([]string, cobra.ShellCompDirective) {
	const no = cobra.ShellCompDirectiveNoFileComp
	dir := ""
	if f := cmd.Flag("store"); f != nil {
		dir = f.Value.String()
	}
	if dir == "" {
		file, err := station.LoadFile(cmd.Flag("station").Value.String())
		if err != nil {
			return nil, no
		}
		dir = releasesBeside(file.Ledger)
	}
	if _, err := os.Stat(dir); err != nil { // opening it would make it
		return nil, no
	}
	s, err := store.Open(dir)
	if err != nil {
		return nil, no
	}
	numbers, err := s.Keys("id")
	if err != nil {
		return nil, no
	}
	numbers = slices.DeleteFunc(numbers, func(n string) bool { return !shellSafe.MatchString(n) })
	return numbers[:min(len(numbers), enough)], no
}

// shellSafe is what a shell may be given: a name out of a ledger is foreign.
var shellSafe = regexp.MustCompile(`^[\pL\pN][\pL\pN.:_/+-]*$`)

// fromLedger reads the ledger of --ledger or of the station file, without
// waiting for anybody and without a word if there is none.
func fromLedger(cmd *cobra.Command, begun string, each func(b *ledger.Ledger, add func(string) bool)) ([]string, cobra.ShellCompDirective) {
	const no = cobra.ShellCompDirectiveNoFileComp
	path := ""
	if f := cmd.Flag("ledger"); f != nil {
		path = f.Value.String()
	}
	if path == "" {
		file, err := station.LoadFile(cmd.Flag("station").Value.String())
		if err != nil {
			return nil, no
		}
		path = file.Ledger
	}
	book, err := ledger.Open(path, ledger.Options{ReadOnly: true})
	if err != nil {
		return nil, no
	}
	defer book.Close()
	var names []string
	seen := map[string]bool{}
	each(book, func(name string) bool {
		if !seen[name] && strings.HasPrefix(name, begun) && shellSafe.MatchString(name) {
			seen[name] = true
			names = append(names, name)
		}
		return len(names) < enough
	})
	return names, no
}
