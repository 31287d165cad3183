package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"station/internal/racetest"
)

const (
	fileMAC    = "24:0a:c4:01:02:03"
	fileApp    = "example/build/station-example.bin"
	fileLoader = "example/build/bootloader/bootloader.bin"
)

// fileWords are, for each command with a flag or an argument that names a file,
// words that make it work up to that file. {out} is the file that it writes.
// Each row after the first tries one other input, {in}.
var fileWords = map[string][]string{
	"station run":               {"--job small/job.toml --port socket://127.0.0.1:1 --once --headless --junit {out}", "--job {in} --port socket://127.0.0.1:1 --once --headless"},
	"station rehearse":          {"--job small/job.toml --headless --log {out}", "--job {in} --headless"},
	"station demo":              {"--headless --log {out}"},
	"station probe":             {"--port socket://127.0.0.1:1 --job small/job.toml", "--port socket://127.0.0.1:1 --job {in}"},
	"station doctor":            {"", "--job {in}"},
	"station sim":               {"--listen nowhere --meter {out}", "--listen nowhere --job {in}"},
	"station replay":            {"", "{in}"},
	"station label":             {fileMAC + " --operator anna --reprint --format zpl --out {out}", fileMAC + " --operator anna --ledger {in}"},
	"station job new":           {"example/build/flasher_args.json --name lamp --marker ready --out {out}", "{in} --name lamp --marker ready --out new.toml"},
	"station job check":         {"", "{in}"},
	"station hsm status":        {"", "--job {in}"},
	"station key import":        {"", "--label fleet-9 --operator eve {in}"},
	"station key recover":       {fileMAC + " --operator eve --reason RMA --to officer.pem --out {out}", fileMAC + " --operator eve --reason RMA --to {in} --out new", fileMAC + " --operator eve --reason RMA --job {in} --out new", fileMAC + " --operator eve --reason RMA --to officer.pem --officer {in} --out new", fileMAC + " --operator eve --reason RMA --to officer.pem --ledger {in} --out new"},
	"station key public":        {"--out {out}", "--job {in}"},
	"station identity ca":       {"--subject CN=Plant --label station-ca --out {out}"},
	"station identity show":     {fileMAC + " --out {out}", fileMAC + " --ledger {in}"},
	"station identity verify":   {"", fileMAC + " --ledger {in}", fileMAC + " --ca {in}"},
	"station identity revoke":   {"", fileMAC + " --operator anna --reason lost --ledger {in}"},
	"station identity crl":      {"--ca ca.pem --out {out}", "--ca {in} --out new", "--ca ca.pem --out new --ledger {in}"},
	"station image info":        {"", "{in}"},
	"station image encrypt":     {"--key fleet.bin --address 0x10000 --out {out} " + fileApp, "--key fleet.bin --address 0x10000 --out new {in}", "--key {in} --address 0x10000 --out new " + fileApp},
	"station image decrypt":     {"--key fleet.bin --address 0x10000 --out {out} " + fileApp, "--key fleet.bin --address 0x10000 --out new {in}", "--key {in} --address 0x10000 --out new " + fileApp},
	"station image sign":        {"--key officer-private.pem --out {out} " + fileApp, "--key officer-private.pem --out new {in}", "--key {in} --out new " + fileApp},
	"station image digest":      {"--key fleet.bin --out {out} " + fileLoader, "--key fleet.bin --out new {in}", "--key {in} --out new " + fileLoader},
	"station image verify":      {"", "{in}", "--key {in} " + fileApp, "--job {in}"},
	"station ota build":         {"--key officer.pem --out {out} " + fileApp, "--key officer.pem --out new {in}", "--key {in} --out new " + fileApp},
	"station ledger export":     {"--out {out}", "--ledger {in}"},
	"station ledger report":     {"--out {out}", "--ledger {in}"},
	"station ledger prove":      {fileMAC + " --out {out}", fileMAC + " --ledger {in}", "--since {in}"},
	"station ledger checkpoint": {"--out {out}", "--ledger {in}"},
	"station ledger backup":     {"{out}", "new --ledger {in}"},
	"station ledger list":       {"", "--ledger {in}"},
	"station ledger show":       {"", fileMAC + " --ledger {in}"},
	"station ledger release":    {"", fileMAC + " --operator anna --reason retry --ledger {in}"},
	"station ledger recover":    {"", "--operator anna --reason cut --ledger {in}"},
	"station ledger verify":     {"", "--ledger {in}", "--key {in}", "--checkpoint {in}", "--site {in}"},
	"station site init": {"", "--dir new --name p --url tls://localhost:1 --cert {in} --key officer-private.pem --ca ca.pem", "--dir new --name p --url tls://localhost:1 --cert ca.pem --key {in} --ca ca.pem", "--dir new --name p --url tls://localhost:1 --cert ca.pem --key officer-private.pem --ca {in}",
		"--dir new --name p --url tls://localhost:1 --cluster tls://localhost:2 --cluster-creds {in}", "--dir new --name p --url tls://localhost:1 --cluster tls://localhost:2 --cluster-creds officer-private.pem --cluster-ca {in}"},
	"station site run":      {"", "--page 127.0.0.1:0 --page-cert {in} --page-key officer-private.pem", "--page 127.0.0.1:0 --page-cert ca.pem --page-key {in}", "--page 127.0.0.1:0 --page-ca {in}", "--page 127.0.0.1:0 --page-ca ca.pem --page-crl {in}"},
	"station site add":      {"bench-7 --out {out}"},
	"station site export":   {"--out {out}"},
	"station site affected": {"--mac " + fileMAC + " --out {out}", "--cve CVE-2025-1 --scan {in}", "--firmware {in}"},
	"station site report":   {"--out {out}"},
	"station site batch":    {"b1 --operator anna --certificate {out}"},
	"station ledger check":  {"", "{in} --key signer.pem", "kept.checkpoint --key {in}", "kept.checkpoint --key signer.pem --ledger {in}"},
	"station batch open":    {"", "b7 --devices 1 --operator anna --job {in}", "b7 --devices 1 --operator anna --ledger {in}"},
	"station batch amend":   {"", "b1 --quota 4 --operator anna --reason more --ledger {in}"},
	"station batch return":  {"", "b1 --operator anna --reason more --ledger {in}"},
	"station batch show":    {"", "--ledger {in}"},
	"station batch package": {"b0 --operator anna --out {out}", "b0 --operator anna --ledger {in}"},
	"station batch close":   {"b1 --operator anna --anyway test --out {out}", "b1 --operator anna --ledger {in}"},

	"station serve": {"", "--listen 127.0.0.1:0 --key officer-private.pem --authors authors --tokens tokens --cert {in}", "--listen 127.0.0.1:0 --cert signer.pem --authors authors --tokens tokens --key {in}",
		"--listen 127.0.0.1:0 --cert signer.pem --key officer-private.pem --tokens tokens --authors {in}", "--listen 127.0.0.1:0 --cert signer.pem --key officer-private.pem --authors authors --tokens {in}",
		"--listen 127.0.0.1:0 --cert signer.pem --key officer-private.pem --authors authors --client-ca {in}", "--listen 127.0.0.1:0 --cert signer.pem --key officer-private.pem --authors authors --client-ca signer.pem --crl {in}",
		"--listen 127.0.0.1:0 --cert signer.pem --key officer-private.pem --authors authors --tokens tokens --signer {in}",
		"--listen 127.0.0.1:0 --name localhost --authors authors --tokens tokens --issuer {in}",
		"--cert signer.pem --key officer-private.pem --authors authors --tokens tokens --site site --page 127.0.0.1:0 --page-cert {in} --page-key officer-private.pem", "--cert signer.pem --key officer-private.pem --authors authors --tokens tokens --site site --page 127.0.0.1:0 --page-cert ca.pem --page-key {in}", "--cert signer.pem --key officer-private.pem --authors authors --tokens tokens --site site --page 127.0.0.1:0 --page-ca {in}", "--cert signer.pem --key officer-private.pem --authors authors --tokens tokens --site site --page 127.0.0.1:0 --page-ca ca.pem --page-crl {in}"},
	"station release add": {"", "{in} --product station-example --job small/job.toml --operator anna", fileApp + " --product station-example --job {in} --operator anna",
		fileApp + " --product station-example --job small/job.toml --operator anna --fleet-key {in}", fileApp + " --product station-example --job small/job.toml --operator anna --manifest-key {in}",
		fileApp + " --product station-example --job small/job.toml --operator anna --sbom {in}",
		fileApp + " --product station-example --job small/job.toml --operator anna --upload https://127.0.0.1:1 --credentials {in}",
		fileApp + " --product station-example --job small/job.toml --operator anna --upload https://127.0.0.1:1 --credentials author.txt --ca {in}"},
	"station release withdraw": {"", "1 --operator anna --reason x --upload https://127.0.0.1:1 --credentials {in}", "1 --operator anna --reason x --upload https://127.0.0.1:1 --credentials author.txt --ca {in}"},
	"station release listen": {"", "--listen 127.0.0.1:0 --operator anna --fleet-key officer.pem --manifest-key officer.pem --job {in}",
		"--listen 127.0.0.1:0 --operator anna --manifest-key officer.pem --job small/job.toml --fleet-key {in}", "--listen 127.0.0.1:0 --operator anna --fleet-key officer.pem --job small/job.toml --manifest-key {in}",
		"--listen 127.0.0.1:0 --operator anna --fleet-key officer.pem --manifest-key officer.pem --job small/job.toml --upload https://127.0.0.1:1 --credentials {in}",
		"--listen 127.0.0.1:0 --operator anna --fleet-key officer.pem --manifest-key officer.pem --job small/job.toml --upload https://127.0.0.1:1 --credentials author.txt --ca {in}"},
	"station affected":             {"--mac " + fileMAC + " --out {out}", "--mac " + fileMAC + " --ledger {in}", "--cve CVE-2025-1 --scan {in}", "--firmware {in}"},
	"station release bundle check": {"", "--key bundle.pem {in}", "--key {in} lamp.bundle"},
}

// fileFlags are the flags of a command whose value is a file, and whether its
// arguments are.
func fileFlagsOf(cmd *cobra.Command) (read, write []string) {
	cmd.Flags().AddFlagSet(cmd.InheritedFlags())
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		name, _ := pflag.UnquoteUsage(f)
		switch {
		case f.Name == "station" || f.Name == "log": // of every command
		case written[f.Name]:
			write = append(write, "--"+f.Name)
		case name == "FILE" || f.Name == "key" && strings.HasPrefix(cmd.CommandPath(), "station image"):
			read = append(read, "--"+f.Name)
		}
	})
	return read, write
}

// Every flag and argument of every command that names a file is tried by the
// tests below.
func TestEveryFileIsTried(t *testing.T) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			walk(c)
		}
		if cmd.HasSubCommands() || cmd.Name() == "help" || cmd.Name() == "completion" {
			return
		}
		words := strings.Join(fileWords[cmd.CommandPath()], " ")
		read, write := fileFlagsOf(cmd)
		for _, flag := range write {
			if !strings.Contains(words, flag+" {out}") {
				t.Errorf("%s: %s is not tried", cmd.CommandPath(), flag)
			}
			if cmd.Flags().Lookup("overwrite") == nil {
				t.Errorf("%s: writes and has no --overwrite", cmd.CommandPath())
			}
		}
		for _, flag := range read {
			if !strings.Contains(words, flag+" {in}") {
				t.Errorf("%s: %s is not tried", cmd.CommandPath(), flag)
			}
		}
		if _, arg, _ := strings.Cut(cmd.Use, " "); (strings.Contains(arg, "FILE") || strings.Contains(arg, "ARGS")) && !strings.Contains(words, "{") {
			t.Errorf("%s: its argument is not tried", cmd.CommandPath())
		}
	}
	walk(rootCommand())
}

// filePlace is a workplace with a sealed device and a file of every kind.
func filePlace(t *testing.T) *workplace {
	w := newWorkplace(t)
	w.product("small")
	w.run(0, "batch", "open", "b0", "--devices", "1", "--operator", "anna")
	w.run(0, "batch", "close", "b0", "--operator", "anna", "--anyway", "test", "--out", "b0.certificate")
	w.run(0, "batch", "open", "b1", "--devices", "3", "--operator", "anna")
	w.sealOne(filepath.Join("small", "job.toml"), fileMAC)
	w.run(0, "ledger", "checkpoint", "--out", "kept.checkpoint")
	w.run(0, "key", "public", "--out", "signer.pem")
	w.run(0, "hsm", "init", "--policy", "none", "--role", "ca", "--operator", "eve")
	w.run(0, "identity", "ca", "--subject", "CN=Plant", "--self-signed", "--out", "ca.pem")
	w.bundle("lamp.bundle", "bundle.pem")
	w.run(0, "site", "init", "--name", "plant-1", "--url", "tls://localhost:4222")
	_, private := w.officer()
	key, err := os.ReadFile(private)
	if err := errors.Join(err,
		os.WriteFile(filepath.Join(w.dir, "officer-private.pem"), key, 0o600),
		os.WriteFile(filepath.Join(w.dir, "author.txt"), []byte("anna:secret\n"), 0o600),
		os.WriteFile(filepath.Join(w.dir, "fleet.bin"), []byte("000102030405060708090a0b0c0d0e0f"), 0o600)); err != nil {
		t.Fatal(err)
	}
	return w
}

// within runs a command that has to end by itself, soon.
func (c *commands) within(d time.Duration, args ...string) (said string, code int) {
	c.t.Helper()
	out, errOut, code := c.run(d, args...)
	return string(out) + string(errOut), code
}

const soon = time.Minute // on a machine that does a lot else

// A state folder in which something else lies is refused before it is opened.
func TestSimStateIsOfFiles(t *testing.T) {
	w := newWorkplace(t)
	station := newCommands(t, w.dir)
	for _, name := range []string{"efuse.bin", "flash.bin", "chip.json"} {
		for want, make := range map[string]func(path string) error{
			"it is a pipe":                        func(path string) error { return syscall.Mkfifo(path, 0o600) },
			"it is a folder":                      func(path string) error { return os.Mkdir(path, 0o700) },
			"of the largest virtual chip's state": func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 4<<30)) },
			"it is a device":                      func(path string) error { return os.Symlink("/dev/zero", path) },
		} {
			dir := t.TempDir()
			if err := make(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			said, code := station.within(soon, "sim", "--listen", "socket://127.0.0.1:0", "--state", dir)
			if code != exitUsage || !strings.Contains(said, want) || !strings.Contains(said, name) {
				t.Errorf("%s, %s: exit code %d\n%s", name, want, code, said)
			}
		}
	}
}

// A station file with faults protects the PIN file that it names: commands that
// need no station file go on without it.
func TestFaultyStationFileProtectsItsPIN(t *testing.T) {
	w := filePlace(t)
	station := newCommands(t, w.dir)
	for _, file := range []string{"id = 7\n", "this is no TOML\n"} {
		text := file + "[hsm]\nuri = \"pkcs11:token=line-1?module-path=/m.so&pin-source=file:my-pin\"\n"
		if err := errors.Join(os.WriteFile(filepath.Join(w.dir, "station.toml"), []byte(text), 0o600),
			os.WriteFile(filepath.Join(w.dir, "my-pin"), []byte(testPIN), 0o600)); err != nil {
			t.Fatal(err)
		}
		said, code := station.within(soon, "ledger", "export", "--ledger", "ledger.db", "--out", "my-pin", "--overwrite")
		if pin, err := os.ReadFile(filepath.Join(w.dir, "my-pin")); code != exitUsage || string(pin) != testPIN || !strings.Contains(said, "is the PIN file") {
			t.Errorf("exit code %d, the PIN file holds %q (%v)\n%s", code, pin, err, said)
		}
	}
}

// No command writes over what matters, by whatever name it goes.
func TestOutputsSpareWhatMatters(t *testing.T) {
	w := filePlace(t)
	station := newCommands(t, w.dir)
	outside := t.TempDir() // the same file system, other names
	links := map[string]string{"hard.db": "ledger.db"}
	for link, file := range links {
		if err := os.Link(filepath.Join(w.dir, file), filepath.Join(outside, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(w.dir, "ledger.db"), filepath.Join(outside, "soft.db")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "ledger.adapters.json"), []byte(`{"version":1}`), 0o644); err != nil {
		t.Fatal(err)
	}
	held, err := os.Open(filepath.Join(w.dir, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	targets := []string{"ledger.db", filepath.Join(outside, "hard.db"), filepath.Join(outside, "soft.db"), "small/../ledger.db",
		fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), held.Fd()), "ledger.adapters.json", "ledger.db.door", "station.toml", filepath.Join(w.hsm, "pin")}
	before := w.states(outside)
	var cases racetest.Sample
	for command, words := range sorted(fileWords) {
		if !strings.Contains(words[0], "{out}") {
			continue
		}
		list := targets
		for _, word := range strings.Fields(words[0]) { // the inputs of this command
			if info, err := os.Stat(filepath.Join(w.dir, word)); err == nil && info.Mode().IsRegular() {
				list = append(list, word)
			}
		}
		if strings.Contains(words[0], "small/job.toml") && command != "station rehearse" { // which makes a token first
			list = append(list, "small/app.bin")
		}
		for _, target := range list {
			if cases.Out(sampleOf) {
				continue
			}
			args := append(strings.Fields(command)[1:], strings.Fields(strings.ReplaceAll(words[0], "{out}", target))...)
			if strings.Contains(words[0], "--out") || strings.Contains(words[0], "--meter") || strings.Contains(words[0], "--junit") || strings.Contains(words[0], "--certificate") {
				args = append(args, "--overwrite")
			}
			said, code := station.within(soon, args...)
			if code != exitUsage || !strings.Contains(said, "no output may touch it") {
				t.Errorf("station %s: exit code %d\n%s", strings.Join(args, " "), code, said)
			}
			if after := w.states(outside); after != before {
				t.Fatalf("station %s: a file has changed:\n%s\nbefore:\n%s", strings.Join(args, " "), after, before)
			}
		}
	}
}

// A file that is there is replaced only where that is asked for.
func TestOutputsReplaceNothing(t *testing.T) {
	w := filePlace(t)
	station := newCommands(t, w.dir)
	there := filepath.Join(w.dir, "there")
	var cases racetest.Sample
	for command, words := range sorted(fileWords) {
		if !strings.Contains(words[0], "{out}") || cases.Out(sampleOf) {
			continue
		}
		if err := os.WriteFile(there, []byte("mine"), 0o644); err != nil {
			t.Fatal(err)
		}
		args := append(strings.Fields(command)[1:], strings.Fields(strings.ReplaceAll(words[0], "{out}", "there"))...)
		said, code := station.within(soon, args...)
		why := "is there already"
		if strings.Contains(words[0], "--log") {
			why = "holds something else"
		}
		if b, err := os.ReadFile(there); string(b) != "mine" || err != nil || code != exitUsage || !strings.Contains(said, why) {
			t.Errorf("station %s: exit code %d, the file holds %.20q\n%s", strings.Join(args, " "), code, b, said)
		}
		if strings.Contains(words[0], "--log") || command == "station ledger backup" || command == "station sim" || command == "station run" || command == "station identity show" || strings.HasPrefix(command, "station site ") && command != "station site add" { // never; the others need a chip, one with an identity, or a bench that has pushed
			continue
		}
		said, code = station.within(soon, append(args, "--overwrite")...)
		if b, err := os.ReadFile(there); string(b) == "mine" || err != nil || code != 0 {
			t.Errorf("station %s --overwrite: exit code %d, the file holds %.20q\n%s", strings.Join(args, " "), code, b, said)
		}
	}
}

// states tell of all files that matter when the system saw them change last;
// with the names of all others.
func (w *workplace) states(dirs ...string) string {
	var all strings.Builder
	for _, dir := range append([]string{w.dir, w.hsm}, dirs...) {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				if d != nil && d.Name() == "tokens" {
					return fs.SkipDir // SoftHSM's own
				}
				return err
			}
			info, err := os.Lstat(path)
			if err == nil {
				s := info.Sys().(*syscall.Stat_t)
				fmt.Fprintf(&all, "%s %d %d %v\n", path, s.Ino, s.Size, s.Ctim)
			}
			return err
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return all.String()
}

// hostileFiles are inputs that no command may wait for nor read through.
func (w *workplace) hostileFiles() map[string]string {
	w.t.Helper()
	pipe, sparse := filepath.Join(w.dir, "pipe"), filepath.Join(w.dir, "sparse")
	err := errors.Join(syscall.Mkfifo(pipe, 0o600), os.Mkdir(filepath.Join(w.dir, "folder"), 0o755), os.WriteFile(sparse, nil, 0o600), os.Truncate(sparse, 4<<30))
	if err != nil {
		w.t.Fatal(err)
	}
	return map[string]string{"pipe": "it is a pipe", "folder": "it is a folder", "/dev/zero": "it is a device", "missing": "no such file|there is no ", "sparse": "it has 4294967296 bytes|not a ledger|its proof"}
}

// Nothing that is no file of a sensible size stalls a command or eats memory.
func TestHostileInputs(t *testing.T) {
	w := filePlace(t)
	station := newCommands(t, w.dir)
	var cases racetest.Sample
	for name, want := range sorted(w.hostileFiles()) {
		for command, words := range sorted(fileWords) {
			for _, row := range words[1:] {
				if cases.Out(sampleOf) {
					continue
				}
				args := append(strings.Fields(command)[1:], strings.Fields(strings.ReplaceAll(row, "{in}", name))...)
				said, code := station.within(soon, args...)
				if code == 0 || !containsOne(said, strings.Split(want, "|")) {
					t.Errorf("station %s: exit code %d, want %q\n%s", strings.Join(args, " "), code, want, said)
				}
			}
		}
	}
}

func containsOne(s string, list []string) bool {
	for _, want := range list {
		if strings.Contains(s, want) {
			return true
		}
	}
	return false
}

// The same for what job and station file name, and for the station file of
// every command.
func TestHostileNamedFiles(t *testing.T) {
	w := filePlace(t)
	station := newCommands(t, w.dir)
	hostile := w.hostileFiles()
	var cases racetest.Sample
	file, err := os.ReadFile(filepath.Join(w.dir, "station.toml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range sorted(hostile) {
		name := name
		if !filepath.IsAbs(name) {
			name = filepath.Join(w.dir, name)
		}
		for _, text := range []string{
			"flasher_args = %q", "partition_table = %q\n[[image]]\nfile = \"small/app.bin\"\naddress = 0x10000", "[[image]]\nfile = %q\naddress = 0x10000",
			"flasher_args = \"example/build/flasher_args.json\"\n[key]\nlabel=\"x\"\nescrow = %q",
		} {
			if cases.Out(sampleOf) {
				continue
			}
			text = fmt.Sprintf("name = \"a\"\nrevision = \"1\"\n"+text+"\n", name)
			if !strings.Contains(text, "[key]") {
				text += "[key]\nlabel = \"x\"\n"
			}
			text += "[boot]\nmarker = \"x\"\n[flash]\nsize = \"4MB\"\n"
			if err := os.WriteFile(filepath.Join(w.dir, "hostile.toml"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if said, code := station.within(soon, "job", "check", "hostile.toml"); code != exitUsage || !containsOne(said, strings.Split(want, "|")) {
				t.Errorf("%s: exit code %d, want %q\n%s", text, code, want, said)
			}
		}
		for old, command := range sorted(map[string]string{`"ledger.db"`: "ledger list", filepath.Join(w.hsm, "pin"): "hsm status", "/usr/lib/softhsm/libsofthsm2.so": "hsm status"}) {
			if cases.Out(sampleOf) {
				continue
			}
			bad := strings.Replace(string(file), old, strings.ReplaceAll(fmt.Sprintf("%q", name), `"`, quoteOf(old)), 1)
			if err := os.WriteFile(filepath.Join(w.dir, "bad.toml"), []byte(bad), 0o600); err != nil {
				t.Fatal(err)
			}
			if said, code := station.within(soon, append(strings.Fields(command), "--station", "bad.toml")...); code != exitStation {
				t.Errorf("%s: exit code %d\n%s", bad, code, said)
			}
		}
	}
	for command, words := range sorted(fileWords) {
		args := append(strings.Fields(command)[1:], strings.Fields(strings.NewReplacer("{out}", "new", "{in}", "missing").Replace(words[len(words)-1]))...)
		if command == "station demo" || command == "station rehearse" || cases.Out(sampleOf) { // need no station file, and end
			continue
		}
		station.within(soon, append(args, "--station", "pipe")...)
	}
}

// quoteOf is the quotation mark that a text is in.
func quoteOf(s string) string {
	if strings.HasPrefix(s, `"`) {
		return `"`
	}
	return ""
}
