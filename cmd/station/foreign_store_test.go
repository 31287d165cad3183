package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	field "station/internal/release"
	"station/internal/store"
)

// Releases and rollouts that are hostile in the store itself, and records that are
// none, are said plain by every command that reads the store.
func TestAStoreSaysForeignTextPlain(t *testing.T) {
	dir, _ := hostilePlace(t)
	all, err := store.Open(filepath.Join(dir, "releases"))
	if err != nil {
		t.Fatal(err)
	}
	digest := "sha256:" + strings.Repeat("7", 64)
	doc := field.Release{Format: field.Format, ID: 7, Product: "lamp", Name: "lamp", Version: hostile, App: digest, AppSize: 1, Jobs: []string{hostile},
		Forms: []field.Form{{Kind: field.KindApp, Size: 1, SHA256: digest, SHA1: hostile, Check: hostile}}, Withdrawn: hostile}
	roll := field.Rollout{Product: "lamp", Release: 7, Percent: 10, State: field.Paused, Reason: hostile, Samples: 1}
	for key, data := range map[string][]byte{field.Key("lamp", 7): doc.JSON(), field.RolloutKey("lamp", 7): roll.JSON(), field.ClaimKey(7): []byte("lamp")} {
		if _, err := all.Set(key, data, 0); err != nil {
			t.Fatal(err)
		}
	}
	station, said := newCommands(t, dir), 0
	try := func(args ...string) {
		out, errOut, _ := station.run(time.Minute, args...)
		what := fmt.Sprintf("station %q", args)
		mustBePlain(t, what, out)
		mustBePlain(t, what, errOut)
		if bytes.Contains(append(out, errOut...), []byte("设备")) {
			said++
		}
	}
	for range 2 { // and then with what is no record at all
		for _, line := range []string{"release list", "release list --json", "release show 7", "release show 7 --json", "rollout status", "rollout status 7 --json",
			"release export 7 --out files", "release withdraw 7 --operator anna --reason test", "rollout start 7 --operator anna --percent 5",
			"rollout pause 7 --operator anna --reason test", "rollout resume 7 --operator anna", "affected --release 7", "__complete release show ", "__complete release list --product "} {
			try(strings.Split(line, " ")...)
		}
		_, rev, err := all.Get(field.Key("lamp", 7))
		if err == nil {
			_, err = all.Set(field.Key("lamp", 7), []byte(`{"`+quoted(hostile)[1:]+`: 1}`+hostile), rev)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "releases", "records", "release", "lamp", plainLine(hostile)), []byte(hostile), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if said < 8 {
		t.Errorf("only %d outputs tell of the text at all", said)
	}
}

// What an RFC 2217 server says when it hangs up is said plain, by whatever
// command opens the port.
func TestAServerSaysForeignTextPlain(t *testing.T) {
	w := newWorkplace(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	defer l.Close()
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			// It agrees to the options, says why and hangs up, once its words are read.
			_, _ = io.WriteString(conn, "\xff\xfd\x2c\xff\xfb\x00\xff\xfd\x00\xff\xfb\x03\xff\xfd\x03"+hostile+" in use")
			_ = conn.(*net.TCPConn).CloseWrite()
			_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
			_, _ = io.Copy(io.Discard, conn)
			conn.Close()
		}
	})
	port := "rfc2217://" + l.Addr().String()
	for _, args := range [][]string{
		{"probe", "--port", port, "--job", "example/job.toml"},
		{"run", "--headless", "--once", "--verbose", "--job", "example/job.toml", "--port", port, "--approve", w.approval(), "--operator", "anna", "--log", "log.jsonl", "--junit", "visit.xml"},
	} {
		out, errOut := w.run(exitStation, args...)
		if !strings.Contains(out+errOut, "设备") {
			t.Errorf("%s does not tell what the server says: %s%s", args[0], out, errOut)
		}
		mustBePlain(t, args[0], []byte(out))
		mustBePlain(t, args[0], []byte(errOut))
	}
	for _, name := range []string{"log.jsonl", "visit.xml"} {
		mustBePlain(t, name, w.read(name))
	}
}
