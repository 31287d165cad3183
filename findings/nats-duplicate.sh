#!/bin/bash
# nats-server 2.15.3: within a stream's time for duplicates (2 minutes unless it is
# set) a message whose Nats-Msg-Id was seen is dropped and acknowledged by the
# id alone. Another body and another subject make no difference; nor
# does it that the first message was deleted meanwhile: the acknowledgement then
# names the sequence number of a message that is no longer there. A publisher who
# looks for an error alone believes that it is stored.
#
# Seen:
#	first: {"stream":"D","seq":1}
#	other body: {"stream":"D","seq":1,"duplicate": true}
#	other subject: {"stream":"D","seq":1,"duplicate": true}
#	again, the first deleted: {"stream":"D","seq":1,"duplicate": true}
#	0 messages in the stream
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
	stream := must(js.CreateStream(ctx, jetstream.StreamConfig{Name: "D", Subjects: []string{"device.>"}}))
	publish := func(what, subject, body string) {
		m := &nats.Msg{Subject: subject, Data: []byte(body), Header: nats.Header{nats.MsgIdHdr: {"42"}}}
		fmt.Printf("%s: %s\n", what, must(nc.RequestMsg(m, 10*time.Second)).Data)
	}
	publish("first", "device.1", "sealed")
	publish("other body", "device.1", "scrapped")
	publish("other subject", "device.2", "sealed")
	if err := stream.DeleteMsg(ctx, 1); err != nil {
		panic(err)
	}
	publish("again, the first deleted", "device.1", "sealed")
	fmt.Println(must(stream.Info(ctx)).State.Msgs, "messages in the stream")
}
GO
)
echo "$text"
seen "$text" 'first: {"stream":"D","seq":1}' 'other body: {"stream":"D","seq":1,"duplicate": true}' \
	'other subject: {"stream":"D","seq":1,"duplicate": true}' \
	'again, the first deleted: {"stream":"D","seq":1,"duplicate": true}' "0 messages in the stream"
stands
