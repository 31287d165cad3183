package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"station/internal/chip"
	"station/internal/job"
	"station/internal/keyfile"
	"station/internal/plain"
	"station/internal/port"
	"station/internal/sim"
	"station/internal/station"
)

// asReal lets chips with MACs of real ones answer as these do. It is set by the
// tests of this package alone, which have no other chips that count as real.
var asReal bool

// simFlags are those of station sim.
type simFlags struct {
	tokenKey               job.TokenKey
	listen, state, mac     string
	chip                   string
	app                    string
	meter                  output
	job, flash, revision   string
	count, coding, crystal int
	boot, pace, strict     bool
	model                  sim.Options // what all chips have in common
}

func simCommand(o *options) *cobra.Command {
	s := &simFlags{tokenKey: o.tokenKey}
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Serve virtual ESP32s to this or any other client",
		Long: `Serve virtual ESP32s: mask ROM loader, fuses, flash and boot, as the chip does
them. Each chip's address is printed on a line of its own. With rfc2217:// a
client drives DTR, RTS and the baud rate, and the chip starts from flash. With
socket:// or pty there are no modem lines, and it starts in the loader. Lines
on standard input press the buttons:

  boot [N]     reset with BOOT released: the chip starts from flash
  loader [N]   reset with BOOT held: the chip enters its loader
  off, on, unplug, replug [N]

In the state folder flash.bin is the raw flash and efuse.bin the words of all fuse
blocks as they are read, little endian: of the ESP32 124 bytes, BLOCK0 (7 words) and
BLOCK1-3 (8 words each); of the later chips 336, BLOCK0 and BLOCK1 (6 words each) and
BLOCK2-10 (8 each). With several chips each has a numbered folder of its own.

With --app a program that was built for this machine can be the application of a
chip that has booted: on the socket DIR/N it reads and writes the flash through the
encryption of chip N, as device/secure_ota does here.`,
		Example: `  station sim --listen socket://127.0.0.1:5555 --state chip --meter meter.json
  station sim --listen rfc2217://127.0.0.1:4000 --count 4
  station sim --listen pty --revision 1 --coding 1
  station sim --listen socket://127.0.0.1:5555 --chip ` + sim.Families()[1].Name + `
  station sim --listen rfc2217://127.0.0.1:4000 --job job.toml
  station sim --listen rfc2217://127.0.0.1:4000 --job job.toml --rollback --app apps`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.listen, "listen", "", "socket://HOST:PORT, rfc2217://HOST:PORT (the n-th chip at PORT+n; 0 is any) or pty")
	f.StringVar(&s.state, "state", "", "keep flash and fuses in `DIR`")
	s.meter.add(cmd, "meter", "", "write counters and modelled times to `FILE` at exit")
	f.IntVar(&s.count, "count", 1, "chips")
	f.StringVar(&s.mac, "mac", "", "MAC of the first chip, locally administered (the second digit is 2, 6, a or e); the others count up (default: such ones)")
	f.StringVar(&s.job, "job", "", "job `FILE`: flash size, revision and crystal fit it, and the application says its marker")
	f.StringVar(&s.chip, "chip", "", "chip: "+chipNames()+" (default: the first, or the job's)")
	f.StringVar(&s.revision, "revision", "", "silicon revision 0 to 3, or such as 3.1 (default: the usual one, or the job's)")
	f.IntVar(&s.coding, "coding", 0, "CODING_SCHEME 0 to 3")
	f.IntVar(&s.crystal, "crystal", 0, "MHz, one that the chip can have (default: the usual one, or the build's)")
	f.StringVar(&s.flash, "flash-size", "", "size of the flash (default: 4MB, or the job's)")
	f.BoolVar(&s.boot, "boot", false, "start from flash instead of in the loader")
	f.StringVar(&s.app, "app", "", "let programs be the applications, on sockets in `DIR`: 1 for the first chip")
	f.BoolVar(&s.model.Rollback, "rollback", false, "the bootloader goes back to the app before, where a new one does not say that it works")
	f.BoolVar(&s.strict, "strict", false, "refuse what is not known of the real chip, as reads of most of its ROM")
	f.BoolVar(&s.pace, "pace", false, "take the time that a real line and flash take")
	_ = cmd.MarkFlagRequired("listen")
	return cmd
}

func (s *simFlags) run(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, stop := unbroken(ctx)
	defer stop()
	if s.count < 1 || s.count > 32 {
		return fmt.Errorf("sim: --count %d: write 1 to 32", s.count)
	}
	if err := s.prepare(); err != nil {
		return err
	}
	var chips []*sim.Chip
	defer func() {
		for _, c := range chips {
			c.Close()
		}
	}()
	for n := range s.count {
		o, err := s.options(n)
		if err != nil {
			return err
		}
		c, err := sim.New(o)
		if err != nil {
			return fmt.Errorf("sim: %w", err)
		}
		chips = append(chips, c)
		if mac := chip.MAC(c.MAC()); !mac.Local() && !asReal {
			return fmt.Errorf("sim: %s is the MAC of a real chip; a virtual one has a locally administered MAC, such as %s", mac, station.VirtualMAC(n))
		}
	}
	go func() { _ = sim.Control(in, out, chips...) }()
	err := s.serve(ctx, out, chips)
	return errors.Join(err, s.writeMeter(chips))
}

// prepare is what the job and the other flags say of all chips; flags win.
func (s *simFlags) prepare() error {
	if s.job != "" {
		job, err := job.Load(s.job, s.tokenKey)
		if err != nil {
			return err
		}
		rollback := s.model.Rollback
		s.model = station.ChipFor(job)
		s.model.Rollback = rollback
	}
	if s.chip != "" {
		if s.model.Chip = chip.ByName(s.chip); !slices.Contains(sim.Families(), s.model.Chip) {
			return fmt.Errorf("sim: --chip %q: write one of %s", s.chip, chipNames())
		}
	}
	s.model.Strict = s.strict
	if s.crystal != 0 {
		s.model.Crystal = s.crystal
	}
	if s.flash != "" {
		var size job.Size
		if err := size.UnmarshalText([]byte(s.flash)); err != nil {
			return fmt.Errorf("--flash-size: %w", err)
		}
		s.model.FlashSize = int(size)
	}
	if s.revision == "" {
		return nil
	}
	major, minor, _ := strings.Cut(strings.TrimPrefix(s.revision, "v"), ".")
	var err, minorErr error
	s.model.Revision, err = strconv.Atoi(major)
	if s.model.Minor = 0; minor != "" {
		s.model.Minor, minorErr = strconv.Atoi(minor)
	}
	if err != nil || minorErr != nil {
		return fmt.Errorf("--revision %q: write 0 to 3, or such as 3.1", s.revision)
	}
	if s.model.Revision == 0 {
		s.model.Revision = sim.Rev0
	}
	return nil
}

// chipNames are those of the chips that there are virtual ones of.
func chipNames() string {
	var names []string
	for _, f := range sim.Families() {
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}

func (s *simFlags) options(n int) (sim.Options, error) {
	mac := station.VirtualMAC(n)
	if s.mac != "" {
		first, err := chip.ParseMAC(s.mac)
		if err != nil {
			return sim.Options{}, fmt.Errorf("--mac: %w", err)
		}
		mac = first
		mac[5] += byte(n)
	}
	lines := strings.HasPrefix(s.listen, "rfc2217://")
	o := s.model
	o.MAC, o.Coding, o.State = mac, s.coding, s.state
	o.Real = asReal && !mac.Local()
	o.NoLines, o.InLoader, o.Pace = !lines, !lines && !s.boot, s.pace
	if s.state != "" && s.count > 1 {
		o.State = filepath.Join(s.state, strconv.Itoa(n+1))
	}
	return o, checkState(o.State)
}

// checkState refuses what is no state of a chip before anything of it is opened,
// and keeps the outputs away from it.
func checkState(dir string) error {
	if dir == "" {
		return nil
	}
	for _, name := range sim.StateFiles {
		path := filepath.Join(dir, name)
		if err := keyfile.Fits(path, keyfile.State); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("--state: %w", err)
		}
		keyfile.Protect(keyfile.State.Name, path)
	}
	return nil
}

// serve offers every chip until ctx ends.
func (s *simFlags) serve(ctx context.Context, out io.Writer, chips []*sim.Chip) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx) // a chip that cannot be offered ends the others
	defer cancel()
	for n, chip := range chips {
		serveApp, err := s.offerApp(ctx, n, chip)
		if err != nil {
			return fmt.Errorf("sim: %w", err)
		}
		wg.Go(serveApp)
		address, wait, err := s.offer(ctx, n, chip)
		if err != nil {
			return fmt.Errorf("sim: %w", err)
		}
		plain.Fprintf(out, "%s\n", address)
		wg.Go(wait)
	}
	<-ctx.Done()
	return nil
}

// offer makes one chip reachable; wait returns when it is no longer.
func (s *simFlags) offer(ctx context.Context, n int, chip *sim.Chip) (address string, wait func(), err error) {
	if s.listen == "pty" {
		pty, err := chip.ServePTY(ctx)
		if err != nil {
			return "", nil, err
		}
		return pty.Path, pty.Wait, nil
	}
	scheme, hostPort, _ := strings.Cut(s.listen, "://")
	serve, ok := map[string]func(context.Context, net.Listener) error{"socket": chip.Serve, "rfc2217": chip.ServeRFC2217}[scheme]
	if !ok {
		return "", nil, fmt.Errorf("--listen %q: write socket://HOST:PORT, rfc2217://HOST:PORT or pty", s.listen)
	}
	host, number, err := port.SplitAddress(hostPort)
	if err != nil {
		return "", nil, fmt.Errorf("--listen %q: %w", s.listen, err)
	}
	if number != 0 {
		if number += n; number > port.Last {
			return "", nil, fmt.Errorf("--listen %q: there is no port for chip %d; the last one is %d", s.listen, n+1, port.Last)
		}
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(number)))
	if err != nil {
		return "", nil, err
	}
	return scheme + "://" + l.Addr().String(), func() { _ = serve(ctx, l) }, nil
}

// offerApp opens a chip's application to other programs, where that is asked for.
func (s *simFlags) offerApp(ctx context.Context, n int, chip *sim.Chip) (wait func(), err error) {
	if s.app == "" {
		return func() {}, nil
	}
	if err := os.MkdirAll(s.app, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(s.app, strconv.Itoa(n+1))
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		_ = os.Remove(path) // of a sim that was killed
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	return func() { _ = chip.ServeApp(ctx, l) }, nil
}

// writeMeter writes one report, or a list of them where there are several chips.
func (s *simFlags) writeMeter(chips []*sim.Chip) error {
	if s.meter.path == "" {
		return nil
	}
	var report any = chips[0].Meter().Report()
	if len(chips) > 1 {
		var all []sim.MeterReport
		for _, c := range chips {
			all = append(all, c.Meter().Report())
		}
		report = all
	}
	b, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	return s.meter.bytes(append(b, '\n'))
}
