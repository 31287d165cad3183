// A program for tests: does to the chip's registers what the host says, a letter
// and words of four bytes, low byte first.
//
//	r ADDR        answers the word there
//	w ADDR VALUE  stores a word, answers nothing
//	s CYCLES      looks at nothing for so long
//	q             answers the letter that follows, as soon as it is there
//	l COUNT       looks so many times whether a letter is there, answers the cycles that it took
#include <stdint.h>

__asm__(".section .entry, \"ax\"\n.global entry\nentry: j main\n.text");

#define REG(addr) (*(volatile uint32_t *)(addr))

static uint32_t look(void) __attribute__((noinline));
static uint32_t look(void) {
	uint32_t n = REG(0x3ff4001c) & 255, s = REG(0x3ff40060);
	return ((s >> 2) & 127) != ((s >> 13) & 127) || n;
}

static uint32_t get(void) {
	while (!look()) {}
	return REG(0x3ff40000);
}

static uint32_t word(void) {
	uint32_t v = 0;
	for (int i = 0; i < 32; i += 8) v |= get() << i;
	return v;
}

static void put(uint32_t v) {
	for (int i = 0; i < 4; i++, v >>= 8) REG(0x60000000) = v & 255;
}

static uint32_t cycles(void) {
	uint32_t n;
	__asm__ volatile("rsr.ccount %0" : "=r"(n));
	return n;
}

int main(void) {
	for (;;) {
		uint32_t c = get(), a, from;
		switch (c) {
		case 'r': put(REG(word())); break;
		case 'w': a = word(), REG(a) = word(); break;
		case 's': a = word(); for (from = cycles(); cycles() - from < a;) {} break;
		case 'l': a = word(); for (from = cycles(); a; a--) look(); put(cycles() - from); break;
		case 'q': REG(0x60000000) = get(); break;
		}
	}
}
