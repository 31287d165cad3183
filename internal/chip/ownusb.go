package chip

// OwnUSB are the registers of what a reset through the chip's own USB-Serial-JTAG leaves
// as no loader can work with (docs/chips.md): the watchdog of its RTC and the super watchdog,
// which run on, each behind a write protection that a key opens; and, on some chips, a flag that
// sends every later reset into the loader too. All zero on a chip without such a port.
type OwnUSB struct {
	Watchdog, Protect      uint32
	Super, SuperProtect    uint32
	SuperKey, SuperFeeding uint32 // SuperFeeding is the bit by which it feeds itself
	Force                  uint32 // bit 0 is the flag; 0 where there is none
}

// WatchdogKey opens the protection of the RTC's watchdog.
const WatchdogKey = 0x50d8_3aa1

// rtcUSB are the registers of the chips whose watchdogs belong to the RTC.
func rtcUSB(watchdog, protect, super, force uint32) OwnUSB {
	return OwnUSB{Watchdog: watchdog, Protect: protect, Super: super, SuperProtect: super + 4, SuperKey: 0x8f1d_312a, SuperFeeding: 1 << 31, Force: force}
}

// lpUSB are the registers of the chips that have them in a block of the low-power side.
func lpUSB(base, protect uint32) OwnUSB {
	return OwnUSB{Watchdog: base, Protect: base + protect, Super: base + protect + 4, SuperProtect: base + protect + 8, SuperKey: WatchdogKey, SuperFeeding: 1 << 18}
}

// Calm is what is written as soon as the loader answers, before a watchdog bites.
func (u OwnUSB) Calm() []RegWrite {
	if u.Watchdog == 0 {
		return nil
	}
	writes := []RegWrite{
		Set(u.Protect, WatchdogKey), Set(u.Watchdog, 0), Set(u.Protect, 0),
		Set(u.SuperProtect, u.SuperKey), {Addr: u.Super, Value: u.SuperFeeding, Mask: u.SuperFeeding}, Set(u.SuperProtect, 0),
	}
	if u.Force != 0 {
		writes = append(writes, RegWrite{Addr: u.Force, Value: 0, Mask: 1})
	}
	return writes
}
