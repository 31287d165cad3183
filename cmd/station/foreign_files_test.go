package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"station/internal/firmware"
	"station/internal/racetest"
)

// foreignFiles makes one of each kind with the hostile text in it, for the flags
// that such a file may stand behind; "" are arguments.
func (w *workplace) foreignFiles() map[string][]string {
	w.t.Helper()
	quoted := quoted(hostile)
	hostileLedger(w.t, filepath.Join(w.dir, "foreign.db"))
	w.write("foreign", hostile)
	w.write("foreign.toml", "name = "+quoted+"\n"+quoted+" = 1\nflasher_args = "+quoted+"\n[flash]\nsize = "+quoted+"\n[boot]\nmarker = "+quoted+"\n[[image]]\nfile = "+quoted+"\npartition = "+quoted+"\n")
	w.write("foreign-proof.json", `{"format":"station-export-proof/1","file":`+quoted+`,"origin":`+quoted+`,`+quoted+`:1}`)
	w.write("foreign.checkpoint", plainLine(hostile)+"\n1\n"+plainLine(hostile)+"\n\n— "+plainLine(hostile)+" AAAA\n")
	w.write("foreign.csv", "# Name\n\""+strings.ReplaceAll(hostile, "\n", " ")+"\",data,nvs,0x9000,0x3000,\n"+plainLine(hostile)+",app,x,,1M,\n")
	w.write("foreign-args.json", `{"flash_files":{"0x10000":`+quoted+`,`+quoted+`:"x"},"extra_esptool_args":{"chip":`+quoted+`}}`)
	w.write("foreign-scan.json", `{"bomFormat":"CycloneDX","specVersion":"1.5","components":[{"name":`+quoted+`,"version":`+quoted+`,"bom-ref":`+quoted+`}],"vulnerabilities":[{"id":`+quoted+`}]}`)
	w.write("foreign-lines", plainLine(hostile)+":"+plainLine(hostile)+"\n"+hostile+"\n")
	app := w.read("small/app.bin")
	w.write("foreign-app.bin", rewritten(w.t, app, firmware.FirstData+16, hostile[:31]+"\x00", firmware.FirstData+48, "lamp\x1b[2J\nPASS\x00"))
	table := firmware.Table{Partitions: []firmware.Partition{{Name: "设\x1b[2J\n24:0a", Type: 1, Subtype: 2, Offset: 0x9000, Size: 0x3000}}}
	w.write("foreign-table.bin", string(table.Binary()))
	w.write("foreign.pem", foreignCertificate(w.t))
	keys := []string{"foreign", "foreign.pem"}
	return map[string][]string{
		"--job": {"foreign", "foreign.toml"}, "--ledger": {"foreign", "foreign.db"},
		"--since": {"foreign", "foreign-proof.json", "foreign.checkpoint"}, "--checkpoint": {"foreign", "foreign.checkpoint"},
		"--scan": {"foreign", "foreign-scan.json"}, "--sbom": {"foreign", "foreign-scan.json"},
		"--authors": {"foreign-lines"}, "--tokens": {"foreign-lines"}, "--credentials": {"foreign-lines"},
		"--key": keys, "--ca": keys, "--to": keys, "--officer": keys, "--fleet-key": keys, "--manifest-key": keys,
		"": {"foreign", "foreign.toml", "foreign-proof.json", "foreign.checkpoint", "foreign.csv", "foreign-args.json", "foreign-app.bin", "foreign-table.bin", "foreign.pem"},
	}
}

// quoted is a text as JSON and TOML have it.
func quoted(s string) string {
	b, _ := json.Marshal(s)
	return strings.ReplaceAll(string(b), "\x7f", `\u007f`)
}

func plainLine(s string) string { return strings.NewReplacer("\n", " ", "\t", " ").Replace(s) }

// rewritten is an image with texts in their places, whole.
func rewritten(t *testing.T, app []byte, places ...any) string {
	t.Helper()
	image, err := firmware.ParseImage(app)
	if err != nil {
		t.Fatal(err)
	}
	b := bytes.Clone(app[:image.Length])
	for i := 0; i < len(places); i += 2 {
		at, text := places[i].(int), places[i+1].(string)
		for n := range len(text) {
			b[image.Length-33] ^= b[at+n] ^ text[n] // the checksum is an XOR over all data
			b[at+n] = text[n]
		}
	}
	sum := sha256.Sum256(b[:image.Length-32])
	copy(b[image.Length-32:], sum[:])
	return string(b)
}

// foreignCertificate is one whose subject is hostile.
func foreignCertificate(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: hostile, Organization: []string{hostile}}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// Whatever a file holds that somebody else made, no command says it raw: each
// command with a file is tried with words that bring it to that file, and with
// --json too.
func TestForeignFilesAreSaidPlain(t *testing.T) {
	w := filePlace(t)
	files := w.foreignFiles()
	station := newCommands(t, w.dir)
	var cases racetest.Sample
	said := 0
	for command, words := range sorted(fileWords) {
		cmd, _, err := rootCommand().Find(strings.Fields(command)[1:])
		if err != nil {
			t.Fatal(err)
		}
		ways := []string{""}
		if cmd.Flags().Lookup("json") != nil {
			ways = append(ways, " --json")
		}
		for _, row := range words[1:] {
			fields := strings.Fields(row)
			at := slices.Index(fields, "{in}")
			flag := ""
			if at > 0 && strings.HasPrefix(fields[at-1], "--") {
				flag = fields[at-1]
			}
			if command == "station release listen" && flag == "--credentials" { // of any text, used later
				continue
			}
			names := slices.Concat(files[flag], []string{"foreign"})[:max(1, len(files[flag]))]
			if command == "station serve" || command == "station release listen" { // with a file that is right they do not end
				names = []string{"foreign"}
			}
			for _, name := range names {
				for _, way := range ways {
					if cases.Out(sampleOf / 3) {
						continue
					}
					args := append(strings.Fields(command)[1:], strings.Fields(strings.ReplaceAll(row, "{in}", name)+way)...)
					out, errOut, _ := station.run(soon, args...)
					what := fmt.Sprintf("station %q", args)
					if strings.Contains(command, "export") || strings.Contains(command, "report") { // a line break stays in its quotes, and is none in a page
						out = bytes.ReplaceAll(out, []byte("\n"+forged), nil)
					}
					mustBePlain(t, what, out)
					mustBePlain(t, what, errOut)
					if bytes.Contains(append(out, errOut...), []byte("设")) {
						said++
					}
				}
			}
		}
	}
	if want := 12; said < want && !racetest.Enabled || said == 0 {
		t.Errorf("only %d outputs tell of the text at all", said)
	}
}
