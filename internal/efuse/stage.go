package efuse

import (
	"fmt"
	"slices"
)

// The stages of a plan, in the order in which they are burned.
const (
	StageKey         = "key"              // the key, into BLOCK1, still readable
	StageProtect     = "key-protect"      // BLOCK1 compared, then hidden and frozen
	StageBootKey     = "boot-key"         // key or digest of secure boot, into BLOCK2
	StageBootProtect = "boot-key-protect" // BLOCK2 compared, frozen, and hidden if it is a key
	StageHMACKey     = "hmac-key"         // a key that firmware has HMACs computed with, into the block that it names
	StageHMACProtect = "hmac-key-protect" // that block compared, then hidden and frozen
	StageConfig      = "config"           // what must be right before encryption is on
	StageCount       = "count"            // FLASH_CRYPT_CNT: encryption on
	StageBootOn      = "boot-on"          // secure boot on
	StageLock        = "lock"             // write protections of the job
	StageFreeze      = "freeze"           // WR_DIS itself
	StageUART        = "uart"             // UART_DOWNLOAD_DIS: the end of serial access

	// StageGiveUp is in no job's plan: what can be read of keys in a chip that is given up, hidden and frozen.
	StageGiveUp = "key-left"
)

var stageNames = []string{StageKey, StageProtect, StageBootKey, StageBootProtect, StageHMACKey, StageHMACProtect, StageConfig, StageCount, StageBootOn, StageLock, StageFreeze, StageUART}

// stagesWith are the stages of a plan whose key for flash encryption has so many parts,
// and with so many keys or digests for secure boot and keys for HMACs: all but the first
// have a number.
func stagesWith(flash, boot, hmac int) []string {
	list := slices.Clone(stageNames)
	more := func(key, protect string, parts int) {
		at := slices.Index(list, protect) + 1
		for n := 1; n < parts; n++ {
			list = slices.Insert(list, at, Numbered(key, n), Numbered(protect, n))
			at += 2
		}
	}
	more(StageKey, StageProtect, flash)
	more(StageBootKey, StageBootProtect, boot)
	more(StageHMACKey, StageHMACProtect, hmac)
	return list
}

// Numbered is the stage of the key, part or digest n, from 0.
func Numbered(stem string, n int) string {
	if n == 0 {
		return stem
	}
	return fmt.Sprintf("%s-%d", stem, n+1)
}
