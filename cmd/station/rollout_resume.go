package main

import (
	"github.com/spf13/cobra"

	"station/internal/station"
)

func rolloutResumeCommand(o *options) *cobra.Command {
	return heldCommand(o, "resume", "Let a rollout go on that was paused, or that stopped by itself",
		`  station rollout resume 7 --operator anna --reason "it was the power supply"`, (*station.Releases).Resume)
}
