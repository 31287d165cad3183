#!/bin/bash
# nats-server 2.15.3, nats.go 1.55.0: of several clients that update one key of a
# key-value bucket at the same instant, each with the revision that it read, one
# wins. On one server all others are told error 10071, which the client calls
# jetstream.ErrKeyExists. Where the bucket is on three servers some are told error
# 10164 instead, while the winner's change is still on its way to the other servers:
# ErrKeyExists does not match that. The description of the two begins alike.
#
# Seen:
#	on 1 server: 10071 wrong last sequence: is ErrKeyExists: true
#	on 3 servers: 10071 wrong last sequence: is ErrKeyExists: true
#	on 3 servers: 10164 wrong last sequence: is ErrKeyExists: false
#
# Modules: github.com/nats-io/nats-server/v2 v2.15.3, github.com/nats-io/nats.go v1.55.0. Needs Go.
# The servers run inside the probe, on free ports of the loopback address.
. "$(dirname "$0")/lib.sh"
text=$(gorun github.com/nats-io/nats-server/v2@v2.15.3 github.com/nats-io/nats.go@v1.55.0 <<'GO'
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// start starts n servers, which are a cluster where there are several.
func start(n int, dir string) (list []*server.Server) {
	var routes []*url.URL // to all of them, at ports that are free
	for range n {
		l := must(net.Listen("tcp", "127.0.0.1:0"))
		defer l.Close()
		routes = append(routes, must(url.Parse("nats://"+l.Addr().String())))
	}
	for i := range n {
		o := &server.Options{ServerName: fmt.Sprint("s", i), Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: filepath.Join(dir, fmt.Sprint(n, i)), NoSigs: true, NoLog: true}
		if n > 1 {
			o.Cluster = server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: must(strconv.Atoi(routes[i].Port()))}
			o.Routes = routes
		}
		list = append(list, must(server.NewServer(o)))
	}
	return list
}

const clients = 8

func main() {
	ctx := context.Background()
	for _, n := range []int{1, 3} {
		servers := start(n, os.Args[1])
		for _, s := range servers {
			s.Start()
		}
		for _, s := range servers {
			if !s.ReadyForConnections(10 * time.Second) {
				panic("a server does not start")
			}
		}
		var buckets []jetstream.KeyValue
		for i := range clients {
			nc := must(nats.Connect(servers[i%n].ClientURL()))
			defer nc.Close()
			js := must(jetstream.New(nc))
			made, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "k", Replicas: n})
			for range 300 { // until the cluster has a leader
				if err == nil {
					break
				}
				time.Sleep(100 * time.Millisecond)
				made, err = js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "k", Replicas: n})
			}
			buckets = append(buckets, must(made, err))
		}
		revision := must(buckets[0].Create(ctx, "key", []byte("first")))
		told := map[string]bool{}
		for round := 0; round < 2000 && len(told) < n-n/2; round++ { // 1 kind, or 2
			var all sync.WaitGroup
			var mu sync.Mutex
			next := revision
			for i, b := range buckets {
				all.Go(func() {
					won, err := b.Update(ctx, "key", fmt.Appendf(nil, "%d from %d", round, i), revision)
					mu.Lock()
					defer mu.Unlock()
					var said *jetstream.APIError
					switch {
					case err == nil:
						next = won
					case errors.As(err, &said):
						words, _, _ := strings.Cut(said.Description, ": ")
						told[fmt.Sprintf("%d %s: is ErrKeyExists: %v", said.ErrorCode, words, errors.Is(err, jetstream.ErrKeyExists))] = true
					default:
						panic(err)
					}
				})
			}
			all.Wait()
			revision = next
		}
		var lines []string
		for line := range told {
			lines = append(lines, line)
		}
		slices.Sort(lines)
		for _, line := range lines {
			fmt.Printf("on %d server%s: %s\n", n, map[bool]string{true: "s"}[n > 1], line)
		}
		for _, s := range servers {
			s.Shutdown()
		}
	}
}
GO
)
echo "$text"
seen "$text" "on 1 server: 10071 wrong last sequence: is ErrKeyExists: true" \
	"on 3 servers: 10071 wrong last sequence: is ErrKeyExists: true" \
	"on 3 servers: 10164 wrong last sequence: is ErrKeyExists: false"
stands
