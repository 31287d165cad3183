package firmware

import (
	"bytes"
	"crypto/sha256"
	"fmt"
)

// Info is what a file is and says, for people and for JSON.
type Info struct {
	Kind      string   `json:"kind"` // app, bootloader, image, partition table, otadata, unknown
	Size      int      `json:"size"`
	SHA256    string   `json:"sha256"` // sha256:… of the file
	Image     *Image   `json:"image,omitempty"`
	Partition *Table   `json:"partitionTable,omitempty"`
	OTAData   *OTAData `json:"otadata,omitempty"`
	Faults    []string `json:"faults,omitempty"`
}

// Describe finds out what a file is. file is its name, for faults.
func Describe(file string, b []byte) Info {
	i := Info{Kind: "unknown", Size: len(b), SHA256: fmt.Sprintf("sha256:%x", sha256.Sum256(b))}
	var err error
	switch {
	case len(b) > 0 && b[0] == imageMagic:
		i.Kind = "image"
		if i.Image, err = ParseImage(b); i.Image != nil {
			if i.Image.App != nil {
				i.Kind = "app"
			} else if i.Image.Bootloader != nil {
				i.Kind = "bootloader"
			}
		}
	case bytes.HasPrefix(b, rowMagic):
		i.Kind = "partition table"
		i.Partition, err = ParseBinaryTable(file, b, TableOptions{})
	case len(b) == OTADataSize:
		var d OTAData
		if d, err = ParseOTAData(b); err == nil {
			i.Kind, i.OTAData = "otadata", &d
		} else {
			err = nil // two sectors of anything
		}
	}
	for _, f := range Faults(err) {
		i.Faults = append(i.Faults, f.Text)
	}
	return i
}
