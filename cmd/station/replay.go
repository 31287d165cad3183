package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/spf13/cobra"

	"station/internal/keyfile"
	"station/internal/tui"
)

func replayCommand(*options) *cobra.Command {
	var speed float64
	var language string
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Show a recorded run on the operator's screen",
		Long:  `Show a run on the operator's screen from its JSON lines, as --log and --headless write them.`,
		Example: `  station replay run.jsonl
  station replay --speed 10 run.jsonl`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if speed <= 0 {
				return fmt.Errorf("replay: --speed %v: write how many times as fast, such as 10", speed)
			}
			f, err := keyfile.Open(args[0], keyfile.Events)
			if err != nil {
				return fmt.Errorf("replay: %w", err)
			}
			defer f.Close()
			events, err := tui.ReadEvents(f)
			if err != nil {
				return fmt.Errorf("replay: %s: %w", args[0], err)
			}
			if !isTerminal(os.Stdin) || !isTerminal(os.Stdout) {
				return fmt.Errorf("replay: needs a terminal")
			}
			cfg := tui.Config{Language: language, ASCII: tui.PlainASCII(os.Getenv, runtime.GOOS == "windows"), NoColor: tui.WithoutColor(os.Getenv)}
			ctx, stop := unbroken(cmd.Context()) // the terminal is given back as it was
			defer stop()
			return tui.Replay(ctx, cfg, events, speed, os.Stdin, os.Stdout)
		},
	}
	cmd.Flags().Float64Var(&speed, "speed", 1, "times as fast as it was")
	cmd.Flags().StringVar(&language, "language", "en", "en or zh")
	return cmd
}
