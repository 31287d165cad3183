#!/bin/bash
# nats.go 1.55.0 and nats-server 2.15.3: the client alone keeps the rules of a key of
# a key-value bucket. A MAC address with colons is no key to it; the server stores
# the same name for a plain publisher. The client then lists the key and
# will neither read nor delete it.
#
# Seen:
#	client puts 24:6f:28: nats: invalid key
#	server stores 24:6f:28: {"stream":"KV_k","seq":1}
#	client lists: [24:6f:28]
#	client gets 24:6f:28: nats: invalid key
#	client deletes 24:6f:28: nats: invalid key
#
# Modules: github.com/nats-io/nats-server/v2 v2.15.3, github.com/nats-io/nats.go v1.55.0. Needs Go.
# The server runs inside the probe, on a free port of the loopback address.
. "$(dirname "$0")/lib.sh"
text=$(gorun github.com/nats-io/nats-server/v2@v2.15.3 github.com/nats-io/nats.go@v1.55.0 <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	s := must(server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: os.Args[1], NoSigs: true, NoLog: true}))
	s.Start()
	defer s.Shutdown()
	s.ReadyForConnections(10 * time.Second)
	nc := must(nats.Connect(s.ClientURL()))
	defer nc.Close()
	js := must(jetstream.New(nc))
	ctx := context.Background()
	bucket := must(js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "k"}))
	const mac = "24:6f:28"
	_, err := bucket.Put(ctx, mac, []byte("sealed"))
	fmt.Printf("client puts %s: %v\n", mac, err)
	fmt.Printf("server stores %s: %s\n", mac, must(nc.Request("$KV.k."+mac, []byte("sealed"), 10*time.Second)).Data)
	fmt.Println("client lists:", must(bucket.Keys(ctx)))
	_, err = bucket.Get(ctx, mac)
	fmt.Printf("client gets %s: %v\n", mac, err)
	fmt.Printf("client deletes %s: %v\n", mac, bucket.Delete(ctx, mac))
}
GO
)
echo "$text"
seen "$text" "client puts 24:6f:28: nats: invalid key" 'server stores 24:6f:28: {"stream":"KV_k","seq":1}' \
	"client lists: [24:6f:28]" "client gets 24:6f:28: nats: invalid key" "client deletes 24:6f:28: nats: invalid key"
stands
