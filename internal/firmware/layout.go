package firmware

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"station/internal/chip"
	"station/internal/filefault"
	"station/internal/keyfile"
)

// Layout is what a product puts into its flash. Plan turns it into regions.
type Layout struct {
	Chip        string // "esp32"
	FlashSize   uint32 // bytes
	Mode, Freq  string // for the bootloader's header; empty or "keep" leaves them
	KeepSize    bool   // leaves the flash size in the bootloader's header
	Encrypted   bool   // the chip will have flash encryption
	Table       string // file of the partition table, CSV or binary; empty: the image at TableOffset is it
	TableOffset uint32 // 0 is 0x8000
	Images      []ImageFile
	Lost        int // images that were left out for faults of their own: what would follow is no fault
	// Read loads a file by the name it has here; nil reads regular files, none larger than a flash.
	Read func(name string) ([]byte, error)
	// Env is for variables in a CSV; nil is os.LookupEnv.
	Env func(name string) (string, bool)
}

// ImageFile is one file and where it goes.
type ImageFile struct {
	Name      string // empty: the file's name
	File      string
	Address   uint32
	Partition string // if not empty, Address is where this partition begins
	Encrypt   *bool  // nil: the partition table decides
	Build     bool   // named by the build: an image of the layout's own for the same place wins
}

// Region is a piece of flash to write.
type Region struct {
	Name      string `json:"name"`
	Address   uint32 `json:"address"` // a multiple of a sector
	Size      int    `json:"size"`    // bytes in flash, which is len(Data)
	Encrypted bool   `json:"encrypted"`
	Partition string `json:"partition,omitempty"`
	Slot      string `json:"slot,omitempty"`    // of an app: factory, ota_0, …
	Project   string `json:"project,omitempty"` // from the app descriptor
	Version   string `json:"version,omitempty"`
	// SecureVersion is the app descriptor's; nil of what is no app.
	SecureVersion *uint32 `json:"secureVersion,omitempty"`
	SHA256        string  `json:"sha256"` // sha256:… of Data
	// FileSHA256 is sha256:… of the file that Data is made of; empty where the station makes it.
	FileSHA256 string `json:"fileSha256,omitempty"`
	// PerDevice is what each device has bytes of its own for; Data is FF.
	PerDevice bool `json:"perDevice,omitempty"`
	// MinRevision and MaxRevision are the chips it runs on; 0 is any.
	MinRevision chip.Revision `json:"minRevision,omitempty"`
	MaxRevision chip.Revision `json:"maxRevision,omitempty"`
	// Data is the plain text with header patches, and with padding of FF where
	// it is to be encrypted.
	Data []byte `json:"-"`
}

// Hold gives the region its bytes, and what follows from them.
func (r *Region) Hold(data []byte) {
	r.Data, r.Size, r.SHA256 = data, len(data), digestOf(data)
}

func digestOf(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

// CheckRevision says why the chip cannot run what is in the region.
func (r Region) CheckRevision(rev chip.Revision) error {
	if err := checkRevision(rev, r.MinRevision, r.MaxRevision); err != nil {
		return fmt.Errorf("%s: %w", r.Name, err)
	}
	return nil
}

// Plan is a layout that can be written.
type Plan struct {
	Regions  []Region `json:"regions"` // by address
	Table    *Table   `json:"table"`
	Warnings []string `json:"warnings,omitempty"`
}

// Add puts regions among those of the plan, by address. The caller makes sure that
// they overlap no other one.
func (p *Plan) Add(regions ...Region) {
	p.Regions = append(p.Regions, regions...)
	slices.SortFunc(p.Regions, func(a, b Region) int { return cmp.Compare(a.Address, b.Address) })
}

// planner carries one layout on its way to a plan.
type planner struct {
	Layout
	Plan
	faults
	chip   *chip.Family
	pieces []*piece
	lost   int // images that have no data or no place
}

// piece is an image of the layout with what was found out about it.
type piece struct {
	ImageFile
	data      []byte
	digest    string     // of the file, as it was read
	unread    error      // why there is no data
	partition *Partition // that holds it; nil: none, or the table is broken
	image     *Image     // where it is a bootloader or an app
	encrypt   bool
}

// Plan reads every file and checks everything; the error has every fault.
func (l Layout) Plan() (*Plan, error) {
	p := planner{Layout: l}
	p.lost = l.Lost
	p.TableOffset = cmp.Or(l.TableOffset, DefaultTableOffset)
	if p.Read == nil {
		p.Read = readImage
	}
	if p.Env == nil {
		p.Env = os.LookupEnv
	}
	if p.chip = chip.Known(chip.ByName(l.Chip)); l.Chip != "" && l.Chip != p.chip.Name {
		p.add("chip %q is not supported; this station seals the %s", l.Chip, strings.Join(chip.Names(), ", "))
	}
	p.load()
	p.readTable()
	p.locate()
	p.dropUnread()
	for _, x := range p.pieces {
		p.inspect(x)
	}
	p.checkPlaces()
	p.checkBoot()
	if err := p.err(); err != nil {
		return nil, err
	}
	p.finish()
	return &p.Plan, nil
}

func readImage(name string) ([]byte, error) { return keyfile.Read(name, keyfile.Image) }

// load reads the images. One that cannot be read is a fault, unless another
// one turns out to be for its place.
func (p *planner) load() {
	total := 0
	for _, image := range p.Images {
		if image.Name == "" {
			base := filepath.Base(image.File)
			image.Name = strings.TrimSuffix(base, filepath.Ext(base))
		}
		x := &piece{ImageFile: image}
		p.pieces = append(p.pieces, x)
		if total > maxImages {
			x.unread = &filefault.Fault{File: image.File, Text: fmt.Sprintf("it is not read: the images before it have more than %d MB, and the largest flash has 16", maxImages>>20)}
			continue
		}
		var err error
		switch x.data, err = p.Read(image.File); {
		case err != nil:
			x.unread = unreadable(image.File, err)
		case len(x.data) == 0:
			x.unread = &filefault.Fault{File: image.File, Text: "the file is empty; build it again"}
		}
		x.digest = digestOf(x.data)
		total += len(x.data)
	}
}

// maxImages bounds what the images of a layout have together: what is behind it
// fits no flash and is not read.
const maxImages = 64 << 20

func unreadable(file string, err error) *filefault.Fault {
	if errors.Is(err, fs.ErrNotExist) {
		return &filefault.Fault{File: file, Text: "there is no such file; build the project or correct the name"}
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err
	}
	return &filefault.Fault{File: file, Text: err.Error()}
}

// dropUnread leaves out what could not be read.
func (p *planner) dropUnread() {
	p.pieces = slices.DeleteFunc(p.pieces, func(x *piece) bool {
		if x.unread != nil {
			p.list = append(p.list, x.unread)
			p.lost++
		}
		return x.unread != nil
	})
}

// readTable finds the table in its own file or among the images; where there
// are both they must agree.
func (p *planner) readTable() {
	options := TableOptions{Offset: p.TableOffset, FlashSize: p.FlashSize, Chip: p.chip, Env: p.Env}
	read := func(file string, data []byte) *Table {
		t, err := ParseTable(file, data, options)
		if err != nil {
			for _, f := range filefault.All(err) {
				p.list = append(p.list, f)
			}
			return nil
		}
		return t
	}
	var image *piece
	for _, x := range p.pieces {
		if p.isTable(x) && (image == nil || image.Build) { // the job's own wins
			image = x
		}
	}
	switch {
	case p.Layout.Table != "":
		data, err := p.Read(p.Layout.Table)
		if err != nil {
			p.list = append(p.list, unreadable(p.Layout.Table, err))
			return
		}
		p.Plan.Table = read(p.Layout.Table, data)
		if p.Plan.Table != nil {
			p.tableImage(image, digestOf(data))
		}
	case image != nil && image.unread == nil:
		if bytes.HasPrefix(image.data, rowMagic) {
			p.Plan.Table = read(image.File, image.data)
		}
	case image != nil: // its fault is told
	case p.lost > 0: // it may be the one
	default:
		p.add("there is no partition table; name its CSV, or the build's partition-table.bin for %#x", p.TableOffset)
	}
	if p.Plan.Table != nil {
		p.Warnings = append(p.Warnings, p.Plan.Table.Warnings...)
	}
}

// tableImage makes the image of the table from its file, which has a digest, or compares it.
func (p *planner) tableImage(image *piece, digest string) {
	made := p.Plan.Table.Binary()
	if image == nil {
		p.pieces = append(p.pieces, &piece{
			ImageFile: ImageFile{Name: "partition-table", File: p.Layout.Table, Address: p.TableOffset},
			data:      made, digest: digest,
		})
		return
	}
	if image.unread != nil {
		return
	}
	padded := pad(image.data, TableSize)[:TableSize]
	if bytes.HasPrefix(image.data, rowMagic) && !bytes.Equal(padded, made) {
		p.in(image.File, "is another partition table than %s; build the project again", p.Layout.Table)
	}
}

func (p *planner) isTable(x *piece) bool { return x.Address == p.TableOffset }

func (p *planner) isBootloader(x *piece) bool { return x.Address == p.chip.Bootloader }

// locate turns partition names into addresses and finds the partition of
// every other image. Images that have no place are left out.
func (p *planner) locate() {
	table := p.Plan.Table
	p.pieces = slices.DeleteFunc(p.pieces, func(x *piece) bool {
		if table == nil {
			p.lost++
			return x.Partition != ""
		}
		found, ok := table.At(x.Address)
		if x.Partition != "" {
			if found, ok = table.Find(x.Partition); !ok {
				p.in(x.File, "there is no partition %s; use one of %s", x.Partition, table.names())
				p.lost++
				return true
			}
			x.Address = found.Offset
		}
		if ok && !found.fixed() {
			x.partition = &found
		}
		return false
	})
	p.pieces = slices.DeleteFunc(p.pieces, func(x *piece) bool { return x.Build && p.replaced(x) })
}

// replaced reports an image of the build whose place the layout fills itself:
// the same address, or the partition that it names.
func (p *planner) replaced(x *piece) bool {
	return slices.ContainsFunc(p.pieces, func(own *piece) bool {
		return !own.Build && (own.Address == x.Address || own.Partition != "" && x.partition != nil && own.Partition == x.partition.Name)
	})
}

func (t *Table) names() string {
	var names []string
	for _, p := range t.Partitions {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}

func (p *planner) in(file, format string, args ...any) {
	p.list = append(p.list, &filefault.Fault{File: file, Text: fmt.Sprintf(format, args...)})
}

// pad returns b followed by FF up to a multiple of n.
func pad(b []byte, n int) []byte {
	short := (n - len(b)%n) % n
	return append(bytes.Clone(b), bytes.Repeat([]byte{0xff}, short)...)
}
