//go:build unix

package station

import (
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// access is whether this process may read and write a path.
func access(path string) error { return unix.Access(path, unix.R_OK|unix.W_OK) }

// rightTo is how this user comes to the right to a device.
func rightTo(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	me, meErr := user.Current()
	if !ok || meErr != nil || info.Mode().Perm()&0o060 != 0o060 {
		return fmt.Sprintf("ask whoever set it up: its mode is %v", info.Mode().Perm())
	}
	gid := strconv.Itoa(int(stat.Gid))
	group := gid
	if g, err := user.LookupGroupId(gid); err == nil {
		group = g.Name
	}
	if groups, err := me.GroupIds(); err == nil && slices.Contains(groups, gid) {
		return fmt.Sprintf("log out and in again: %s is in the group %s, this session is not yet", me.Username, group)
	}
	return fmt.Sprintf("sudo usermod -aG %s %s, then log out and in again", group, me.Username)
}

// keyPages is how many bytes of key pages a line with many slots keeps.
const keyPages = 1 << 20

// lockSound is whether key material can be kept out of the swap.
func (Machine) lockSound() Finding {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil || os.Geteuid() == 0 {
		limit.Cur = unix.RLIM_INFINITY
	}
	return pagesSound(uint64(limit.Cur))
}

func pagesSound(most uint64) Finding {
	f := Finding{What: "memory", State: Sound, Words: "key pages are kept out of the swap"}
	if most < keyPages {
		f.State = Doubt
		f.Words = fmt.Sprintf("only %d KiB may be locked in memory: keys could reach the swap", most>>10)
		f.Fix = "raise memlock in /etc/security/limits.conf, or LimitMEMLOCK= of the unit, to 8 MiB"
	}
	return f
}
