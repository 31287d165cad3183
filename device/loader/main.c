// The RAM loader of station: takes compressed plain images and the key of the
// flash, and programs what the flash controller of the ESP32 will decrypt. What it
// is and why it may be trusted: docs/loader.md. Frames: wire.c.
#include "loader.h"

// What a block is.
enum { KEY = 'K', WRITE = 'W', DATA = 'D', END = 'E' };

static u8 window[0x8000] __attribute__((aligned(4)));
static u8 erase[512]; // a bit for each sector, from the 64 KiB on in which the region begins
static u32 base, at, encrypted;

static u32 word(const u8 *p) { return *(const u32 *)p; }

// key: FLASH_CRYPT_CONFIG u32, then 32 or 24 bytes. The block is overwritten.
static void key(u8 *p, u32 n) {
	if (n != 4 + 32 && n != 4 + 24) fail(BAD_BLOCK);
	crypt_key(p + 4, n - 4, word(p));
	for (volatile u8 *q = p; n; n--) *q++ = 0;
}

static void erase_at(void) {
	u32 i = (at - base) >> 12, block = i >> 4 << 1;
	if (!(erase[i >> 3] >> (i & 7) & 1)) return;
	if (!(i & 15) && erase[block] == 0xff && erase[block + 1] == 0xff) {
		flash_erase(at, 1);
		erase[block] = erase[block + 1] = 0;
		return;
	}
	flash_erase(at, 0);
}

static void program(const u8 *p, u32 bytes) {
	static u32 cipher[CHUNK / 4];
	const u32 *words = (const u32 *)p;
	wire_poll();
	if ((at & 0xfff) == 0) erase_at();
	u32 blank = ~0u, sum = wire_sum;
	if (encrypted) {
		crypt_units(at, words, cipher);
		words = cipher, blank = 0;
	} else {
		for (u32 i = 0; i < bytes / 4; i++) blank &= words[i];
	}
	for (u32 i = 0; i < bytes / 4; i++) sum = (sum ^ words[i]) * 0x01000193;
	wire_sum = sum;
	if (blank != ~0u) flash_program(at, words, bytes);
	at += bytes;
	wire_done += bytes;
}

// write: address u32, size u32, encrypted u32, a bit for each sector to erase.
// Blocks with data follow, until the size is there.
static void write(const u8 *p, u32 n) {
	if (n < 12 || n > 12 + sizeof erase) fail(BAD_BLOCK);
	u32 size = word(p + 4);
	at = word(p), encrypted = word(p + 8);
	base = at & ~0xffffu;
	if (at & 0xfff || size == 0 || (size - 1 + at - base) >> 12 >= 8 * (n - 12) || (at + size) >> 24) fail(BAD_BLOCK);
	if (encrypted && (size & 15 || !crypt_ready())) fail(NO_KEY);
	for (u32 i = 0; i < sizeof erase; i++) erase[i] = i < n - 12 ? p[12 + i] : 0;
	wire_release();
	inflate(window, size, program);
	flash_settle();
}

void run(void) {
	RTC_WDT_LOCK = WDT_UNLOCK, RTC_WDT_CONFIG = 0, RTC_WDT_LOCK = 0;
	TIMER_WDT_LOCK = WDT_UNLOCK, TIMER_WDT_CONFIG = 0, TIMER_WDT_LOCK = 0;
	crypt_begin();
	flash_begin();
	wire_begin();
	wire_sum = 0x811c9dc5;
	for (;;) {
		u32 n;
		u8 *p = wire_take(&n);
		switch (p[2]) {
		case KEY: key(p + 4, n), wire_release(); break;
		case WRITE: write(p + 4, n); break;
		case END: leave();
		default: fail(BAD_BLOCK);
		}
	}
}

static void wipe(void) {
	crypt_wipe();
	flash_wipe();
}

// fail forgets the key and says why, until the host ends it.
void fail(u32 status) {
	wire_status = status;
	wipe();
	for (u32 n;; wire_release())
		if (wire_take(&n)[2] == END) leave();
}

void leave(void) {
	wipe();
	wire_status |= GONE;
	wire_release();
	wire_last();
}
