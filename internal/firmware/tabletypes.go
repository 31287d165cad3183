package firmware

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Type is a partition's type. 0x40 to 0xFE belong to the application.
type Type byte

// The types that ESP-IDF knows.
const (
	TypeApp        Type = 0
	TypeData       Type = 1
	TypeBootloader Type = 2
	TypeTable      Type = 3
)

var types = map[string]Type{
	"app": TypeApp, "data": TypeData, "bootloader": TypeBootloader, "partition_table": TypeTable,
}

// otaSlots is how many OTA slots a table can have: ota_0 is subtype 0x10.
const (
	otaSlots = 16
	otaFirst = 0x10
)

// dataUndefined is the subtype of a partition that names none.
const dataUndefined = 0x06

// minReadWriteNVS is the least size of an nvs partition that can be written.
const minReadWriteNVS = 3 * SectorSize

// appSubtypeWords is what an error offers.
const appSubtypeWords = "factory, test or ota_0 to ota_15"

var subtypes = map[Type]map[string]byte{
	TypeApp: appSubtypes(),
	TypeData: {
		"ota": 0x00, "phy": 0x01, "nvs": 0x02, "coredump": 0x03, "nvs_keys": 0x04, "efuse": 0x05, "undefined": dataUndefined,
		"esphttpd": 0x80, "fat": 0x81, "spiffs": 0x82, "littlefs": 0x83, "tee_ota": 0x90, "tee_sec_stg": 0x91,
	},
	TypeBootloader: {"primary": 0x00, "ota": 0x01, "recovery": 0x02},
	TypeTable:      {"primary": 0x00, "ota": 0x01},
}

func appSubtypes() map[string]byte {
	m := map[string]byte{"factory": 0x00, "test": 0x20, "tee_0": 0x30, "tee_1": 0x31}
	for n := range otaSlots {
		m[fmt.Sprintf("ota_%d", n)] = byte(otaFirst + n)
	}
	return m
}

var flags = []struct {
	name string
	bit  uint32
}{{"encrypted", FlagEncrypted}, {"readonly", FlagReadonly}}

func (t Type) String() string {
	for name, v := range types {
		if v == t {
			return name
		}
	}
	return fmt.Sprintf("%#02x", byte(t))
}

// MarshalText writes the name, or the number in hex where there is none.
func (t Type) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// SubtypeName is the subtype as a CSV has it.
func (p Partition) SubtypeName() string {
	for name, v := range subtypes[p.Type] {
		if v == p.Subtype {
			return name
		}
	}
	return fmt.Sprintf("%#02x", p.Subtype)
}

// alignment is where partitions of the type may begin.
func (t Type) alignment() int64 {
	if t == TypeApp {
		return pageSize // the flash cache maps apps in pages
	}
	return SectorSize
}

// fixed reports the bootloader and the table themselves, which a table may
// list: they have their place and are not part of the sequence.
func (p Partition) fixed() bool {
	return (p.Type == TypeBootloader || p.Type == TypeTable) && p.Subtype == 0
}

// otaSlot is the number of an OTA app slot, -1 for anything else.
func (p Partition) otaSlot() int {
	if n := int(p.Subtype) - otaFirst; p.Type == TypeApp && n >= 0 && n < otaSlots {
		return n
	}
	return -1
}

// words lists the names of a table for an error.
func words[V any](m map[string]V) string {
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}
