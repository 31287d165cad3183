//go:build !unix

package keyfile

import (
	"io/fs"
	"os"
)

// giveTo does nothing: the folder says whose its files are.
func giveTo(*os.File, fs.FileInfo) error { return nil }
