// Frames from the host and answers to it.
//
// Host to loader, in SLIP:   sequence u16, what u8, 0, data, CRC-32 of all before
// Loader to host, in SLIP:   version u8, status u8, taken u16, held u32, done u32,
//                            sum u32, CRC-32 of all before
//
// taken is how many blocks are done with, held has a bit for each of those that
// follow and have arrived, done is how many bytes have gone to the flash since the
// start, and sum the FNV-1a of them, by words. A frame that arrived damaged is
// as if it had not been sent. All numbers are little endian.
#include "loader.h"

#define VERSION 1
#define END 0xc0
#define ESC 0xdb
#define FRAME (BLOCK + 8)

u32 wire_status, wire_done, wire_sum;

static u32 table[4][256]; // of a byte, and of it before one, two and three others
static u8 memory[WINDOW + 1][FRAME] __attribute__((aligned(4)));
static u8 *slot[WINDOW], *rx; // buffers move between the wire and the slots
static u16 length[WINDOW];
static u8 *to, *summed; // of the frame being received: its end, and how far it is in the sum
static u32 escaped, sum;
static u32 taken, held, due;
static u32 heard, polled; // when the last whole frame came, and when the FIFO was emptied

#define RESIDUE 0xdebb20e3 // a CRC-32 over data and its own CRC-32
#define PATIENCE 400000000 // cycles without a frame: 10 s at 40 MHz
#define OFTEN 4000         // cycles in which the FIFO does not fill: 20 bytes at 2 Mbaud and 40 MHz
#define SEND_ROOM 64       // bytes that must not stand before an answer in its FIFO

static u32 crc(u32 c, const u8 *p, u32 n) {
	while (n--) c = c >> 8 ^ table[0][(c ^ *p++) & 255];
	return c;
}

// fresh begins a frame.
static void fresh(void) { to = summed = rx, sum = ~0u, escaped = 0; }

void wire_begin(void) {
	for (u32 i = 0; i < 256; i++) {
		u32 c = i;
		for (u32 k = 0; k < 8; k++) c = c >> 1 ^ (0xedb88320 & -(c & 1));
		table[0][i] = c;
	}
	for (u32 k = 0; k < 3; k++)
		for (u32 i = 0; i < 256; i++) table[k + 1][i] = table[k][i] >> 8 ^ table[0][table[k][i] & 255];
	for (u32 i = 0; i < WINDOW; i++) slot[i] = memory[i];
	rx = memory[WINDOW];
	fresh();
	due = 1;
	heard = cycles();
}

// accept keeps a whole frame, if it is one of those that are waited for.
static void accept(void) {
	u32 seq = rx[0] | rx[1] << 8, ahead = (seq - taken) & 0xffff, i = seq % WINDOW;
	heard = cycles();
	due = 1;
	if (ahead >= WINDOW || held >> ahead & 1) return;
	held |= 1u << ahead;
	length[i] = to - rx - 4;
	u8 *empty = slot[i];
	slot[i] = rx, rx = empty;
}

static u32 arrived(void) {
	u32 count = UART_STATUS & 0xff, s = UART_RX_STATUS; // in this order: else a byte that comes between looks like 128
	u32 n = ((s >> 13) - (s >> 2)) & 127;
	return n || !count ? n : 128;
}

// add takes whole words of the frame into its sum.
static void add(void) {
	const u32 *p = (const u32 *)summed, *end = (const u32 *)((u32)to & ~3u);
	u32 c = sum;
	while (p != end) {
		c ^= *p++;
		c = table[3][c & 255] ^ table[2][c >> 8 & 255] ^ table[1][c >> 16 & 255] ^ table[0][c >> 24];
	}
	sum = c, summed = (u8 *)p;
}

// ended is the end of a frame.
static void ended(void) {
	add();
	if (to - rx >= 8 && !escaped && crc(sum, summed, to - summed) == RESIDUE) accept();
	fresh();
}

// special takes the bytes that are not only data: a frame's end, both halves of an
// escape, and what is too long.
static void special(u32 b) {
	if (b == END) {
		ended();
		return;
	}
	if (b == ESC) {
		escaped = 1;
		return;
	}
	if (escaped) b = b == 0xdc ? END : ESC, escaped = 0;
	if (to < rx + FRAME) *to++ = b;
	else escaped = 1; // as good as damaged
}

// receive takes what stands in the FIFO.
static void receive(void) {
	u32 n = arrived();
	polled = cycles();
	while (n) {
		u32 b, k = escaped ? 0 : rx + FRAME - to;
		if (k > n) k = n;
		n -= k;
		u8 *p = to;
		for (b = 0; k; k--) { // nearly all of them
			b = UART_FIFO;
			if (b == END || b == ESC) break;
			*p++ = b;
		}
		to = p;
		if (k) {
			n += k - 1;
			special(b);
		} else if (n) {
			n--;
			special(UART_FIFO);
		}
	}
	add();
}

static void put(u32 b) {
	if (b == END || b == ESC) {
		UART_FIFO_SEND = ESC;
		b = b == END ? 0xdc : 0xdd;
	}
	UART_FIFO_SEND = b;
}

// compose makes an answer of four words and their CRC.
static u32 compose(u32 w[4]) {
	w[0] = VERSION | wire_status << 8 | taken << 16;
	w[1] = held, w[2] = wire_done, w[3] = wire_sum;
	return ~crc(~0u, (const u8 *)w, 16);
}

static void answer(void) {
	u32 w[4], c = compose(w);
	UART_FIFO_SEND = END;
	for (u32 i = 0; i < 5; i++) {
		u32 v = i < 4 ? w[i] : c;
		for (u32 k = 0; k < 4; k++, v >>= 8) put(v & 255);
	}
	UART_FIFO_SEND = END;
	due = 0;
}

static u32 unsent(void) { return UART_STATUS >> 16 & 0xff; }

static void look(void) {
	receive();
	if (due && unsent() < SEND_ROOM) answer();
}

void wire_poll(void) {
	if (cycles() - polled > OFTEN) look();
}

u8 *wire_take(u32 *bytes) {
	while (!(held & 1)) {
		look();
		if (cycles() - heard > PATIENCE) finish(); // nobody is there any more
	}
	*bytes = length[taken % WINDOW] - 4;
	return slot[taken % WINDOW];
}

void wire_release(void) {
	taken = (taken + 1) & 0xffff;
	held >>= 1;
	due = 1;
}

void wire_last(void) {
	u32 w[4], c = compose(w);
	farewell(w[0], w[1], w[2], w[3], c);
}
