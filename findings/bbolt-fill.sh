#!/bin/bash
# bbolt 1.5.0: a bucket that is only appended to, one entry a transaction, with
# FillPercent 1 as the package's own comment advises for that, never fills
# its pages. A page that overflows is parted so that two entries go to the new
# one: each page behind stays two short of what it could hold with the new entry.
# That is little with small values, and much where few fit into a page.
#
# Seen, values of 1300 bytes:
#	page of 4096 bytes: room for 3, holds 2
#	page of 8192 bytes: room for 6, holds 4
#	page of 16384 bytes: room for 12, holds 10
#
# Module: go.etcd.io/bbolt v1.5.0. Needs Go.
. "$(dirname "$0")/lib.sh"
text=$(gorun go.etcd.io/bbolt@v1.5.0 <<'GO'
package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

const (
	entries = 600
	value   = 1300
	header  = 16 // of a page, and of each entry in it
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	for _, page := range []int{4096, 8192, 16384} {
		db, err := bolt.Open(filepath.Join(os.Args[1], fmt.Sprint(page)), 0o600, &bolt.Options{PageSize: page, NoSync: true})
		check(err)
		for i := range uint64(entries) {
			check(db.Update(func(tx *bolt.Tx) error {
				b, err := tx.CreateBucketIfNotExists([]byte("log"))
				check(err)
				b.FillPercent = 1
				return b.Put(binary.BigEndian.AppendUint64(nil, i), make([]byte, value))
			}))
		}
		check(db.View(func(tx *bolt.Tx) error {
			room := (page - header) / (header + 8 + value)
			fmt.Printf("page of %d bytes: room for %d, holds %d\n", page, room, entries/tx.Bucket([]byte("log")).Stats().LeafPageN)
			return nil
		}))
		check(db.Close())
	}
}
GO
)
echo "$text"
seen "$text" "page of 4096 bytes: room for 3, holds 2" "page of 8192 bytes: room for 6, holds 4" \
	"page of 16384 bytes: room for 12, holds 10"
stands
