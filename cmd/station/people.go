package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"station/internal/record"
	"station/internal/station"
)

// duties are the commands that not everybody may do, and whose they are, where
// the station file has lists of people.
var duties = map[string]station.Role{
	"run":             station.Operator,
	"ledger release":  station.Approver,
	"hsm init":        station.Officer,
	"key new":         station.Officer,
	"key import":      station.Officer,
	"key adopt":       station.Officer,
	"key note":        station.Officer,
	"key recover":     station.Officer,
	"identity revoke": station.Officer,
}

const secondUsage = "`NAME` of the second person, where the station wants two"

// demandReason demands who it is and why, of what a person has to answer for.
func demandReason(cmd *cobra.Command, operator, reason *string, who string) {
	cmd.Flags().StringVar(operator, "operator", "", who)
	cmd.Flags().StringVar(reason, "reason", "", "why")
	_ = cmd.MarkFlagRequired("operator")
	_ = cmd.MarkFlagRequired("reason")
}

// mayDo refuses a command to people who are not in the lists of the station file.
// One that cannot be read is for whoever needs it.
func (o *options) mayDo(cmd *cobra.Command) error {
	name := strings.TrimPrefix(cmd.CommandPath(), "station ")
	for flag, role := range map[string]station.Role{"operator": duties[name], "second": duties[name], "approver": station.Approver} {
		f := cmd.Flags().Lookup(flag)
		if f == nil || f.Value.String() == "" {
			continue
		}
		file, err := station.LoadFile(o.station)
		if err != nil {
			return nil
		}
		if err = file.Knows(f.Value.String()); role != "" {
			err = file.May(role, f.Value.String())
		}
		if err != nil {
			return fmt.Errorf("%s: --%s: %w", name, flag, err)
		}
	}
	return nil
}

// seconded is what the entry of something says of its second person; nil where
// one did it and one may.
func (o *options) seconded(what, first, second string) (json.RawMessage, error) {
	file, err := station.LoadFile(o.station)
	if errors.Is(err, fs.ErrNotExist) {
		file, err = &station.File{}, nil
	}
	if err != nil {
		return nil, err
	}
	if err := file.Second(what, first, second); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return record.SecondedBy(second), nil
}
