package firmware

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"unicode"
)

// AppDescriptor is what an app says of itself (esp_app_desc_t).
type AppDescriptor struct {
	SecureVersion uint32 `json:"secureVersion"` // for anti-rollback
	Version       string `json:"version"`
	Project       string `json:"project"`
	Time          string `json:"time"`
	Date          string `json:"date"`
	IDF           string `json:"idf"`
	ELFSHA256     string `json:"elfSha256"`
}

// BootloaderDescriptor is what a second-stage bootloader says of itself
// (esp_bootloader_desc_t; ESP-IDF 5.2 and later).
type BootloaderDescriptor struct {
	SecureVersion byte   `json:"secureVersion"`
	Version       uint32 `json:"version"`
	IDF           string `json:"idf"`
	Time          string `json:"time"`
}

const (
	appMagic         = 0xabcd5432
	appDescSize      = 256
	bootMagic        = 0x50
	bootDescSize     = 80
	appVersionAt     = 16
	appProjectAt     = 48
	appTimeAt        = 80
	appDateAt        = 96
	appIDFAt         = 112
	appELFAt         = 144
	bootVersionAt    = 4
	bootIDFAt        = 8
	bootTimeAt       = 40
	bootReservedAt   = 64
	bootSecureAt     = 3
	appSecureAt      = 4
	appPageAt        = 180 // log2 of the page of the flash cache
	descriptorString = 32
)

// parseApp returns nil where the first segment has no app descriptor.
func parseApp(b []byte) *AppDescriptor {
	if len(b) < appDescSize || binary.LittleEndian.Uint32(b) != appMagic {
		return nil
	}
	return &AppDescriptor{
		SecureVersion: binary.LittleEndian.Uint32(b[appSecureAt:]),
		Version:       text(b[appVersionAt : appVersionAt+descriptorString]),
		Project:       text(b[appProjectAt : appProjectAt+descriptorString]),
		Time:          text(b[appTimeAt:appDateAt]),
		Date:          text(b[appDateAt:appIDFAt]),
		IDF:           text(b[appIDFAt:appELFAt]),
		ELFSHA256:     hex.EncodeToString(b[appELFAt : appELFAt+32]),
	}
}

// ParseDescriptor reads an app descriptor that stands alone, nil where it is none.
func ParseDescriptor(b []byte) *AppDescriptor { return parseApp(b) }

// parseBootloader returns nil where the first segment has no bootloader
// descriptor. Its magic is one byte, so the reserved bytes and the version
// text must look right too.
func parseBootloader(b []byte) *BootloaderDescriptor {
	if len(b) < bootDescSize || b[0] != bootMagic || b[1] != 0 || b[2] != 0 {
		return nil
	}
	idf := text(b[bootIDFAt:bootTimeAt])
	if !strings.HasPrefix(idf, "v") && !strings.Contains(idf, ".") {
		return nil
	}
	return &BootloaderDescriptor{
		SecureVersion: b[bootSecureAt],
		Version:       binary.LittleEndian.Uint32(b[bootVersionAt:]),
		IDF:           idf,
		Time:          text(b[bootTimeAt:bootReservedAt]),
	}
}

// text is a C string made fit for a terminal.
func text(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
