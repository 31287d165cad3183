package tui

import (
	"station/internal/board"
	"station/internal/flow"
	"station/internal/record"
)

// english leaves sentences and steps to the flow, which speaks it.
var english = language{
	steps: map[flow.StepID]string{
		"connect": "Connect", "admit": "Check", "key": "Make key", "flash": "Write flash",
		"burn-key": "Burn key", "burn-crypt": "Burn encryption", "burn-boot": "Burn secure boot", "boot": "Start firmware",
		"lock": "Lock", "last-boot": "Last start", "seal": "Seal", "bind": "Scan serial",
	},
	fuses: map[string]string{
		"WR_DIS":                "%[1]s can never be written again",
		"RD_DIS":                "%[1]s can never be read again, only used by the chip",
		"BLOCK1":                "the device's own flash encryption key",
		"BLOCK2":                "what secure boot checks the bootloader with",
		"ABS_DONE_0":            "the chip starts no bootloader but the one whose digest it has",
		"ABS_DONE_1":            "the chip starts only what is signed",
		"FLASH_CRYPT_CNT":       "the flash is encrypted from here on; all bits: for ever",
		"FLASH_CRYPT_CONFIG":    "the key differs from flash address to flash address",
		"UART_DOWNLOAD_DIS":     "the serial loader is closed for ever",
		"JTAG_DISABLE":          "JTAG is closed for ever",
		"DISABLE_DL_ENCRYPT":    "the serial loader can no longer encrypt",
		"DISABLE_DL_DECRYPT":    "the serial loader can no longer decrypt",
		"DISABLE_DL_CACHE":      "the serial loader can no longer read the flash decrypted",
		"CONSOLE_DEBUG_DISABLE": "the BASIC in the chip's ROM is closed for ever",
	},
	hints: map[board.HintKind]string{
		board.CheckContacts: "slot %[1]s failed %[2]d of its last %[3]d: check its contacts",
		board.CheckCable:    "slot %[1]s had bad data in %[2]d of its last %[3]d: check its cable",
		board.CheckSupply:   "slot %[1]s lost power in %[2]d of its last %[3]d: check its supply",
	},

	passed: "Sealed.", already: "Sealed before, all is right.", remove: "Take the device out.",
	free: "Taken out. Ready for the next device.", taken: "Taken out.",
	putBack: "Put it back.", putBackMAC: "Put %[1]s back.", owed: "Put back: %[1]s", nextByHand: "Then the next one: %[1]s",
	shorts: map[record.Verdict]string{
		record.Pass: "Take it out.", record.Retry: "Put it back.", record.Scrap: "Scrap box.", record.Quarantine: "Set it aside.",
		record.Station: "Call an engineer.",
	},
	scanShort: "SCAN NOW", scanLater: "waits for its scan", scanAfter: "Its serial number comes later: first slot %[1]s.", ready: "READY", empty: "EMPTY", plugIn: "Plug a device in.",
	hands: map[flow.Hand]string{
		flow.HandLoader: "Hold BOOT, press EN (reset), let go of BOOT.",
		flow.HandApp:    "Press EN (reset) once.",
	},
	doNotUnplug: "DO NOT UNPLUG", holdShort: "DO NOT UNPLUG", scanNow: "Scan the serial number of this device.", ackNow: "Seen? Press %[1]s.",
	waits: "Waits: the devices before this one are burned first.", waitsStopped: "Waits: the line has stopped.",
	left: "%[1]s left", step: "step %[1]d of %[2]d", visit: "visit %[1]d", passedOf: "%[1]d of %[2]d passed", sec: "%[1]s s", slot: "slot %[1]s",
	space: "Space", enter: "Enter", esc: "Esc", arrows: "arrows",

	station: "station", job: "job", batch: "batch", operator: "operator",
	simulation: "SIMULATION: nothing real is touched", paused: "PAUSED: no new device is started",
	stopping: "STOPPING: waits for %[1]s", stoppingHeld: "STOPPING: fuses are burned in %[1]s. DO NOT UNPLUG",
	ended: "FINISHED: the line has stopped", done: "done %[1]d", doneOf: "done %[1]d of %[2]d",
	firstPass: "first pass %[1]s", perHour: "%[1]s an hour", perDevice: "%[1]s s each", sealedBefore: "sealed before %[1]d",
	virtualVisits: "virtual chips %[1]d", cause: "%[1]s.", slots: "slots %[1]s",
	noFailures: "no failures", failed: "failed %[1]d", setAside: "set aside %[1]d",
	hsm: "HSM", ledger: "ledger", disk: "disk", site: "site", head: "head", fault: "NO NEW DEVICE IS STARTED: %[1]s",
	serialNext: "Serial for the next device:", serialFor: "Serial for slot %[1]s:", bound: "Serial %[1]s belongs to slot %[2]s.",
	boundNext: "%[1]s. Plug the device in (%[2]s takes the number back).", scanEmpty: "scan it now",
	serialShape: "%[1]s is no serial number of this job. Scan again.", serialTaken: "%[1]s belongs to %[2]s already. Scan another one.",
	serialGiven: "%[1]s was scanned for another device. Scan another one.", serialPending: "%[1]s waits for the next device: plug it in, or press %[2]s.",
	serialUnasked: "Nobody asks for %[1]s any more. Scan again.",
	undeclared:    "NOBODY OPENED BATCH %[1]s: no quota, any job",
	tooSmall:      "Make the window larger.", more: "slots %[1]d to %[2]d of %[3]d",

	kAck: "seen", kSelect: "choose slot", kDetails: "details", kRetry: "try again", kMute: "mute", kSound: "sound on",
	kHistory: "history", kPause: "pause", kGoOn: "go on", kHelp: "help", kQuit: "quit", kBack: "back", kOK: "OK",
	kChoose: "choose", kTab: "next page", kScroll: "scroll", kErase: "erase", kFaster: "faster", kSlower: "slower",
	kNext: "next result", kLeave: "leave", kSure: "yes, stop the line",
	kDismiss: "will not come back", kMended: "the cause is found, go on",

	chooseJob: "Which job?", askOperator: "Who works at this station?", operatorHow: "Scan your badge or type your ID, then press Enter.",
	askPIN: "PIN of the key token", pinHow: "Type it, then press Enter. It is not shown.", wait: "Please wait.",
	planTitle: "Burn plan of %[1]s, revision %[2]s",
	planIntro: "Written and burned into every device. A burned fuse can never be undone.",
	planOld:   "now", planNew: "then", planWhat: "what it means",
	planAsk:  "To approve, type the first %[1]d characters of the digest:",
	planMode: "Mode %[1]s", planImages: "Written to the flash", planSettings: "Settings", planFuses: "Burned for ever",
	modes:     map[string]string{"release": "Closed: encryption can never be switched off.", "development": "OPEN: the flash may be rewritten over the serial port."},
	planWrong: "%[1]s is not how the digest begins: type %[2]d characters.",
	planWho:   "Who approves this? Not the operator: scan your badge or type your ID.",
	planWhoOf: "The operator may not approve this. Scan the badge, or type the ID, of one who may: %[1]s.",
	planMore:  "More follows. Scroll down to the end first.", planForEver: "Approved once for this revision at this station, with your ID in the ledger.", approve: "approve",
	historyTitle: "Devices of the day; a whole MAC or serial number finds its other days", historyAsk: "MAC or serial:", historyNone: "No device found.",
	columns:     [7]string{"time", "result", "MAC", "serial", "slot", "code", "s"},
	detailTitle: "Slot %[1]s", tabLog: "Log", tabFuses: "Fuses", tabBoot: "Boot log", nothing: "Nothing is known.",
	fuseField: "fuse", fuseBefore: "before", fuseAfter: "after",
	helpTitle: "Help", helpKeys: "Keys that work now", helpSigns: "What the tiles say",
	meaning: map[record.Verdict]string{
		record.Pass:       "The device is sealed. Take it out.",
		record.Retry:      "Nothing is lost. Put the device back.",
		record.Scrap:      "A fuse holds what it must not. Scrap box.",
		record.Quarantine: "Device and records disagree. Set it aside for an engineer.",
		record.Station:    "Not the device's fault: the station needs help.",
	},
	meaningHeld: "Fuses are being burned. Wait for the result.",
	goOnTitle:   "Let the line go on?",
	goOnHow:     "This is for an engineer. If the cause is still there, as many devices are lost again.",
	quitTitle:   "Stop the line?", quitIdle: "No device is being worked on.",
	quitBusy:    "Devices at work: %[1]d. Each is stopped and can be put back later.",
	quitHeld:    "Devices with burned fuses: %[1]d. Each is finished first. DO NOT UNPLUG.",
	replaySpeed: "REPLAY %[1]s at %[2]s times the speed", replayPaused: "REPLAY %[1]s, paused", replayEnd: "REPLAY: this is the end",
}
