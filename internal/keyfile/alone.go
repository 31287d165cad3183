package keyfile

import "os"

// Alone runs change while nobody else does so with this folder, in this process or another:
// what change has read of the folder's files is what it replaces.
func Alone(dir string, change func() error) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := Lock(folder); err != nil {
		return err
	}
	return change()
}
