package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"station/internal/plain"
	"station/internal/port"
	"station/internal/station"
)

func portsCommand(o *options) *cobra.Command {
	return &cobra.Command{
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
			case !errors.Is(err, fs.ErrNotExist):
				plain.Fprintf(cmd.ErrOrStderr(), "station: the ports are shown without slots: %v\n", err)
			}
			if port.Blind != "" {
				fmt.Fprintln(cmd.ErrOrStderr(), "station:", port.Blind)
			}
			if len(list) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "no serial ports; plug in an adapter, or use --port rfc2217://HOST:PORT or socket://HOST:PORT")
			}
			return printPorts(cmd.OutOrStdout(), list, slots)
		},
	}
}

// printPorts shows the ports that are there, then the slots whose are not.
func printPorts(out io.Writer, list []port.Info, slots []station.SlotFile) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SLOT\tPORT\tUSB SOCKET\tADAPTER\tSERIAL\tLIMITS")
	found := map[string]bool{}
	for _, p := range list {
		var names []string
		for _, s := range slots {
			if p.Is(s.Port) {
				names, found[s.Name] = append(names, s.Name), true
			}
		}
		socket := ""
		if p.Path != "" {
			socket = "usb:" + p.Path
		}
		plain.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", strings.Join(names, ", "), p.Name, socket, adapter(p), p.Serial, limits(p))
	}
	for _, s := range slots {
		switch {
		case found[s.Name]:
		case strings.Contains(s.Port, "://"):
			plain.Fprintf(w, "%s\t%s\t\tnetwork\t\t\n", s.Name, s.Port)
		default:
			plain.Fprintf(w, "%s\t%s\t\tnot plugged in\t\t\n", s.Name, s.Port)
		}
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
func limits(p port.Info) string {
	a := p.Adapter()
	var all []string
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
	return strings.Join(all, ", ")
}
