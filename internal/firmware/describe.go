package firmware

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"

	"station/internal/filefault"
	"station/internal/otaimage"
)

// Info is what a file is and says, for people and for JSON.
type Info struct {
	Kind      string   `json:"kind"` // app, bootloader, image, partition table, partition table (CSV), otadata, OTA image, unknown
	Size      int      `json:"size"`
	SHA256    string   `json:"sha256"` // sha256:… of the file
	Image     *Image   `json:"image,omitempty"`
	Partition *Table   `json:"partitionTable,omitempty"`
	OTAData   *OTAData `json:"otadata,omitempty"`
	Behind    string   `json:"behind,omitempty"` // what follows an image
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
			i.Behind = behind(b, i.Image.Length)
		}
	case otaimage.Is(b):
		i.Kind = "OTA image"
		_, _, err = otaimage.Parse(b)
	case bytes.HasPrefix(b, rowMagic):
		i.Kind = "partition table"
		i.Partition, err = ParseBinaryTable(file, b, TableOptions{})
	case kindOfText(b) == tableText:
		i.Kind = "partition table (CSV)"
		i.Partition, err = ParseCSV(file, b, TableOptions{Env: os.LookupEnv})
	case len(b) == OTADataSize:
		var d OTAData
		d, err = ParseOTAData(b)
		if !d.empty() || bytes.Equal(b, EmptyOTAData()) {
			i.Kind, i.OTAData = "otadata", &d
		} // else two sectors of anything
	}
	for _, f := range filefault.All(err) {
		i.Faults = append(i.Faults, f.Text)
	}
	if err != nil && len(i.Faults) == 0 {
		i.Faults = append(i.Faults, err.Error())
	}
	return i
}

// behind tells what follows an image in its file: a slot read back from a chip
// ends in FF, a signed image in its signature.
func behind(b []byte, length int) string {
	if length <= 0 || length >= len(b) {
		return ""
	}
	rest := b[length:]
	text := fmt.Sprintf("%d bytes", len(rest))
	switch sector := (SectorSize - length%SectorSize) % SectorSize; {
	case len(bytes.Trim(rest, "\xff")) == 0:
		return text + " of FF"
	case len(rest) >= sector+2 && rest[sector] == 0xe7 && rest[sector+1] == 2:
		return text + " with a signature of secure boot V2"
	case len(rest) == v1Signature:
		return text + " with a signature of secure boot V1"
	}
	return text
}

// v1Signature is a version u32 and an ECDSA signature.
const v1Signature = 4 + 64
