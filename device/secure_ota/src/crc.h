/* CRC-32 (IEEE 802.3), continued from one that is finished: 0 to begin. */
#ifndef SECURE_OTA_CRC_H
#define SECURE_OTA_CRC_H

#include <stddef.h>
#include <stdint.h>

uint32_t so_crc32(uint32_t before, const uint8_t *data, size_t size);

#endif
