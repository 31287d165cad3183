// Registers of the ESP32 that the loader uses (Technical Reference Manual).
#pragma once
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;

#define REG(addr) (*(volatile u32 *)(addr))

// UART0. The count of received bytes is wrong at times (errata: "UART fifo_cnt"):
// it comes from where the FIFO is read and written.
#define UART_FIFO REG(0x3ff40000)
#define UART_FIFO_SEND REG(0x60000000) // the same on the bus that takes every store
#define UART_STATUS REG(0x3ff4001c)
#define UART_RX_STATUS REG(0x3ff40060)

// SPI1, to the flash.
#define SPI_CMD REG(0x3ff42000)
#define SPI_ADDR REG(0x3ff42004)
#define SPI_CLOCK REG(0x3ff42018)
#define SPI_USER REG(0x3ff4201c)
#define SPI_USER1 REG(0x3ff42020)
#define SPI_USER2 REG(0x3ff42024)
#define SPI_MOSI_LEN REG(0x3ff42028)
#define SPI_MISO_LEN REG(0x3ff4202c)
#define SPI_W ((volatile u32 *)0x3ff42080)

#define SPI_GO (1u << 18)
#define USER_COMMAND (1u << 31)
#define USER_ADDR (1u << 30)
#define USER_MISO (1u << 28)
#define USER_MOSI (1u << 27)
#define CLOCK_HALF 0x1001 // half the peripherals' clock: 20 MHz as the ROM leaves it

// AES accelerator, and what lets it run.
#define AES_START REG(0x3ff01000)
#define AES_IDLE REG(0x3ff01004)
#define AES_MODE REG(0x3ff01008)
#define AES_KEY ((volatile u32 *)0x3ff01010)
#define AES_TEXT ((volatile u32 *)0x3ff01030)
#define AES_DECRYPT_256 6
#define DPORT_CLOCK REG(0x3ff0001c)
#define DPORT_RESET REG(0x3ff00020)
#define AES_UNIT (1u << 0)
#define AES_HOLDERS (1u << 3 | 1u << 4)

// Watchdogs: each has a lock in front of its configuration.
#define RTC_WDT_CONFIG REG(0x3ff4808c)
#define RTC_WDT_LOCK REG(0x3ff480a4)
#define TIMER_WDT_CONFIG REG(0x3ff5f048)
#define TIMER_WDT_LOCK REG(0x3ff5f064)
#define WDT_UNLOCK 0x50d83aa1

static inline u32 cycles(void) {
	u32 n;
	__asm__ volatile("rsr.ccount %0" : "=r"(n));
	return n;
}

static inline u32 swap(u32 x) {
	u32 y;
	__asm__("ssai 8\n\tsrli %0, %1, 16\n\tsrc %0, %0, %1\n\tsrc %0, %0, %0\n\tsrc %0, %1, %0" : "=&r"(y) : "r"(x));
	return y;
}
