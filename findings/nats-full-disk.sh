#!/bin/bash
# nats-server 2.15.3: an atomic batch (ADR-50) that meets a full disk is neither stored nor
# refused. Its commit gets no answer; the stream then holds a part of the batch, which readers
# see; and when the server is started again with room on the disk, the stream has all of it.
# Batches that are sent meanwhile are refused with 10176, which speaks of the batch and not of
# the disk, though nothing of them is lacking: only the server's log tells of the disk.
# sync_interval is "always", and a limit of the store is far away.
#
# Seen:
#	batches of 20: some are stored, then: no answer
#	then: 10176 atomic publish batch is incomplete
#	the stream ends within a batch: true
#	started again with room: it has all 20 of the batch without an answer: true
#
# Modules: github.com/nats-io/nats-server/v2 v2.15.3, github.com/nats-io/nats.go v1.55.0. Needs Go
# and Linux with user namespaces: the disk is one of 8 MiB in memory, in a namespace of its own.
# The server runs inside the probe, on a free port of the loopback address.
. "$(dirname "$0")/lib.sh"
text=$(gorun github.com/nats-io/nats-server/v2@v2.15.3 github.com/nats-io/nats.go@v1.55.0 <<'GO'
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ofItsOwn runs this program again where it may mount, and nobody else sees what.
func ofItsOwn() {
	c := exec.Command("/proc/self/exe", os.Args[1], "inside")
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	if err := c.Run(); err != nil {
		panic(err)
	}
}

// size gives the disk this size.
func size(dir, size string, flags uintptr) {
	if err := syscall.Mount("none", dir, "tmpfs", flags, "size="+size); err != nil {
		panic(err)
	}
}

// start starts a server with a client.
func start(dir string) (*server.Server, *nats.Conn, jetstream.JetStream) {
	s := must(server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, JetStreamMaxStore: 1 << 40, StoreDir: dir, SyncAlways: true, NoSigs: true, NoLog: true}))
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		panic("the server does not start")
	}
	nc := must(nats.Connect(s.ClientURL()))
	return s, nc, must(jetstream.New(nc))
}

const messages = 20

// batch sends one, and returns what its end is answered with.
func batch(nc *nats.Conn, id string) string {
	for i := 1; i <= messages; i++ {
		m := nats.NewMsg("e")
		m.Header.Set("Nats-Batch-Id", id)
		m.Header.Set("Nats-Batch-Sequence", fmt.Sprint(i))
		m.Data = bytes.Repeat([]byte{'x'}, 20_000)
		if i == messages {
			m.Header.Set("Nats-Batch-Commit", "1")
		}
		said := must(nc.RequestMsg(m, 2*time.Second))
		var a struct {
			Error *struct {
				Code        int    `json:"err_code"`
				Description string `json:"description"`
			} `json:"error"`
			Seq uint64 `json:"seq"`
		}
		switch {
		case len(said.Data) == 0: // it is taken, and not stored yet
		case json.Unmarshal(said.Data, &a) != nil:
			panic(string(said.Data))
		case a.Error != nil:
			return fmt.Sprint(a.Error.Code, " ", a.Error.Description)
		default:
			return "stored"
		}
	}
	panic("no answer to the end")
}

// tried is batch, where nobody may answer.
func tried(nc *nats.Conn, id string) (said string) {
	defer func() {
		if err, is := recover().(error); errors.Is(err, nats.ErrTimeout) {
			said = "no answer"
		} else if is {
			panic(err)
		}
	}()
	return batch(nc, id)
}

func main() {
	if len(os.Args) == 2 {
		ofItsOwn()
		return
	}
	dir := filepath.Join(os.Args[1], "disk")
	if err := os.Mkdir(dir, 0o700); err != nil {
		panic(err)
	}
	size(dir, "8m", 0)
	ctx := context.Background()
	s, nc, js := start(dir)
	_ = must(js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"e"}, AllowAtomicPublish: true}))
	stored, said := 0, "stored"
	for n := 0; n < 100 && said == "stored"; n++ {
		if said = tried(nc, fmt.Sprint("b", n)); said == "stored" {
			stored++
		}
	}
	if stored == 0 {
		panic("none is stored")
	}
	fmt.Printf("batches of %d: some are stored, then: %s\n", messages, said)
	fmt.Printf("then: %s\n", tried(nc, "next"))
	has := must(must(js.Stream(ctx, "S")).Info(ctx)).State.Msgs
	fmt.Printf("the stream ends within a batch: %v\n", has > uint64(stored*messages) && has < uint64((stored+1)*messages))
	nc.Close()
	s.Shutdown()
	s.WaitForShutdown()
	size(dir, "64m", syscall.MS_REMOUNT)
	s, nc, js = start(dir)
	has = must(must(js.Stream(ctx, "S")).Info(ctx)).State.Msgs
	fmt.Printf("started again with room: it has all %d of the batch without an answer: %v\n", messages, has == uint64((stored+1)*messages))
	nc.Close()
	s.Shutdown()
	s.WaitForShutdown()
}
GO
)
echo "$text"
seen "$text" "batches of 20: some are stored, then: no answer" \
	"then: 10176 atomic publish batch is incomplete" \
	"the stream ends within a batch: true" \
	"started again with room: it has all 20 of the batch without an answer: true"
stands
