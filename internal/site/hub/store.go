package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// syncTime is how long the servers have to say how they sync.
const syncTime = time.Second

// synced refuses servers that acknowledge before the disk has it. Only who may ask them
// can see that: an account that imports the service, or none.
func synced(conn *nats.Conn, tell func(string)) error {
	inbox := conn.NewInbox()
	answers, err := conn.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer func() { _ = answers.Unsubscribe() }()
	if err := conn.PublishRequest(syncQuestion, inbox, nil); err != nil {
		return err
	}
	seen := 0
	for until := time.Now().Add(syncTime); ; seen++ {
		msg, err := answers.NextMsg(time.Until(until))
		if err != nil {
			break
		}
		var said struct {
			Server struct{ Name string }
			Data   *server.JSInfo
		}
		if json.Unmarshal(msg.Data, &said) != nil || said.Data == nil || said.Data.Disabled {
			break
		}
		if !said.Data.Config.SyncAlways {
			return fmt.Errorf("server %s acknowledges before the disk has it; set sync_interval: always under its jetstream", said.Server.Name)
		}
	}
	if seen < copies {
		tell("whether the cluster's servers sync before they acknowledge could not be seen of all: sync_interval: always must be set on each")
	}
	return nil
}

const syncQuestion = "$SYS.REQ.SERVER.PING.JSZ"

// fits makes sure that a stream is what it has to be: a server that knows less ignores
// what it does not know.
func fits(have, want jetstream.StreamConfig) error {
	var faults []error
	if have.Replicas != max(want.Replicas, 1) {
		faults = append(faults, fmt.Errorf("stream %s is on %d servers, want %d", want.Name, have.Replicas, want.Replicas))
	}
	if have.Storage != want.Storage {
		faults = append(faults, fmt.Errorf("stream %s is kept in %s, want %s", want.Name, have.Storage, want.Storage))
	}
	if have.AllowAtomicPublish != want.AllowAtomicPublish || have.AllowDirect != want.AllowDirect {
		faults = append(faults, fmt.Errorf("stream %s takes no atomic batches, or is read from servers that are behind: the server is too old", want.Name))
	}
	return errors.Join(faults...)
}

// bucket finds or makes a bucket that is read where it is written: the server of the
// library's default may be behind.
func (h *Hub) bucket(ctx context.Context, name string) (jetstream.KeyValue, error) {
	if _, err := h.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: name, History: 1, Storage: jetstream.FileStorage, Replicas: h.copies}); err != nil {
		return nil, err
	}
	stream, err := h.js.Stream(ctx, "KV_"+name)
	if err != nil {
		return nil, err
	}
	want := stream.CachedInfo().Config
	want.AllowDirect, want.Storage, want.Replicas = false, jetstream.FileStorage, h.copies
	if stream, err = h.js.UpdateStream(ctx, want); err == nil {
		err = fits(stream.CachedInfo().Config, want)
	}
	if err != nil {
		return nil, err
	}
	return h.js.KeyValue(ctx, name)
}
