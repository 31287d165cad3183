package main

import (
	"github.com/spf13/cobra"

	"station/internal/station"
)

func rolloutPauseCommand(o *options) *cobra.Command {
	return heldCommand(o, "pause", "Offer a release to no further device",
		`  station rollout pause 7 --operator anna --reason "two devices came back"`, (*station.Releases).Pause)
}
