package hub

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// changeRecord changes one record of a bucket by compare-and-set; one that is not there
// yet is a zero T. change is called again where somebody was quicker.
func changeRecord[T any](ctx context.Context, bucket jetstream.KeyValue, key string, change func(*T) error) error {
	for {
		var v T
		had, err := bucket.Get(ctx, key)
		if err == nil {
			err = json.Unmarshal(had.Value(), &v)
		} else if errors.Is(err, jetstream.ErrKeyNotFound) {
			err = nil
		}
		if err == nil {
			err = change(&v)
		}
		if err != nil {
			return err
		}
		data, err := json.Marshal(v)
		switch {
		case err != nil:
			return err
		case had == nil:
			_, err = bucket.Create(ctx, key, data)
		default:
			_, err = bucket.Update(ctx, key, data, had.Revision())
		}
		if !quicker(err) {
			return err
		}
	}
}

// quicker tells whether somebody else was quicker to change a key. Servers of a cluster say so
// in a way of their own where his change is still on its way to the others.
func quicker(err error) bool {
	var said *jetstream.APIError
	return errors.As(err, &said) && (said.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || said.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}
