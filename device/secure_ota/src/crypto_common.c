#include "crypto.h"

#include <string.h>

enum { BLOCK = 64, INNER = 0x36, OUTER = 0x5c };

/* padded is the hash of a block that begins with the key, every byte XORed, and of data. */
static bool padded(uint8_t with, const uint8_t key[SO_SHA256], const uint8_t *data, size_t size, uint8_t digest[SO_SHA256])
{
    uint8_t block[BLOCK];
    so_sha256 h;
    size_t i;
    bool ok;
    memset(block, with, sizeof block);
    for (i = 0; i < SO_SHA256; i++)
        block[i] ^= key[i];
    ok = so_sha256_start(&h) && so_sha256_update(&h, block, sizeof block) && so_sha256_update(&h, data, size) && so_sha256_finish(&h, digest);
    so_sha256_free(&h);
    so_wipe(block, sizeof block);
    return ok;
}

bool so_hmac_sha256(const uint8_t key[SO_SHA256], const uint8_t *data, size_t size, uint8_t mac[SO_SHA256])
{
    uint8_t inner[SO_SHA256];
    bool ok = padded(INNER, key, data, size, inner) && padded(OUTER, key, inner, sizeof inner, mac);
    so_wipe(inner, sizeof inner);
    return ok;
}

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
