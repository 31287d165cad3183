#include "crypto.h"

void so_wipe(void *data, size_t size)
{
    volatile uint8_t *p = data;
    while (size-- > 0)
        *p++ = 0;
}

bool so_same(const uint8_t *a, const uint8_t *b, size_t size)
{
    uint8_t different = 0;
    while (size-- > 0)
        different = (uint8_t)(different | (*a++ ^ *b++));
    return different == 0;
}
