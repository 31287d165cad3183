// Deflate (RFC 1951), from blocks as they come. The host sends four bytes behind
// a stream, so that the reader may look ahead.
#include "loader.h"

#define FAST 9 // bits of a code that are looked up at once
#define WINDOW_MASK 0x7fff

struct code {
	u16 count[16], symbol[288], fast[1 << FAST]; // symbol << 4 | bits; 0: longer, or none
};

static struct code literals, distances;
static u8 lengths[320];
static const u8 *in, *in_end;
static u32 hold, bits; // of the stream

static void refill(void) {
	while (bits <= 24) {
		while (in == in_end) {
			u32 n;
			if (in) wire_release();
			const u8 *block = wire_take(&n);
			if (block[2] != 'D') fail(BAD_BLOCK);
			in = block + 4, in_end = in + n;
		}
		hold |= (u32)*in++ << bits;
		bits += 8;
	}
}

// take removes up to 16 bits.
static u32 take(u32 n) {
	refill();
	u32 v = hold & ((1u << n) - 1);
	hold >>= n, bits -= n;
	return v;
}

// build makes a code of the lengths of n symbols.
static void build(struct code *h, const u8 *len, u32 n) {
	u16 next[16];
	for (u32 i = 0; i < 16; i++) h->count[i] = 0;
	for (u32 i = 0; i < n; i++) h->count[len[i]]++;
	h->count[0] = 0;
	u32 at = 0, left = 1;
	for (u32 i = 1; i < 16; i++) {
		left <<= 1;
		if (left < h->count[i]) fail(BAD_STREAM);
		left -= h->count[i];
		next[i] = at, at += h->count[i];
	}
	for (u32 i = 0; i < n; i++)
		if (len[i]) h->symbol[next[len[i]]++] = i;
	for (u32 i = 0; i < 1 << FAST; i++) h->fast[i] = 0;
	u32 code = 0;
	at = 0;
	for (u32 size = 1; size <= FAST; size++, code <<= 1) {
		wire_poll(); // what follows takes as long as many bytes on the wire
		for (u32 k = h->count[size]; k; k--, code++) {
			u32 mirrored = 0;
			for (u32 b = 0; b < size; b++) mirrored |= (code >> b & 1) << (size - 1 - b);
			for (u32 i = mirrored; i < 1 << FAST; i += 1u << size) h->fast[i] = h->symbol[at] << 4 | size;
			at++;
		}
	}
}

static u32 slow(const struct code *h) {
	u32 code = 0, first = 0, index = 0;
	for (u32 size = 1; size < 16; size++) {
		u32 n = h->count[size];
		code |= hold >> (size - 1) & 1;
		if (code - first < n) {
			hold >>= size, bits -= size;
			return h->symbol[index + code - first];
		}
		index += n, first = (first + n) << 1, code <<= 1;
	}
	fail(BAD_STREAM);
}

static u32 decode(const struct code *h) {
	refill();
	u32 e = h->fast[hold & ((1 << FAST) - 1)];
	if (!e) return slow(h);
	hold >>= e & 15, bits -= e & 15;
	return e >> 4;
}

static void fixed(void) {
	for (u32 i = 0; i < 288; i++) lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
	build(&literals, lengths, 288);
	for (u32 i = 0; i < 30; i++) lengths[i] = 5;
	build(&distances, lengths, 30);
}

static void dynamic(void) {
	static const u32 order[5] = {0x00121110, 0x06090708, 0x040b050a, 0x020d030c, 0x000f010e}; // a byte each
	u32 n = take(5) + 257, d = take(5) + 1, k = take(4) + 4;
	if (n > 286 || d > 30) fail(BAD_STREAM);
	for (u32 i = 0; i < 19; i++) lengths[i] = 0;
	for (u32 i = 0; i < k; i++) lengths[order[i >> 2] >> ((i & 3) << 3) & 255] = take(3);
	build(&literals, lengths, 19);
	for (u32 i = 0; i < n + d;) {
		wire_poll();
		u32 s = decode(&literals), v = 0, repeat;
		if (s < 16) {
			lengths[i++] = s;
			continue;
		}
		if (s == 16) {
			if (i == 0) fail(BAD_STREAM);
			v = lengths[i - 1], repeat = 3 + take(2);
		} else {
			repeat = s == 17 ? 3 + take(3) : 11 + take(7);
		}
		if (i + repeat > n + d) fail(BAD_STREAM);
		while (repeat--) lengths[i++] = v;
	}
	build(&literals, lengths, n);
	build(&distances, lengths + n, d);
}

// Where the data goes.
static u8 *window;
static u32 out, size;
static void (*sink)(const u8 *p, u32 bytes);

// wrote says that the chunk in hand may be whole.
static void wrote(void) {
	if ((out & (CHUNK - 1)) == 0) sink(window + ((out - CHUNK) & WINDOW_MASK), CHUNK);
}

static void literal(u32 b) {
	if (out == size) fail(BAD_STREAM);
	window[out++ & WINDOW_MASK] = b;
	wrote();
}

static void match(u32 length, u32 distance) {
	if (distance > out || length > size - out) fail(BAD_STREAM);
	while (length) {
		u32 n = CHUNK - (out & (CHUNK - 1));
		if (n > length) n = length;
		length -= n;
		u8 *to = window + (out & WINDOW_MASK);
		u32 from = out - distance;
		out += n;
		do *to++ = window[from++ & WINDOW_MASK];
		while (--n);
		wrote();
	}
}

static void stored(void) {
	take(bits & 7);
	u32 n = take(16);
	if ((take(16) ^ n) != 0xffff) fail(BAD_STREAM);
	while (n--) literal(take(8));
}

static void coded(void) {
	for (;;) {
		u32 s = decode(&literals);
		if (s < 256) {
			literal(s);
			continue;
		}
		if (s == 256) return;
		if (s > 285) fail(BAD_STREAM);
		u32 length = s - 254, extra;
		if (s == 285) length = 258;
		else if (s > 264) extra = (s - 261) >> 2, length = ((4 + ((s - 265) & 3)) << extra) + 3 + take(extra);
		u32 d = decode(&distances);
		if (d > 29) fail(BAD_STREAM);
		if (d > 3) extra = (d >> 1) - 1, d = ((2 + (d & 1)) << extra) + take(extra);
		match(length, d + 1);
	}
}

void inflate(u8 *memory, u32 bytes, void (*chunk)(const u8 *p, u32 bytes)) {
	window = memory, size = bytes, sink = chunk;
	in = in_end = 0, hold = bits = out = 0;
	for (u32 last = 0; !last;) {
		last = take(1);
		switch (take(2)) {
		case 0: stored(); break;
		case 1: fixed(), coded(); break;
		case 2: dynamic(), coded(); break;
		default: fail(BAD_STREAM);
		}
	}
	if (out != size) fail(BAD_STREAM);
	u32 rest = out & (CHUNK - 1);
	if (rest) {
		for (u32 i = rest; i & 3; i++) window[(out + i - rest) & WINDOW_MASK] = 0xff;
		sink(window + ((out - rest) & WINDOW_MASK), (rest + 3) & ~3u);
	}
	wire_release();
}
