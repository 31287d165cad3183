package serve

import (
	"io/fs"
	"os"
	"slices"
)

// statAll tells how files are now, for unchanged to compare later.
func statAll(paths ...string) ([]fs.FileInfo, error) {
	list := []fs.FileInfo{}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		list = append(list, info)
	}
	return list, nil
}

// unchanged tells whether files are still those that were read.
func unchanged(now, read []fs.FileInfo) bool {
	return slices.EqualFunc(now, read, func(a, b fs.FileInfo) bool {
		return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
	})
}
