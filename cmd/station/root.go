package main

import (
	"crypto"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"station/internal/record"
)

// options are the flags that all commands share.
type options struct {
	station string
	log     string
	verbose bool

	publicKeys map[string]crypto.PublicKey // read from tokens, by their URIs
}

// moreCommands are those of builds with a tag: see man.go.
var moreCommands []func() *cobra.Command

func rootCommand() *cobra.Command {
	o := &options{}
	root := &cobra.Command{
		Use:   "station",
		Short: "Seal ESP32s: encrypted flash, a key of its own in the fuses, a line in a ledger",
		Long: `station takes a blank ESP32 and gives back a sealed device: firmware encrypted
for that one chip, its own flash-encryption key in its fuses, and a line in a
ledger that can be proved years later. The keys come from a PKCS#11 token.`,
		Example: `  station demo
  station rehearse --job job.toml
  station run --job job.toml --port /dev/ttyUSB0`,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			if err := saysWho(cmd); err != nil { // who did something, and why, is never blank in the ledger
				return err
			}
			if err := o.mayDo(cmd); err != nil {
				return err
			}
			return o.guardFiles(cmd, args)
		},
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	flags := root.PersistentFlags()
	flags.StringVar(&o.station, "station", "station.toml", "the bench: station ID, ledger, token, slots")
	flags.StringVar(&o.log, "log", "", "append what happens to `FILE`, one JSON object a line")
	flags.BoolVarP(&o.verbose, "verbose", "v", false, "tell on standard error, in plain lines, what a line without a screen does")
	root.AddCommand(
		runCommand(o), rehearseCommand(o), demoCommand(o), probeCommand(o), simCommand(o), portsCommand(o), chipsCommand(), doctorCommand(o), replayCommand(o),
		jobCommand(o), hsmCommand(o), keyCommand(o), identityCommand(o), imageCommand(o), otaCommand(o), ledgerCommand(o), batchCommand(o), labelCommand(o),
		releaseCommand(o), rolloutCommand(o), serveCommand(o), siteCommand(o), affectedCommand(o), versionCommand(),
	)
	for _, more := range moreCommands {
		root.AddCommand(more())
	}
	complete(root)
	explainArgs(root)
	wrapHelp(root)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; see \"%s --help\"", err, cmd.CommandPath())
	})
	return root
}

// saysWho refuses a command whose flags for a person or a reason are blank, or
// hide something.
func saysWho(cmd *cobra.Command) error {
	for _, name := range []string{"operator", "approver", "second", "reason", "anyway"} {
		f := cmd.Flags().Lookup(name)
		if f == nil || !f.Changed {
			continue
		}
		if err := record.CheckText(f.Value.String()); err != nil {
			return fmt.Errorf("%s: --%s %w", strings.TrimPrefix(cmd.CommandPath(), "station "), name, err)
		}
	}
	return nil
}

// release is the version of a release, given by "make release".
var release string

// version is that of the release, or the module's with the commit it was built
// from.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && v == "(devel)" {
			v = "devel-" + s.Value[:min(12, len(s.Value))]
		}
	}
	if v == "" {
		v = "devel"
	}
	return v
}

// explainArgs lets a command and those below it say what they want where the
// number of arguments is wrong.
func explainArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return fmt.Errorf("%s: %w; write it as \"%s\"", strings.TrimPrefix(c.CommandPath(), "station "), err, strings.TrimSuffix(c.UseLine(), " [flags]"))
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		explainArgs(sub)
	}
}
