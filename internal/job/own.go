package job

import (
	"bytes"
	"fmt"
	"slices"

	"station/internal/chip"
	"station/internal/firmware"
	"station/internal/identity"
	"station/internal/secret"
	"station/internal/secureboot"
)

// Own is what the regions of one device are made of besides the job: its MAC, keys and values.
type Own struct {
	MAC     chip.MAC
	BootKey *secret.Bytes    // for secure boot version 1
	Values  *identity.Values // nil: what holds the identity is left out
	NVSKeys *secret.Bytes    // where its NVS is encrypted for itself, with keys in a partition
	HMACKey *secret.Bytes    // where the chip makes these keys of its key for HMACs
}

// Regions are the regions of one device. Whoever has them destroys them.
type Regions struct {
	List    []firmware.Region
	secrets []*secret.Bytes
}

// Destroy overwrites what is secret in the regions.
func (r Regions) Destroy() {
	for _, s := range r.secrets {
		s.Destroy()
	}
}

// RegionsFor are the job's regions for one device: what is of its own is made
// of its key for secure boot and of its identity. The same device always gets
// the same bytes.
func (j *Job) RegionsFor(own Own) (r Regions, err error) {
	r.List = slices.Clone(j.Regions)
	defer func() {
		if err != nil {
			r.Destroy()
		}
	}()
	if j.SecureBoot.Version == 1 {
		boot := r.List[j.bootloader(r.List)]
		digest, err := secureboot.BootloaderDigest(boot.Data, own.BootKey, secureboot.IVOf(own.MAC[:], boot.Data))
		if err != nil {
			return r, fmt.Errorf("bootloader digest: %w", err)
		}
		r.hold(DigestName, "", digest)
	}
	if j.Identity == nil {
		return r, nil
	}
	return r, j.Identity.fill(&r, own)
}

// hold gives the region of a device that has this name and partition its bytes.
func (r Regions) hold(name, partition string, data []byte) {
	for n := range r.List {
		if one := &r.List[n]; one.PerDevice && one.Name == name && one.Partition == partition {
			one.Hold(data)
		}
	}
}

// fill makes what holds the identity, or leaves it out.
func (i *Identity) fill(r *Regions, own Own) error {
	if own.Values == nil {
		r.List = slices.DeleteFunc(r.List, func(one firmware.Region) bool { return one.PerDevice && one.Partition != "" })
		return nil
	}
	at := slices.IndexFunc(r.List, func(one firmware.Region) bool { return one.PerDevice && one.Partition == i.Partition })
	image, err := i.image(own.Values, r.List[at].Size)
	if err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	r.secrets = append(r.secrets, image)
	if i.HMAC {
		made, err := identity.KeysOfHMAC(own.HMACKey)
		if err != nil {
			return fmt.Errorf("identity: NVS keys: %w", err)
		}
		defer made.Destroy()
		own.NVSKeys = made
	}
	if i.forItself() {
		if err := identity.EncryptNVS(image, own.NVSKeys); err != nil {
			return err
		}
	}
	if i.Keys != "" {
		keys, err := identity.NVSKeys(own.NVSKeys)
		if err != nil {
			return err
		}
		r.secrets = append(r.secrets, keys)
		r.hold(i.Keys, i.Keys, keys.Reveal())
	}
	r.hold(i.Partition, i.Partition, image.Reveal())
	return nil
}

// image is the partition of a device, before NVS is encrypted for itself.
func (i *Identity) image(v *identity.Values, size int) (*secret.Bytes, error) {
	if i.Kind == kindNVS {
		return i.template.NVS(size, v)
	}
	return v.SecureCert(size)
}

// filled are n bytes of erased flash.
func filled(n int) []byte { return bytes.Repeat([]byte{0xff}, n) }
