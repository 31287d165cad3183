// Deflate (RFC 1951), from blocks as they come, two bytes at a time. The host sends
// four bytes behind a stream, or five, so that the reader may look ahead.
#include "loader.h"

#define FAST 10    // bits of a code that are looked up at once
#define MORE (~0u) // no entry: the block in hand is at its end

// An entry of a code is symbol << 5 | bits: a shift takes the low five of its amount.
struct code {
	u16 count[16], symbol[288];
	u16 fast[1 << FAST]; // 0: longer, or none
};

// A reader has the stream, and where its data goes, in registers while it decodes.
struct reader {
	u32 hold, bits;
	const u16 *in, *end; // of the block in hand
	u8 *to, *limit;      // of the chunk in hand
};

static struct code literals, distances;
static u8 lengths[320];
static struct reader r;
static u32 holding; // a block

// more takes up the next block: an even number of bytes.
static void more(void) {
	do {
		u32 n;
		if (holding) wire_release();
		const u8 *block = wire_take(&n);
		if (block[2] != 'D' || n & 1) fail(BAD_BLOCK);
		r.in = (const u16 *)(block + 4), r.end = r.in + n / 2;
		holding = 1;
	} while (r.in == r.end);
}

// want makes sure of 16 bits.
static void want(void) {
	if (r.bits >= 16) return;
	if (r.in == r.end) more();
	r.hold |= (u32)*r.in++ << r.bits;
	r.bits += 16;
}

static void drop(u32 n) { r.hold >>= n, r.bits -= n; }

// take removes up to 16 bits.
static u32 take(u32 n) {
	want();
	u32 v = r.hold & ((1u << n) - 1);
	drop(n);
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
	wire_poll();
	u32 *pair = (u32 *)h->fast;
	for (u32 i = 0; i < 1 << FAST; i += 2) *pair++ = 0;
	u32 code = 0; // the next one, its bits mirrored as the stream has them
	at = 0;
	for (u32 size = 1; size <= FAST; size++) {
		for (u32 k = h->count[size]; k; k--, at++) {
			for (u32 i = code; i < 1 << FAST; i += 1u << size) h->fast[i] = h->symbol[at] << 5 | size;
			u32 bit = 1u << (size - 1);
			for (; code & bit; bit >>= 1) code ^= bit;
			code |= bit;
			wire_poll(); // all of this takes as long as many bytes on the wire
		}
	}
}

// slow finds a code bit by bit: an entry.
static u32 slow(const struct code *h, u32 hold) {
	wire_poll(); // a chunk of these takes long
	u32 code = 0, first = 0, index = 0;
	for (u32 size = 1; size < 16; size++) {
		u32 n = h->count[size];
		code |= hold >> (size - 1) & 1;
		if (code - first < n) return h->symbol[index + code - first] << 5 | size;
		index += n, first = (first + n) << 1, code <<= 1;
	}
	fail(BAD_STREAM);
}

static u32 decode(const struct code *h) {
	want();
	u32 e = h->fast[r.hold & ((1 << FAST) - 1)];
	if (!e) e = slow(h, r.hold);
	drop(e & 31);
	return e >> 5;
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
		u32 s = decode(&literals), v = 0, repeat;
		wire_poll();
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

// Where the data goes: a window that goes round, in chunks.
#define WINDOW_SIZE 0x8000
static u8 *window;
static u32 out, size; // bytes before the chunk in hand, and in all
static void (*sink)(const u8 *p, u32 bytes);

// wrote gives the chunk that is full to the sink.
static void wrote(void) {
	out += CHUNK;
	if (out > size) fail(BAD_STREAM);
	sink(r.limit - CHUNK, CHUNK);
	if (r.to == window + WINDOW_SIZE) r.to = window;
	r.limit = r.to + CHUNK;
}

static u32 written(void) { return out + CHUNK - (r.limit - r.to); }

// copied copies n bytes that lie a distance behind, and answers where it ended.
static const u8 *copied(const u8 *from, u32 n, u32 distance) {
	u8 *to = r.to;
	if (distance >= 4)
		for (; n >= 4; n -= 4, from += 4, to += 4) {
			u32 a = from[0], b = from[1], c = from[2], d = from[3];
			to[0] = a, to[1] = b, to[2] = c, to[3] = d;
		}
	for (; n; n--) *to++ = *from++;
	r.to = to;
	return from;
}

static void match(u32 length, u32 distance) {
	u32 at = written();
	if (distance > at || length > size - at) fail(BAD_STREAM);
	const u8 *end = window + WINDOW_SIZE, *from = r.to - distance;
	if (from < window) from += WINDOW_SIZE;
	while (length) {
		u32 n = r.limit - r.to;
		if (n > length) n = length;
		if (n > (u32)(end - from)) n = end - from;
		length -= n;
		from = copied(from, n, distance);
		if (from == end) from = window;
		if (r.to == r.limit) wrote();
	}
}

static void stored(void) {
	drop(r.bits & 7);
	u32 n = take(16);
	if ((take(16) ^ n) != 0xffff) fail(BAD_STREAM);
	while (n--) {
		*r.to++ = take(8);
		if (r.to == r.limit) wrote();
	}
}

// run decodes literals up to something else, which stays in the stream, or to the
// chunk's end, or to that of the block in hand.
static u32 run(const u16 *fast) {
	u32 hold = r.hold, bits = r.bits, e;
	const u16 *in = r.in, *end = r.end;
	u8 *to = r.to, *limit = r.limit;
	for (;;) {
		if (bits < 16) {
			if (in == end) {
				e = MORE;
				break;
			}
			hold |= (u32)*in++ << bits;
			bits += 16;
		}
		e = fast[hold & ((1 << FAST) - 1)];
		if (e - 1 >= (256 << 5) - 1) break; // none, or no literal
		hold >>= e & 31, bits -= e & 31;
		*to++ = e >> 5;
		if (to == limit) break;
	}
	r.hold = hold, r.bits = bits, r.in = in, r.to = to;
	return e;
}

static void coded(void) {
	for (;;) {
		u32 e = run(literals.fast);
		if (r.to == r.limit) {
			wrote();
			continue;
		}
		if (e == MORE) {
			more();
			continue;
		}
		u32 s = decode(&literals);
		if (s < 256) { // of a long code
			*r.to++ = s;
			if (r.to == r.limit) wrote();
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
	r = (struct reader){.to = window, .limit = window + CHUNK};
	holding = out = 0;
	for (u32 last = 0; !last;) {
		last = take(1);
		switch (take(2)) {
		case 0: stored(); break;
		case 1: fixed(), coded(); break;
		case 2: dynamic(), coded(); break;
		default: fail(BAD_STREAM);
		}
	}
	if (written() != size) fail(BAD_STREAM);
	u8 *from = r.limit - CHUNK;
	if (r.to != from) {
		while ((u32)r.to & 3) *r.to++ = 0xff;
		sink(from, r.to - from);
	}
	wire_release();
}
