// The cipher of the flash: AES-256 decryption of each 16 bytes, mirrored, under a
// key of which bits are flipped by bits 5 to 23 of the address, one key for 32
// bytes (ESP-IDF, "Flash Encryption").
#include "loader.h"

#define LOW 5
#define HIGH 23
#define BITS (HIGH - LOW + 1)

// Lies first in the data: docs/loader.md says where the key is.
static struct {
	u32 key[8];           // for the address of the unit in hand
	u32 flips[BITS][8];   // what each bit of an address flips
	u32 addr, ready;
} held __attribute__((section(".bss.key")));

void crypt_begin(void) {
	DPORT_CLOCK |= AES_UNIT;
	DPORT_RESET &= ~(AES_UNIT | AES_HOLDERS);
}

// flip notes that an address bit flips a bit of the key; 0 is the top bit of its
// first byte.
static void flip(u32 addr_bit, u32 n) { held.flips[addr_bit - LOW][n >> 5] ^= 1u << ((n & 24) + 7 - (n & 7)); }

// quarter is the part of the key from bit n to end: three times bits 23 to 5, then
// the lowest, as many as are left.
static void quarter(u32 n, u32 end) {
	u32 bit = HIGH;
	for (u32 runs = 0; n < end; n++, bit--) {
		flip(bit, n);
		if (bit == LOW) bit = ++runs < 3 ? HIGH + 1 : LOW + end - n - 1;
	}
}

void crypt_key(const u8 *key, u32 length, u32 config) {
	crypt_wipe();
	u8 *to = (u8 *)held.key;
	for (u32 i = 0; i < 32; i++) to[i] = key[i < length ? i : i - 16]; // of 24 bytes, 8 to 15 follow once more
	if (config & 1) quarter(0, 67);
	wire_poll();
	if (config & 2) quarter(67, 132);
	if (config & 4) quarter(132, 195);
	wire_poll();
	if (config & 8) quarter(195, 256);
	held.ready = 1;
	AES_MODE = AES_DECRYPT_256;
}

u32 crypt_ready(void) { return held.ready; }

// turn makes the key that of an address.
static void turn(u32 addr) {
	u32 changed = (addr ^ held.addr) >> LOW;
	held.addr = addr;
	for (const u32 *f = held.flips[0]; changed; changed >>= 1, f += 8)
		if (changed & 1) {
			held.key[0] ^= f[0], held.key[1] ^= f[1], held.key[2] ^= f[2], held.key[3] ^= f[3];
			held.key[4] ^= f[4], held.key[5] ^= f[5], held.key[6] ^= f[6], held.key[7] ^= f[7];
		}
	for (u32 i = 0; i < 8; i++) AES_KEY[i] = held.key[i];
}

// feed has the unit decrypt 16 bytes; collect waits for what becomes of them.
static inline void feed(u32 a, u32 b, u32 c, u32 d) {
	AES_TEXT[0] = d, AES_TEXT[1] = c, AES_TEXT[2] = b, AES_TEXT[3] = a;
	AES_START = 1;
}

static inline void collect(u32 *stored) {
	for (u32 n = 0; !AES_IDLE;)
		if (++n > 1000) fail(AES_STUCK);
	stored[0] = swap(AES_TEXT[3]), stored[1] = swap(AES_TEXT[2]), stored[2] = swap(AES_TEXT[1]), stored[3] = swap(AES_TEXT[0]);
}

void crypt_units(u32 addr, const u32 *plain, u32 *stored) {
	for (u32 i = 0; i < CHUNK / 4; i += 8, plain += 8, stored += 8) {
		turn(addr + 4 * i);
		feed(swap(plain[0]), swap(plain[1]), swap(plain[2]), swap(plain[3]));
		u32 a = swap(plain[4]), b = swap(plain[5]), c = swap(plain[6]), d = swap(plain[7]); // while it works
		collect(stored);
		feed(a, b, c, d);
		collect(stored + 4);
	}
}

void crypt_wipe(void) {
	volatile u32 *p = (volatile u32 *)&held;
	for (u32 i = 0; i < sizeof held / 4; i++) p[i] = 0;
	for (u32 i = 0; i < 8; i++) AES_KEY[i] = 0;
	for (u32 i = 0; i < 4; i++) AES_TEXT[i] = 0;
}
