package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"

	"station/internal/keyfile"
	"station/internal/site"
)

// holders are the benches that ever got numbers of a quota. Who has which is kept beside
// the copies; that there are any is kept in the folder, so that a site that lost its copies
// gives out none before it has read those ledgers again.
type holders struct {
	folder *Folder

	mu   sync.Mutex
	list map[string]bool // nil before it was read
}

const holdersDir = "numbers"

// read reads whose they are. The caller holds mu.
func (h *holders) read() error {
	if h.list != nil {
		return nil
	}
	files, err := os.ReadDir(h.folder.path(holdersDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	h.list = map[string]bool{}
	for _, f := range files {
		if site.CheckName("bench", f.Name()) == nil {
			h.list[f.Name()] = true
		}
	}
	return nil
}

// add is on disk before the bench gets its first number.
func (h *holders) add(bench string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	err := h.read()
	if err != nil || h.list[bench] {
		return err
	}
	if err = os.MkdirAll(h.folder.path(holdersDir), 0o750); err == nil {
		err = keyfile.Replace(h.folder.path(holdersDir, bench), 0o640, []byte(now().Format("2006-01-02T15:04:05Z\n")))
	}
	if err == nil {
		h.list[bench] = true
	}
	return err
}

// others are all but the bench.
func (h *holders) others(bench string) (list []string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err = h.read(); err != nil {
		return nil, err
	}
	for other := range h.list {
		if other != bench {
			list = append(list, other)
		}
	}
	return list, nil
}

// forget drops what benches that are put out said of the quota: nobody can amend it there.
// What they have they keep.
func (h *Hub) forget(q quota) error {
	for bench, l := range q {
		gone, err := h.holders.folder.gone(bench)
		if err != nil {
			return err
		}
		if gone {
			l.Quota = 0
		}
	}
	return nil
}

// unread tells of which bench the site does not know yet what numbers it has.
func (h *Hub) unread(bench string) error {
	list, err := h.holders.others(bench)
	if err != nil {
		return err
	}
	var waits []string
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, other := range list {
		m := h.mirrors[other]
		if m == nil || !m.state().read() {
			waits = append(waits, other)
		}
	}
	if len(waits) > 0 {
		return fmt.Errorf("%w: the site has not read again which numbers %s have; let them come once", site.ErrBehind, strings.Join(waits, ", "))
	}
	return nil
}

// meet takes how large the ledger is, and whether it has no numbers yet, and tells whether
// that is news. A ledger only grows: one that has none now had none when it came first.
func (k *known) meet(size uint64, unleased bool) (news bool) {
	switch {
	case k.Met == 0:
		k.Met, k.Unleased = size, unleased
	case unleased && !k.Unleased:
		k.Unleased = true
	default:
		return false
	}
	return true
}

// read tells whether the site knows which numbers the ledger had when the bench came first:
// none, or all that it had then is settled. Those since are kept when they are given.
func (k known) read() bool { return k.Met > 0 && (k.Unleased || k.Settled >= k.Met) }
