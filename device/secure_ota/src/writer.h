/* A slot being written: sector by sector, its first 32 bytes last of all. Until
 * these are written the slot has no image header, and no bootloader takes it. */
#ifndef SECURE_OTA_WRITER_H
#define SECURE_OTA_WRITER_H

#include "secure_ota.h"

enum { SO_HEAD = 32 };

typedef struct {
    secure_ota *ota;
    uint32_t address;
    uint32_t limit; /* bytes of the slot */
    uint32_t at;    /* bytes taken so far */
    bool raw;       /* the bytes are encrypted for the flash already */
    uint8_t head[SO_HEAD];
    bool held; /* head is not in the flash yet */
} so_writer;

void so_writer_init(so_writer *w, secure_ota *ota, uint32_t address, uint32_t limit, bool raw);

/* Takes bytes, of which whole sectors go to the flash at once. SECURE_OTA_E_SIZE:
 * the slot is full. */
secure_ota_result so_writer_add(so_writer *w, const uint8_t *data, size_t size);

/* The last sector, filled up with FF to a multiple of 32 bytes. */
secure_ota_result so_writer_flush(so_writer *w);

/* The first 32 bytes. Call it once, when what was written is known to be good. */
secure_ota_result so_writer_head(so_writer *w);

/* Makes sure that what is in the slot never boots. */
void so_writer_spoil(so_writer *w);

/* Reads size bytes from offset at of the slot, decrypted, with the head in its place
 * while that is not in the flash. Neither needs to be aligned; at most 960 bytes at once. */
secure_ota_result so_writer_read(const so_writer *w, uint32_t at, uint8_t *data, size_t size);

#endif
