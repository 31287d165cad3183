package sim

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"station/internal/chip"
)

// Rev0 asks for the first silicon; the zero Revision means 3.
const Rev0 = -1

// Options describe a chip before it is first powered. The zero value is a
// blank ESP32 of revision 3 with 4 MB of flash, a 40 MHz crystal and both lines.
type Options struct {
	Chip     *chip.Family // nil is the ESP32
	MAC      [6]byte      // zero: 24:0a:c4:01:02:03
	Revision int          // of the ESP32 1, 2, 3; 0 means the usual one; Rev0
	Minor    int          // of the revision: 1 of 3.1; 0 to 3
	Package  int          // CHIP_PACKAGE; 0 means 1 (D0WD)
	Coding   int          // CODING_SCHEME: 0 none, 1 3/4, 2 repeat, 3 none
	Crystal  int          // MHz: 40 or 26; 0 means 40
	Drift    float64      // error of the ROM's idea of the crystal: 0.02 is 2 % too fast

	FlashSize int    // bytes; 0 means 4 MiB, or what FlashID says
	FlashID   uint32 // RDID, manufacturer in the low byte; 0: a Winbond of FlashSize

	Words *Words // all fuses as stored, check words apart; nil: FactoryWords
	Flash []byte // content from address 0; the rest is erased

	NoLines      bool          // DTR and RTS are not wired: reset is a person's or a fixture's
	USBJTAG      bool          // the port is the chip's own USB-Serial-JTAG
	InLoader     bool          // GPIO0 is held low at power-on
	LoaderStraps byte          // GPIO_STRAP in the loader; 0 means the usual ones
	BootStraps   byte          // GPIO_STRAP when booting; 0 means the usual ones
	Rise         time.Duration // how long EN's capacitor holds the reset; 0 means 1 ms

	// Ready is what the application says when it is ready: its code does not run
	// here, so somebody who knows must say it. Empty: only the bundled example speaks.
	Ready string
	// Identity is what the application prints of its ID, with {id} where the ID
	// stands that it reads from its flash. Empty: nothing.
	Identity string
	// NVSKey is the block of the key for HMACs that the application makes the keys of its
	// NVS of, where there is no partition of keys. Empty: it makes none.
	NVSKey  string
	Console int // baud of the firmware's console, bootloader and application; 0 means 115200

	Bootloader Bootloader // which features the second-stage bootloader was built with
	Rollback   bool       // it was built with CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE
	Quiet      bool       // it was built with the log level None

	// Real leaves out the mark by which a station knows a virtual chip: for what
	// is held against real chips.
	Real bool

	Strict  bool          // refuses reads of ROM words that are not known
	Pace    bool          // real time: the line's baud rate and the flash's own times
	Latency time.Duration // added to every reply, as an adapter's latency timer does
	Times   Times         // zero: DefaultTimes

	State  string // folder with flash.bin, efuse.bin, chip.json; made if absent, wins over the fields above
	Faults []Fault

	// OnBurn is called at the instant when fuses change, with all words as
	// stored. The chip's lock is held: the function must not call the chip.
	OnBurn func(before, after Words)
}

// Bootloader tells how the second-stage bootloader in flash was built.
type Bootloader int

// Builds of the second-stage bootloader.
const (
	FromImage      Bootloader = iota // encrypting if its image contains the text "flash_encrypt"
	PlainBuild                       // knows nothing of flash encryption
	DevelopBuild                     // enables encryption by itself, one CNT bit at a time
	ReleaseBuild                     // enables encryption by itself for good
	RequiringBuild                   // refuses to boot unless encryption is already on
)

var defaultMAC = [6]byte{0x24, 0x0a, 0xc4, 0x01, 0x02, 0x03}

func (o Options) withDefaults() (Options, error) {
	if o.MAC == [6]byte{} {
		o.MAC = defaultMAC
	}
	o.Chip = chip.Known(o.Chip)
	si, err := siliconOf(o.Chip)
	if err != nil {
		return o, err
	}
	about := si.data()
	if o.Revision == 0 {
		o.Revision = about.revision
		if o.Minor == 0 {
			o.Minor = about.minor
		}
	}
	if o.Package == 0 && o.Chip == chip.ESP32 {
		o.Package = 1
	}
	if o.Crystal == 0 {
		o.Crystal = o.Chip.Crystals[len(o.Chip.Crystals)-1]
	}
	if o.FlashSize == 0 {
		o.FlashSize = sizeOfID(o.FlashID)
	}
	if o.FlashID == 0 {
		o.FlashID = idOfSize(o.FlashSize)
	}
	o.LoaderStraps = cmp.Or(o.LoaderStraps, about.inLoader)
	o.BootStraps = cmp.Or(o.BootStraps, about.inFlash)
	if o.Rise == 0 {
		o.Rise = time.Millisecond
	}
	if o.Times == (Times{}) {
		o.Times = DefaultTimes
	}
	return o, o.check()
}

func (o Options) check() error {
	si, err := siliconOf(o.Chip)
	if err != nil {
		return err
	}
	strap, later := si.data().strap, o.Chip != chip.ESP32
	switch {
	case o.Revision < Rev0 || o.Revision > 3:
		return fmt.Errorf("virtual chip: there is no revision %d", o.Revision)
	case o.Minor < 0 || o.Minor > 3 && !later || o.Minor > 15:
		return fmt.Errorf("virtual chip: there is no revision %d.%d", o.major(), o.Minor)
	case !slices.Contains(o.Chip.Crystals, o.Crystal):
		return fmt.Errorf("virtual chip: crystal %d MHz: want %s", o.Crystal, o.Chip.Summary().Crystals)
	case o.Coding < 0 || o.Coding > 3 || later && o.Coding != 0:
		return fmt.Errorf("virtual chip: there is no coding scheme %d", o.Coding)
	case o.FlashSize < sectorSize || o.FlashSize&(o.FlashSize-1) != 0 || o.FlashSize > 16<<20:
		return fmt.Errorf("virtual chip: flash of %d bytes: want a power of two from 4 KiB to 16 MiB", o.FlashSize)
	case len(o.Flash) > o.FlashSize:
		return fmt.Errorf("virtual chip: %d bytes of content for a flash of %d", len(o.Flash), o.FlashSize)
	case o.LoaderStraps&strap != 0 || o.BootStraps&strap == 0:
		return fmt.Errorf("virtual chip: straps %#x and %#x do not differ by GPIO0", o.LoaderStraps, o.BootStraps)
	}
	for _, f := range o.Faults {
		if err := f.check(o.Chip); err != nil {
			return err
		}
	}
	return nil
}

// major is the mask revision 0 to 3.
func (o Options) major() int { return max(o.Revision, 0) }

// FactoryWords are the fuses as the factory leaves them for a chip of these
// options: MAC, package and revision; on the ESP32 also the CRC of the MAC, 8 MHz
// calibration, ADC reference, coding scheme, and CONSOLE_DEBUG_DISABLE as on
// recent chips.
func FactoryWords(o Options) Words {
	o, _ = o.withDefaults()
	if o.Chip != chip.ESP32 {
		return newerFactory(o)
	}
	var w Words
	m := o.MAC
	w[1] = uint32(m[2])<<24 | uint32(m[3])<<16 | uint32(m[4])<<8 | uint32(m[5])
	w[2] = uint32(m[0])<<8 | uint32(m[1]) | uint32(crc8(m[:]))<<16
	set := func(name string, v uint32) { SetField(&w, name, v) }
	set("CHIP_PACKAGE", uint32(o.Package&7))
	set("CHIP_PACKAGE_4BIT", uint32(o.Package>>3))
	set("CHIP_CPU_FREQ_RATED", 1)
	set("CLK8M_FREQ", 0x33)
	set("ADC_VREF", 3)
	set("CODING_SCHEME", uint32(o.Coding))
	set("CONSOLE_DEBUG_DISABLE", 1)
	if o.major() >= 1 {
		set("CHIP_VER_REV1", 1)
	}
	if o.major() >= 2 {
		set("CHIP_VER_REV2", 1)
	}
	set("WAFER_VERSION_MINOR", uint32(o.Minor))
	return w
}

// blockStart is where each block begins among the 31 words.
var blockStart = [4]int{0, 7, 15, 23}

// crc8 is the Dallas/Maxim CRC over the MAC in transmission order.
func crc8(b []byte) (crc byte) {
	for _, v := range b {
		crc ^= v
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0x8c
			} else {
				crc >>= 1
			}
		}
	}
	return crc
}
