/* The flash of a chip in memory: NOR that only clears bits, behind the chip's
 * flash encryption, with a supply that may fail. */
#ifndef NOR_H
#define NOR_H

#include "check.h"
#include "secure_ota_port.h"

enum { NOR_SIZE = 0x30000 };

typedef struct {
    uint8_t raw[NOR_SIZE];
    bool encrypts;
    uint8_t crypt_config;
    size_t xts; /* bytes of the key of XTS-AES, 32 or 64; 0: the cipher of the ESP32 */
    uint8_t key[64];
    uint32_t running;        /* address of the app that runs */
    uint32_t secure_version; /* of the fuses */
    int power;               /* erases and writes that are still whole; the next one is done by half and the
                                power is gone. Negative: no such fault */
    int operations;          /* erases and writes so far */
    bool dead;
    bool stuck; /* programming does nothing, as with a protected flash */
} nor;

void nor_init(nor *n, bool encrypts, const uint8_t key[32]);
secure_ota_flash nor_port(nor *n);

/* Makes it the flash of a later chip: XTS-AES-128 or -256 by the size of the key. */
void nor_xts(nor *n, const uint8_t *key, size_t size);

/* As the factory leaves it: data written through the encryption. */
void nor_put(nor *n, uint32_t address, const uint8_t *data, size_t size);
void nor_get(const nor *n, uint32_t address, uint8_t *data, size_t size);

/* Address of the app that a bootloader of ESP-IDF boots from here; what it writes
 * into otadata, with rollback, is written. */
uint32_t nor_boot(nor *n, bool rollback);

#endif
