//go:build unix

package keyfile

import (
	"io/fs"
	"os"
	"syscall"
)

// giveTo gives a file to whom another one belongs.
func giveTo(f *os.File, as fs.FileInfo) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	now, is := info.Sys().(*syscall.Stat_t)
	had, was := as.Sys().(*syscall.Stat_t)
	if !is || !was || now.Uid == had.Uid && now.Gid == had.Gid {
		return nil
	}
	if err := f.Chown(int(had.Uid), int(had.Gid)); err != nil {
		return err
	}
	return f.Chmod(as.Mode().Perm()) // which another owner may have changed
}
