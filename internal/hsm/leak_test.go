package hsm_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
	"station/internal/secret"
)

// Whatever this package returns is printed in every way, and neither a key
// nor the PIN is in it.
func TestNothingPrintsAKeyOrThePIN(t *testing.T) {
	cfg := hsmtest.Known(t, hsmtest.Token(t, hsm.KEK, hsm.SharedKey, hsm.Signer), "station-master", hsmtest.Master)
	faulty, faults := hsmtest.Faulty(t, cfg)
	token := hsmtest.Open(t, faulty)
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	say := func(v any) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		if b, err := json.Marshal(v); err == nil {
			out.Write(b)
		}
		log.Info("x", "v", v)
	}
	pin := hsmtest.PIN(t, cfg)
	secrets := map[string][]byte{"PIN": []byte(pin), "master": hsmtest.Master}
	say(token)
	say(cfg)
	for _, p := range []hsm.Policy{hsm.Derived, hsm.Shared, hsm.Random} {
		r := hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: mac, Size: 32, Policy: p, Label: p.Role().Label()}
		k := deviceKey(t, token, r)
		secrets[string(p)] = k.Secret.Reveal()
		say(k)
		for _, fault := range []string{"C_Sign 0x5", "C_WrapKey 0x5", "C_UnwrapKey 0x110", "C_FindObjectsInit 0xb3"} {
			faults.Set(fault + " -1 0")
			_, err := token.DeviceKey(t.Context(), r)
			say(err)
		}
		faults.Set()
	}
	s, err := token.Status(t.Context(), hsm.Want{Role: hsm.Master, Label: "none"})
	say(s)
	say(err)
	say(s.Problems())
	wrong := cfg
	wrong.URI.PINSource = ""
	wrong.Prompt = func(string) (*secret.Bytes, error) { return secret.New([]byte("31415926535")) }
	if err := token.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = hsm.Open(wrong)
	wantError(t, err, hsm.ErrPIN)
	say(err)
	secrets["wrong PIN"] = []byte("31415926535")
	if out.Len() < 10_000 {
		t.Fatalf("only %d bytes were printed", out.Len())
	}
	for name, b := range secrets {
		for form, leak := range forms(b) {
			if strings.Contains(out.String(), leak) {
				t.Errorf("%s is in the output as %s", name, form)
			}
		}
	}
}

func forms(b []byte) map[string]string {
	return map[string]string{
		"bytes": string(b), "hex": hex.EncodeToString(b), "HEX": strings.ToUpper(hex.EncodeToString(b)),
		"base64": base64.RawStdEncoding.EncodeToString(b), "numbers": strings.Trim(fmt.Sprint(b), "[]"),
	}
}

// After its last use a key is nowhere in the memory of the process, the
// module's included, and after Close neither is the PIN.
func TestMemoryHoldsNoKey(t *testing.T) {
	cfg := hsmtest.Token(t, hsm.Master, hsm.KEK, hsm.SharedKey)
	masks := map[string][]byte{}
	hide := func(name string, b []byte) { // so that the test itself holds none
		mask := make([]byte, len(b))
		for i := range b {
			mask[i] = b[i] ^ 0x5a
		}
		masks[name] = mask
	}
	func() {
		page := pinPage(t, cfg)
		defer page.Destroy()
		hide("PIN", page.Reveal())
	}()
	token, err := hsm.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	live := func() (found []string) {
		for _, size := range []int{32, 24, 64} {
			for _, p := range []hsm.Policy{hsm.Derived, hsm.Random, hsm.Shared} {
				if p == hsm.Shared && size != 32 {
					continue
				}
				k, err := token.DeviceKey(t.Context(), hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: mac, Size: size, Policy: p, Label: p.Role().Label()})
				if err != nil {
					t.Fatal(err)
				}
				name := fmt.Sprint(p, size)
				hide(name, k.Secret.Reveal())
				if size == 32 && p == hsm.Derived {
					found = search(t, masks)
				}
				k.Secret.Destroy()
			}
		}
		return found
	}()
	slices.Sort(live)
	if got := strings.Join(live, " "); got != "PIN derived32" {
		t.Errorf("while in use the search finds %q, want the PIN and the key, once each", got)
	}
	if err := token.Close(); err != nil {
		t.Fatal(err)
	}
	if found := search(t, masks); len(found) != 0 {
		t.Errorf("still in memory: %q", found)
	}
}

// pinPage reads the PIN's file past the heap.
func pinPage(t *testing.T, cfg hsm.Config) *secret.Bytes {
	t.Helper()
	f, err := os.Open(strings.TrimPrefix(cfg.URI.PINSource, "file:"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	page, err := secret.Make(20)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.Read(page.Reveal()); n != 20 || err != nil {
		t.Fatal(n, err)
	}
	return page
}

const chunk, overlap = 1 << 20, 64

// search looks through all writable memory of this process and names what it
// finds. Its own buffer is a page of a secret, overwritten at the end.
func search(t *testing.T, masks map[string][]byte) (found []string) {
	t.Helper()
	runtime.GC()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	window, err := secret.Make(chunk + overlap)
	if err != nil {
		t.Fatal(err)
	}
	defer window.Destroy()
	searched := 0
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var perms string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &from, &to, &perms); n != 3 || !strings.HasPrefix(perms, "rw") || strings.Contains(line, "[v") {
			continue
		}
		if to-from > 1<<30 { // the race detector's notes, which hold no data
			continue
		}
		for ; from < to; from += chunk {
			b := window.Reveal()[:min(chunk+overlap, to-from)]
			clear(window.Reveal())
			n, err := mem.ReadAt(b, from)
			if err != nil && n == 0 {
				continue // a page that may not be read, or the window itself
			}
			searched += n
			for name, mask := range masks {
				for range count(b[:n], mask) {
					found = append(found, name)
				}
			}
		}
	}
	if searched < 1<<20 {
		t.Fatalf("only %d bytes of memory could be searched", searched)
	}
	return found
}

// count finds what mask hides, without having more of it than its first byte.
// Hits that begin in the overlap are the next window's.
func count(b, mask []byte) (n int) {
next:
	for i := 0; i+len(mask) <= len(b) && i < chunk; i++ {
		skip := bytes.IndexByte(b[i:], mask[0]^0x5a)
		if i += skip; skip < 0 || i >= chunk || i+len(mask) > len(b) {
			break
		}
		for j, m := range mask {
			if b[i+j]^0x5a != m {
				continue next
			}
		}
		n++
	}
	return n
}
