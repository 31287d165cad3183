// The flash behind SPI1: the commands that every part of the 25 series has.
#include "loader.h"

#define WRITE_ENABLE 0x06
#define READ_STATUS 0x05
#define PAGE_PROGRAM 0x02
#define ERASE_SECTOR 0x20
#define ERASE_BLOCK 0xd8
#define BUSY 1
#define PATIENCE 200000000 // cycles: 5 s at 40 MHz, more than any part needs

static void bus_free(void) {
	while (SPI_CMD & SPI_GO) {}
}

// command starts one; what it needs beside is set before, while the bus is free.
static void command(u32 op, u32 user) {
	bus_free();
	SPI_USER = USER_COMMAND | user;
	SPI_USER2 = 7u << 28 | op;
	SPI_CMD = SPI_GO;
}

void flash_begin(void) {
	SPI_CLOCK = CLOCK_HALF;
	SPI_USER1 = 23u << 26; // bits of an address
	SPI_MISO_LEN = 7;
}

// flash_settle waits until the flash is not busy. What it says of itself lies in W[0] then.
void flash_settle(void) {
	for (u32 from = cycles();;) {
		command(READ_STATUS, USER_MISO);
		bus_free();
		if (!(SPI_W[0] & BUSY)) return;
		wire_poll();
		if (cycles() - from > PATIENCE) fail(FLASH_STUCK);
	}
}

void flash_erase(u32 addr, u32 block) {
	flash_settle();
	command(WRITE_ENABLE, 0);
	bus_free();
	SPI_ADDR = addr << 8;
	command(block ? ERASE_BLOCK : ERASE_SECTOR, USER_ADDR);
}

// The registers are filled while the flash is busy with what came before: it is to
// stand still for as short as can be.
void flash_program(u32 addr, const u32 *words, u32 bytes) {
	bus_free();
	for (u32 i = 1; i < bytes / 4; i++) SPI_W[i] = words[i];
	SPI_ADDR = addr << 8;
	SPI_MOSI_LEN = 8 * bytes - 1;
	flash_settle();
	SPI_W[0] = words[0];
	command(WRITE_ENABLE, 0);
	command(PAGE_PROGRAM, USER_ADDR | USER_MOSI);
}

void flash_wipe(void) {
	bus_free();
	for (u32 i = 0; i < 16; i++) SPI_W[i] = 0;
}
