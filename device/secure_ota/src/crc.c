#include "crc.h"

uint32_t so_crc32(uint32_t before, const uint8_t *data, size_t size)
{
    uint32_t crc = ~before;
    int bit;
    while (size-- > 0) {
        crc ^= *data++;
        for (bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ ((crc & 1) ? 0xedb88320u : 0);
    }
    return ~crc;
}
