package words

import (
	"station/internal/board"
	"station/internal/flow"
	"station/internal/record"
)

// English leaves sentences of failures to the flow, which speaks it.
var English = Language{
	Steps: map[flow.StepID]string{
		"connect": "Connect", "admit": "Check", "key": "Make key", "flash": "Write flash",
		"burn-key": "Burn key", "burn-crypt": "Burn encryption", "burn-boot": "Burn secure boot", "boot": "Start firmware",
		"lock": "Lock", "last-boot": "Last start", "seal": "Seal", "bind": "Scan serial", "give-up": "Hide the rest of a key",
	},
	Hints: map[board.HintKind]string{
		board.CheckContacts: "slot %[1]s failed %[2]d of its last %[3]d: check its contacts",
		board.CheckCable:    "slot %[1]s had bad data in %[2]d of its last %[3]d: check its cable",
		board.CheckSupply:   "slot %[1]s lost power in %[2]d of its last %[3]d: check its supply",
	},
	Passed: "Sealed.", Already: "Sealed before, all is right.", Remove: "Take the device out.", Free: "Taken out. Ready for the next device.",
	Taken: "Taken out.", PutBack: "Put it back.", PutBackMAC: "Put %[1]s back.", NextByHand: "Then the next one: %[1]s",
	Shorts: map[record.Verdict]string{
		record.Pass: "Take it out.", record.Retry: "Put it back.", record.Scrap: "Scrap box.", record.Quarantine: "Set it aside.",
		record.Station: "Call an engineer.",
	},
	Ready: "READY", Empty: "EMPTY", PlugIn: "Plug a device in.",
	Hands: map[flow.Hand]string{
		flow.HandLoader: "Hold BOOT, press EN (reset), let go of BOOT.",
		flow.HandApp:    "Press EN (reset) once.",
	},
	DoNotUnplug: "DO NOT UNPLUG", ScanNow: "Scan the serial number of this device.",
	Waits: "Waits: the devices before this one are burned first.", WaitsStopped: "Waits: the line has stopped.", Left: "%[1]s left",
	Step: "step %[1]d of %[2]d", Visit: "visit %[1]d", PassedOf: "%[1]d of %[2]d passed", Sec: "%[1]s s", Slot: "slot %[1]s", Station: "station",
	Job: "job", Batch: "batch", Operator: "operator", Simulation: "SIMULATION: nothing real is touched",
	Paused: "PAUSED: no new device is started", Ended: "FINISHED: the line has stopped", Done: "done %[1]d", DoneOf: "done %[1]d of %[2]d",
	FirstPass: "first pass %[1]s", PerHour: "%[1]s an hour", PerDevice: "%[1]s s each", SealedBefore: "sealed before %[1]d",
	VirtualVisits: "virtual chips %[1]d", NoFailures: "no failures", Fault: "NO NEW DEVICE IS STARTED: %[1]s",
	Undeclared: "NOBODY OPENED BATCH %[1]s: no quota, any job",
	Meaning: map[record.Verdict]string{
		record.Pass:       "The device is sealed. Take it out.",
		record.Retry:      "Nothing is lost. Put the device back.",
		record.Scrap:      "A fuse holds what it must not. Scrap box.",
		record.Quarantine: "Device and records disagree. Set it aside for an engineer.",
		record.Station:    "Not the device's fault: the station needs help.",
	},
}
