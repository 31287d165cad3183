// The parts of the loader and what they are to each other.
#pragma once
#include "chip.h"

#define BLOCK 2048 // bytes of data in a frame at most
#define WINDOW 32  // blocks in flight
#define CHUNK 64   // bytes that the flash is given at a time

// Status of an answer.
enum { OK = 0, BAD_BLOCK = 1, BAD_STREAM = 2, FLASH_STUCK = 3, NO_KEY = 4, AES_STUCK = 5, GONE = 0x80 };

// wire.c: blocks in order, answers.
void wire_begin(void);
void wire_poll(void);      // takes what has arrived; answers if an answer is due
u8 *wire_take(u32 *length); // waits for the next block in order
void wire_release(void);   // it is done with
void wire_last(void) __attribute__((noreturn)); // the last answer, once all is overwritten
extern u32 wire_status, wire_done, wire_sum;

// crypt.c: the key and the cipher of the flash.
void crypt_begin(void);
void crypt_key(const u8 *key, u32 length, u32 config);
u32 crypt_ready(void);
void crypt_units(u32 addr, const u32 *plain, u32 *stored); // CHUNK bytes
void crypt_wipe(void);

// flash.c
void flash_begin(void);
void flash_erase(u32 addr, u32 block); // 4 KiB, or 64 KiB
void flash_program(u32 addr, const u32 *words, u32 bytes);
void flash_settle(void); // waits until it is done
void flash_wipe(void);

// inflate.c: the stream of the blocks that follow; data goes to the function.
void inflate(u8 *window, u32 size, void (*chunk)(const u8 *p, u32 bytes));

// main.c
void fail(u32 status) __attribute__((noreturn));
void leave(void) __attribute__((noreturn));
void finish(void) __attribute__((noreturn)); // start.S
void farewell(u32, u32, u32, u32, u32) __attribute__((noreturn));
