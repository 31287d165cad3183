// What a compiler makes of ordinary C: loops, calls, tables, 64 bits, division,
// shifts by variables, bytes and half words. The test computes the same.
#include <stdint.h>

__attribute__((section(".results"))) volatile uint32_t results[16];

extern int main(void);
__asm__(".section .entry, \"ax\"\n.global entry\nentry: j main\n.text");

// Debian's libgcc for this compiler lacks these.
uint32_t __udivsi3(uint32_t n, uint32_t d) {
	uint32_t q = 0, r = 0;
	for (int i = 31; i >= 0; i--) {
		r = r << 1 | (n >> i & 1);
		if (r >= d) r -= d, q |= 1u << i;
	}
	return q;
}
uint32_t __umodsi3(uint32_t n, uint32_t d) { return n - __udivsi3(n, d) * d; }
int32_t __divsi3(int32_t n, int32_t d) {
	uint32_t q = __udivsi3(n < 0 ? -(uint32_t)n : (uint32_t)n, d < 0 ? -(uint32_t)d : (uint32_t)d);
	return (int32_t)((n ^ d) < 0 ? -q : q);
}
int32_t __modsi3(int32_t n, int32_t d) { return n - __divsi3(n, d) * d; }
uint64_t __muldi3(uint64_t x, uint64_t y) {
	uint64_t p = 0;
	for (; y; y >>= 1, x <<= 1) if (y & 1) p += x;
	return p;
}

static uint8_t text[1000];
static uint16_t halves[64];
static int16_t sorted[100];

static uint32_t crc(const uint8_t *p, int n) {
	uint32_t c = ~0u;
	while (n--) {
		c ^= *p++;
		for (int k = 0; k < 8; k++) c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
	}
	return ~c;
}

static uint32_t adler(const uint8_t *p, int n) {
	uint32_t a = 1, b = 0;
	for (int i = 0; i < n; i++) a = (a + p[i]) % 65521, b = (b + a) % 65521;
	return b << 16 | a;
}

static int ackermann(int m, int n) {
	if (m == 0) return n + 1;
	if (n == 0) return ackermann(m - 1, 1);
	return ackermann(m - 1, ackermann(m, n - 1));
}

static uint64_t collatz(uint64_t n) {
	uint64_t top = n;
	while (n != 1) {
		n = n & 1 ? 3 * n + 1 : n >> 1;
		if (n > top) top = n;
	}
	return top;
}

static void sort(int16_t *p, int n) {
	for (int i = 1; i < n; i++)
		for (int j = i; j > 0 && p[j - 1] > p[j]; j--) {
			int16_t x = p[j];
			p[j] = p[j - 1], p[j - 1] = x;
		}
}

static int kind(int c) {
	switch (c & 15) {
	case 0: return 11;
	case 1: return c * 3;
	case 2: return -c;
	case 3: return c << 2;
	case 4: return 1000 / (c + 1);
	case 7: return c ^ 0x55;
	case 9: return c % 7;
	default: return 0;
	}
}

int main(void) {
	for (int i = 0; i < 1000; i++) text[i] = (uint8_t)(i * 7 + (i >> 3));
	results[0] = crc(text, 1000);
	results[1] = adler(text, 1000);
	results[2] = (uint32_t)ackermann(2, 9);
	uint64_t top = collatz(837799);
	results[3] = (uint32_t)top, results[4] = (uint32_t)(top >> 32);
	for (int i = 0; i < 100; i++) sorted[i] = (int16_t)(i * 12345 - 20000);
	sort(sorted, 100);
	results[5] = (uint32_t)(int32_t)sorted[0], results[6] = (uint32_t)(int32_t)sorted[50], results[7] = (uint32_t)(int32_t)sorted[99];
	int sum = 0;
	for (int i = -200; i < 200; i++) sum += kind(i);
	results[8] = (uint32_t)sum;
	uint32_t h = 0;
	for (int i = 0; i < 64; i++) halves[i] = (uint16_t)(i << (i & 15)), h = (h << 5 | h >> 27) ^ halves[i];
	results[9] = h;
	results[10] = 0xdeadbeefu / 12345u, results[11] = (uint32_t)(-1000000 / 77), results[12] = (uint32_t)(-1000000 % 77);
	return 0x600d;
}
