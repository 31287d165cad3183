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
	if (config & 2) quarter(67, 132);
	if (config & 4) quarter(132, 195);
	if (config & 8) quarter(195, 256);
	held.ready = 1;
	AES_MODE = AES_DECRYPT_256;
}

u32 crypt_ready(void) { return held.ready; }

// turn makes the key that of an address.
static void turn(u32 addr) {
	u32 changed = (addr ^ held.addr) >> LOW;
	held.addr = addr;
	for (u32 *flips = held.flips[0]; changed; changed >>= 1, flips += 8)
		if (changed & 1)
			for (u32 i = 0; i < 8; i++) held.key[i] ^= flips[i];
	for (u32 i = 0; i < 8; i++) AES_KEY[i] = held.key[i];
}

static void block(const u32 *plain, u32 *stored) {
	for (u32 i = 0; i < 4; i++) AES_TEXT[i] = swap(plain[3 - i]);
	AES_START = 1;
	for (u32 n = 0; !AES_IDLE;)
		if (++n > 1000) fail(AES_STUCK);
	for (u32 i = 0; i < 4; i++) stored[i] = swap(AES_TEXT[3 - i]);
}

void crypt_units(u32 addr, const u32 *plain, u32 *stored) {
	for (u32 i = 0; i < CHUNK / 4; i += 8) {
		turn(addr + 4 * i);
		block(plain + i, stored + i);
		block(plain + i + 4, stored + i + 4);
	}
}

void crypt_wipe(void) {
	volatile u32 *p = (volatile u32 *)&held;
	for (u32 i = 0; i < sizeof held / 4; i++) p[i] = 0;
	for (u32 i = 0; i < 8; i++) AES_KEY[i] = 0;
	for (u32 i = 0; i < 4; i++) AES_TEXT[i] = 0;
}
