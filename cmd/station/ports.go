package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"station/internal/plain"
	"station/internal/port"
	"station/internal/station"
)

func portsCommand(o *options) *cobra.Command {
	var asJSON *bool
	cmd := &cobra.Command{
		Use:   "ports",
		Short: "List serial ports: slot, adapter, USB socket, limits",
		Long: `List serial ports and what is known of their adapters, and the slots of the
station file, if there is one. A slot whose port is written as in the column USB
SOCKET keeps its adapter's place whatever name the system gives it:

  [[slot]]
  name = "1"
  port = "usb:1-2.3:1.0"`,
		Example: `  station ports
  station ports --station bench.toml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := port.List()
			if err != nil {
				return stationFault(err)
			}
			var slots []station.SlotFile
			switch file, err := station.LoadFile(o.station); {
			case err == nil:
				slots = file.Slots
				byNumber(slots)
			case !errors.Is(err, fs.ErrNotExist):
				plain.Fprintf(cmd.ErrOrStderr(), "station: the ports are shown without slots: %v\n", err)
			}
			if port.Blind != "" {
				plain.Fprintf(cmd.ErrOrStderr(), "station: %s\n", port.Blind)
			}
			if len(list) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "no serial ports; plug in an adapter, or use --port rfc2217://HOST:PORT or socket://HOST:PORT")
			}
			all := portsOf(list, slots)
			if *asJSON {
				return answer(cmd.OutOrStdout(), all)
			}
			return printPorts(cmd.OutOrStdout(), all)
		},
	}
	asJSON = jsonFlag(cmd)
	return cmd
}

// byNumber puts slots in the order in which people count them.
func byNumber(slots []station.SlotFile) {
	slices.SortStableFunc(slots, func(a, b station.SlotFile) int { return plain.Natural(a.Name, b.Name) })
}

// portsAnswer is the ports that are there, and the slots whose are not.
type portsAnswer struct {
	Ports []portRow `json:"ports"`
	Away  []slotRow `json:"away"`
}

type portRow struct {
	port.Info
	Slots   []string `json:"slots,omitempty"`
	Adapter string   `json:"adapter,omitempty"`
	Limits  []string `json:"limits,omitempty"` // what the adapter cannot do, in words
}

type slotRow struct {
	Slot    string `json:"slot"`
	Port    string `json:"port"`
	Network bool   `json:"network,omitempty"` // it is not looked for
}

func portsOf(list []port.Info, slots []station.SlotFile) portsAnswer {
	all := portsAnswer{[]portRow{}, []slotRow{}}
	found := map[string]bool{}
	for _, p := range list {
		row := portRow{Info: p, Adapter: adapter(p), Limits: limits(p)}
		for _, s := range slots {
			if p.Is(s.Port) {
				row.Slots, found[s.Name] = append(row.Slots, s.Name), true
			}
		}
		all.Ports = append(all.Ports, row)
	}
	for _, s := range slots {
		if !found[s.Name] {
			all.Away = append(all.Away, slotRow{s.Name, s.Port, strings.Contains(s.Port, "://")})
		}
	}
	return all
}

func printPorts(out io.Writer, all portsAnswer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SLOT\tPORT\tUSB SOCKET\tADAPTER\tSERIAL\tLIMITS")
	for _, p := range all.Ports {
		socket := ""
		if p.Path != "" {
			socket = "usb:" + p.Path
		}
		plain.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", strings.Join(p.Slots, ", "), p.Name, socket, p.Adapter, p.Serial, strings.Join(p.Limits, ", "))
	}
	for _, s := range all.Away {
		what := "not plugged in"
		if s.Network {
			what = "network"
		}
		plain.Fprintf(w, "%s\t%s\t\t%s\t\t\n", s.Slot, s.Port, what)
	}
	return w.Flush()
}

// adapter names the kind of adapter: by the table, or by what it says itself.
func adapter(p port.Info) string {
	name := p.Adapter().Name
	if name == "" {
		name = p.Product
	}
	if p.VID != "" {
		name += " " + p.VID + ":" + p.PID
	}
	if p.Driver != "" {
		name += " (" + p.Driver + ")"
	}
	return strings.TrimSpace(name)
}

// limits are what the adapter cannot do.
func limits(p port.Info) (all []string) {
	a := p.Adapter()
	if a.MaxBaud != 0 {
		all = append(all, fmt.Sprintf("up to %d baud", a.MaxBaud))
	}
	for _, baud := range a.Bad {
		all = append(all, fmt.Sprintf("not %d", baud))
	}
	if a.KeepDTR {
		all = append(all, "DTR stays on")
	}
	if p.Latency > 1 {
		all = append(all, fmt.Sprintf("answers wait %d ms: set its latency_timer to 1", p.Latency))
	}
	return all
}
