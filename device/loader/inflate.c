// Deflate (RFC 1951), from blocks as they come. The host sends four bytes behind
// a stream, so that the reader may look ahead.
#include "loader.h"

#define FAST 10 // bits of a code that are looked up at once
#define WINDOW_MASK 0x7fff

struct code {
	u16 count[16], symbol[288];
	u16 fast[1 << FAST]; // symbol << 4 | bits; 0: longer, or none
};

static struct code literals, distances;
static u8 lengths[320];
static const u8 *in, *in_end;
static u32 hold, bits; // of the stream

// more takes up the next block.
static void more(void) {
	do {
		u32 n;
		if (in) wire_release();
		const u8 *block = wire_take(&n);
		if (block[2] != 'D') fail(BAD_BLOCK);
		in = block + 4, in_end = in + n;
	} while (in == in_end);
}

// take removes up to 16 bits.
static u32 take(u32 n) {
	for (; bits < n; bits += 8) {
		if (in == in_end) more();
		hold |= (u32)*in++ << bits;
	}
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
	wire_poll();
	for (u32 i = 0; i < 1 << FAST; i++) h->fast[i] = 0;
	u32 code = 0; // the next one, its bits mirrored as the stream has them
	at = 0;
	for (u32 size = 1; size <= FAST; size++) {
		for (u32 k = h->count[size]; k; k--, at++) {
			for (u32 i = code; i < 1 << FAST; i += 1u << size) h->fast[i] = h->symbol[at] << 4 | size;
			u32 bit = 1u << (size - 1);
			for (; code & bit; bit >>= 1) code ^= bit;
			code |= bit;
			if (!(k & 15)) wire_poll(); // all of this takes as long as many bytes on the wire
		}
		wire_poll();
	}
}

// A reader has the stream in registers while it decodes.
struct reader {
	u32 hold, bits;
	const u8 *in, *end;
};

static inline struct reader begin(void) {
	struct reader r = {hold, bits, in, in_end};
	return r;
}

static inline void finished(const struct reader *r) { hold = r->hold, bits = r->bits, in = r->in, in_end = r->end; }

// want makes sure of so many bits, 25 at most.
static inline void want(struct reader *r, u32 n) {
	while (r->bits < n) {
		if (r->in == r->end) {
			more();
			r->in = in, r->end = in_end;
		}
		r->hold |= (u32)*r->in++ << r->bits;
		r->bits += 8;
	}
}

static inline u32 get(struct reader *r, u32 n) {
	want(r, n);
	u32 v = r->hold & ((1u << n) - 1);
	r->hold >>= n, r->bits -= n;
	return v;
}

// slow finds a code bit by bit: symbol << 4 | bits.
static u32 slow(const struct code *h, u32 hold) __attribute__((noinline));
static u32 slow(const struct code *h, u32 hold) {
	u32 code = 0, first = 0, index = 0;
	for (u32 size = 1; size < 16; size++) {
		u32 n = h->count[size];
		code |= hold >> (size - 1) & 1;
		if (code - first < n) return h->symbol[index + code - first] << 4 | size;
		index += n, first = (first + n) << 1, code <<= 1;
	}
	fail(BAD_STREAM);
}

static inline u32 decode(struct reader *r, const struct code *h) {
	want(r, 15);
	u32 e = h->fast[r->hold & ((1 << FAST) - 1)];
	if (!e) e = slow(h, r->hold);
	r->hold >>= e & 15, r->bits -= e & 15;
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
	for (u32 i = 0, turn = 0; i < n + d;) {
		if (!(++turn & 7)) wire_poll();
		struct reader r = begin();
		u32 s = decode(&r, &literals), v = 0, repeat;
		finished(&r);
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

// wrote gives the chunk that ends at a place to the sink.
static void wrote(u32 at) {
	out = at;
	if (at > size) fail(BAD_STREAM);
	sink(window + ((at - CHUNK) & WINDOW_MASK), CHUNK);
}

static inline u32 literal(u32 at, u32 b) {
	window[at++ & WINDOW_MASK] = b;
	if ((at & (CHUNK - 1)) == 0) wrote(at);
	return at;
}

static u32 match(u32 at, u32 length, u32 distance) {
	if (distance > at || length > size - at) fail(BAD_STREAM);
	while (length) {
		u32 n = CHUNK - (at & (CHUNK - 1));
		if (n > length) n = length;
		length -= n;
		u8 *to = window + (at & WINDOW_MASK), *w = window;
		u32 from = at - distance;
		at += n;
		do *to++ = w[from++ & WINDOW_MASK];
		while (--n);
		if ((at & (CHUNK - 1)) == 0) wrote(at);
	}
	return at;
}

static void stored(void) {
	take(bits & 7);
	u32 n = take(16);
	if ((take(16) ^ n) != 0xffff) fail(BAD_STREAM);
	while (n--) out = literal(out, take(8));
}

static void coded(void) {
	struct reader r = begin();
	u32 at = out;
	for (;;) {
		u32 s = decode(&r, &literals);
		if (s < 256) {
			at = literal(at, s);
			continue;
		}
		if (s == 256) break;
		if (s > 285) fail(BAD_STREAM);
		u32 length = s - 254, extra;
		if (s == 285) length = 258;
		else if (s > 264) extra = (s - 261) >> 2, length = ((4 + ((s - 265) & 3)) << extra) + 3 + get(&r, extra);
		u32 d = decode(&r, &distances);
		if (d > 29) fail(BAD_STREAM);
		if (d > 3) extra = (d >> 1) - 1, d = ((2 + (d & 1)) << extra) + get(&r, extra);
		at = match(at, length, d + 1);
	}
	out = at;
	finished(&r);
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
