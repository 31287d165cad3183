package firmware

// rule says whether flash encryption needs something encrypted, and why.
// (ESP-IDF, "Flash Encryption"; esp_partition, load_partitions)
type rule struct {
	applies func(p *planner, x *piece) bool
	encrypt bool
	because string
}

// rules are asked in order; the last one applies to everything.
var rules = []rule{
	{(*planner).isBootloader, true, "the ROM decrypts the bootloader"},
	{(*planner).isTable, true, "the bootloader decrypts the partition table"},
	{func(p *planner, x *piece) bool { return x.Address < p.chip.Bootloader }, true, "the ROM decrypts the secure boot digest"},
	{inPartition(func(p Partition) bool { return p.Type == TypeApp }), true, "apps are always decrypted"},
	{inPartition(func(p Partition) bool { return p.Type == TypeBootloader || p.Type == TypeTable }), true, "bootloaders and partition tables are always decrypted"},
	{inPartition(func(p Partition) bool { return p.Is("data", "ota") || p.Is("data", "tee_ota") }), true, "otadata is always decrypted"},
	{inPartition(func(p Partition) bool { return p.Is("data", "nvs_keys") }), true, "NVS keys are always decrypted"},
	{inPartition(func(p Partition) bool { return p.Flags&FlagEncrypted != 0 }), true, "its partition has the flag encrypted"},
	{inPartition(func(p Partition) bool { return p.Is("data", "nvs") }), false, "NVS cannot work through flash encryption"},
	{inPartition(func(Partition) bool { return true }), false, "its partition does not have the flag encrypted, so the app would read it as it is"},
}

func inPartition(is func(Partition) bool) func(*planner, *piece) bool {
	return func(_ *planner, x *piece) bool { return x.partition != nil && is(*x.partition) }
}

// scope decides whether the piece is encrypted; what the layout says against
// the rules is a fault.
func (p *planner) scope(x *piece) {
	said := x.Encrypt != nil
	if !p.Encrypted {
		if said && *x.Encrypt {
			p.in(x.File, "is to be encrypted, but the chip will not have flash encryption; drop encrypt")
		}
		return
	}
	for _, r := range rules {
		if !r.applies(p, x) {
			continue
		}
		x.encrypt = r.encrypt
		switch {
		case said && r.encrypt && !*x.Encrypt:
			p.in(x.File, "is to stay plain, but %s; drop encrypt = false", r.because)
		case said && !r.encrypt && *x.Encrypt:
			p.in(x.File, "is to be encrypted, but %s; drop encrypt = true", r.because)
		}
		return
	}
	switch {
	case said:
		x.encrypt = *x.Encrypt
	case p.Plan.Table != nil:
		p.in(x.File, "at %#x is in no partition; write encrypt = true or encrypt = false", x.Address)
	}
}
