#include "library.h"
#include "nor.h"

#if TEST_LIBRARY == 4
#define MBEDTLS_DECLARE_PRIVATE_IDENTIFIERS
#include <mbedtls/private/aes.h>
#include <mbedtls/private/sha256.h>
#else
#include <mbedtls/aes.h>
#include <mbedtls/sha256.h>
#endif
#include <stdlib.h>
#include <string.h>

#if TEST_LIBRARY == 2
#define sha256 mbedtls_sha256_ret
#else
#define sha256 mbedtls_sha256
#endif

/* The flash encryption of the ESP32: AES-256 used backwards on mirrored blocks of
 * 16 bytes, the key tweaked by the address for each 32 bytes. Key bit n is flipped
 * by address bit from the table, in runs that go down from 23 to 5. */
static void tweak(uint8_t key[32], uint32_t address, uint8_t config)
{
    static const struct {
        int first, last, from, quarter;
    } runs[] = {{0, 18, 23, 0},    {19, 37, 23, 0},   {38, 56, 23, 0},   {57, 66, 14, 0},   {67, 85, 23, 1},   {86, 104, 23, 1},
                {105, 123, 23, 1}, {124, 131, 12, 1}, {132, 150, 23, 2}, {151, 169, 23, 2}, {170, 188, 23, 2}, {189, 194, 10, 2},
                {195, 213, 23, 3}, {214, 232, 23, 3}, {233, 251, 23, 3}, {252, 255, 8, 3}};
    size_t i;
    int n;
    for (i = 0; i < sizeof runs / sizeof runs[0]; i++)
        for (n = runs[i].first; n <= runs[i].last; n++)
            if (config >> runs[i].quarter & 1 && address >> (runs[i].from - (n - runs[i].first)) & 1)
                key[n / 8] ^= (uint8_t)(0x80 >> n % 8);
}

static void mirror(uint8_t *out, const uint8_t *in)
{
    int i;
    for (i = 0; i < 16; i++)
        out[i] = in[15 - i];
}

/* The flash encryption of the later chips: XTS-AES over units of 128 bytes that
 * stand in reverse; the number of a unit is its address. */
enum { UNIT = 128 };

static void reverse(uint8_t *unit)
{
    int i;
    for (i = 0; i < UNIT / 2; i++) {
        uint8_t b = unit[i];
        unit[i] = unit[UNIT - 1 - i];
        unit[UNIT - 1 - i] = b;
    }
}

static void crypt_xts(const nor *n, uint32_t address, uint8_t *data, size_t size, bool encrypt)
{
    mbedtls_aes_context aes, aes_tweak;
    uint8_t unit[UNIT], tweak_of[16], block[16];
    unsigned half = (unsigned)n->xts / 2, i, k;
    size_t from, some;
    mbedtls_aes_init(&aes);
    mbedtls_aes_init(&aes_tweak);
    if (encrypt)
        mbedtls_aes_setkey_enc(&aes, n->key, half * 8);
    else
        mbedtls_aes_setkey_dec(&aes, n->key, half * 8);
    mbedtls_aes_setkey_enc(&aes_tweak, n->key + half, half * 8);
    for (; size > 0; data += some, size -= some, address += (uint32_t)some) {
        from = address % UNIT;
        some = size < UNIT - from ? size : UNIT - from;
        memset(unit, 0, sizeof unit);
        memcpy(unit + from, data, some);
        memset(tweak_of, 0, sizeof tweak_of);
        for (i = 0; i < 4; i++)
            tweak_of[i] = (uint8_t)((address - from) >> 8 * i);
        mbedtls_aes_crypt_ecb(&aes_tweak, MBEDTLS_AES_ENCRYPT, tweak_of, tweak_of);
        reverse(unit);
        for (k = 0; k < UNIT; k += 16) {
            uint8_t carry = tweak_of[15] >> 7;
            for (i = 0; i < 16; i++)
                block[i] = unit[k + i] ^ tweak_of[i];
            mbedtls_aes_crypt_ecb(&aes, encrypt ? MBEDTLS_AES_ENCRYPT : MBEDTLS_AES_DECRYPT, block, block);
            for (i = 0; i < 16; i++)
                unit[k + i] = block[i] ^ tweak_of[i];
            for (i = 15; i > 0; i--) /* times the generator of the field, little endian */
                tweak_of[i] = (uint8_t)(tweak_of[i] << 1 | tweak_of[i - 1] >> 7);
            tweak_of[0] = (uint8_t)(tweak_of[0] << 1 ^ (carry ? 0x87 : 0));
        }
        reverse(unit);
        memcpy(data, unit + from, some);
    }
    mbedtls_aes_free(&aes_tweak);
    mbedtls_aes_free(&aes);
}

static void crypt(const nor *n, uint32_t address, uint8_t *data, size_t size, bool encrypt)
{
    mbedtls_aes_context aes;
    uint8_t key[32], block[16];
    if (n->xts != 0) {
        crypt_xts(n, address, data, size, encrypt);
        return;
    }
    mbedtls_aes_init(&aes);
    for (; size >= 16; data += 16, size -= 16, address += 16) {
        memcpy(key, n->key, sizeof key);
        tweak(key, address & ~31u, n->crypt_config);
        if (encrypt)
            mbedtls_aes_setkey_dec(&aes, key, 256);
        else
            mbedtls_aes_setkey_enc(&aes, key, 256);
        mirror(block, data);
        mbedtls_aes_crypt_ecb(&aes, encrypt ? MBEDTLS_AES_DECRYPT : MBEDTLS_AES_ENCRYPT, block, block);
        mirror(data, block);
    }
    mbedtls_aes_free(&aes);
}

void nor_init(nor *n, bool encrypts, const uint8_t key[32])
{
    memset(n, 0, sizeof *n);
    memset(n->raw, 0xff, sizeof n->raw);
    n->encrypts = encrypts;
    n->crypt_config = 0xf;
    n->power = -1;
    if (key != NULL)
        memcpy(n->key, key, 32);
}

void nor_xts(nor *n, const uint8_t *key, size_t size)
{
    n->xts = size;
    n->crypt_config = 0;
    memcpy(n->key, key, size);
}

static bool inside(uint32_t address, size_t size, uint32_t align)
{
    return address % align == 0 && size % align == 0 && address <= NOR_SIZE && size <= NOR_SIZE - address;
}

void nor_get(const nor *n, uint32_t address, uint8_t *data, size_t size)
{
    memcpy(data, n->raw + address, size);
    if (n->encrypts)
        crypt(n, address, data, size, false);
}

void nor_put(nor *n, uint32_t address, const uint8_t *data, size_t size)
{
    size_t whole = (size + 31) / 32 * 32;
    memset(n->raw + address, 0xff, whole);
    memcpy(n->raw + address, data, size);
    if (n->encrypts)
        crypt(n, address, n->raw + address, whole, true);
}

/* works says how many of size bytes an operation does: all, the first half if
 * the power fails in it, none after that. */
static size_t works(nor *n, size_t size)
{
    if (n->dead)
        return 0;
    n->operations++;
    if (n->power != 0) {
        n->power -= n->power > 0;
        return size;
    }
    n->dead = true;
    return size / 2;
}

static int nor_read(void *context, uint32_t address, void *data, size_t size)
{
    nor *n = context;
    if (n->dead || !inside(address, size, 16))
        return -1;
    nor_get(n, address, data, size);
    return 0;
}

static int program(nor *n, uint32_t address, const uint8_t *data, size_t size)
{
    size_t i, done;
    if (!inside(address, size, 16))
        return -1;
    done = works(n, size);
    for (i = 0; i < done && !n->stuck; i++)
        n->raw[address + i] &= data[i];
    return done == size ? 0 : -1;
}

static int nor_write(void *context, uint32_t address, const void *data, size_t size)
{
    static uint8_t copy[4096]; /* not on the stack, which is measured */
    nor *n = context;
    if (size > sizeof copy)
        return -1;
    memcpy(copy, data, size);
    if (n->encrypts)
        crypt(n, address, copy, size, true);
    return program(n, address, copy, size);
}

static int nor_write_raw(void *context, uint32_t address, const void *data, size_t size) { return program(context, address, data, size); }

static int nor_erase(void *context, uint32_t address, size_t size)
{
    nor *n = context;
    size_t done;
    if (!inside(address, size, 4096))
        return -1;
    done = works(n, size);
    memset(n->raw + address, 0xff, done);
    return done == size ? 0 : -1;
}

static bool nor_encrypted(void *context, uint8_t *config)
{
    *config = ((nor *)context)->crypt_config;
    return ((nor *)context)->encrypts;
}

static uint32_t nor_running(void *context) { return ((nor *)context)->running; }
static uint32_t nor_secure_version(void *context) { return ((nor *)context)->secure_version; }

secure_ota_flash nor_port(nor *n)
{
    secure_ota_flash f = {n, nor_read, nor_write, nor_write_raw, nor_erase, nor_encrypted, nor_running, nor_secure_version};
    return f;
}

/* The bootloader: written from its documents and apart from what it is to test. */

static uint32_t word(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24; }

/* Of the sequences that these tests come to, the checksums as ESP-IDF has them. */
static uint32_t known_crc(uint32_t seq)
{
    static const uint32_t crc[] = {0x4743989a, 0x55f63774, 0xed4a5011, 0x709d68a8, 0xc8210fcd};
    return seq >= 1 && seq <= sizeof crc / sizeof crc[0] ? crc[seq - 1] : 0;
}

/* whole says whether an image is one that boots: magic, segments, checksum, digest. */
static bool whole(const nor *n, uint32_t address)
{
    static uint8_t app[0x10000];
    uint8_t digest[32], sum = 0xef;
    uint32_t at = 24, i, k;
    if (address + sizeof app > NOR_SIZE)
        return false;
    nor_get(n, address, app, sizeof app);
    if (app[0] != 0xe9 || app[1] > 16)
        return false;
    for (i = 0; i < app[1]; i++) {
        uint32_t size = word(app + at + 4);
        at += 8;
        if (size > sizeof app - 64 - at)
            return false;
        for (k = 0; k < size; k++)
            sum ^= app[at + k];
        at += size;
    }
    at |= 15;
    if (app[at] != sum)
        return false;
    sha256(app, at + 1, digest, 0);
    return memcmp(digest, app + at + 1, 32) == 0;
}

static void put_state(nor *n, int which, uint8_t entry[32], uint32_t state)
{
    memset(entry + 24, 0, 4);
    entry[24] = (uint8_t)state;
    nor_put(n, 0xd000u + 0x1000u * (uint32_t)which, entry, 32);
}

uint32_t nor_boot(nor *n, bool rollback)
{
    uint8_t table[0xc00], entry[2][32];
    uint32_t slot[2] = {0, 0}, factory = 0, at, slots = 0, chosen;
    bool good[2];
    int i, active = -1;
    nor_get(n, 0x8000, table, sizeof table);
    for (at = 0; at < sizeof table && table[at] == 0xaa; at += 32) {
        if (table[at + 2] == 0 && table[at + 3] == 0)
            factory = word(table + at + 4);
        if (table[at + 2] == 0 && table[at + 3] >= 0x10 && table[at + 3] <= 0x11) {
            slot[table[at + 3] - 0x10] = word(table + at + 4);
            slots++;
        }
    }
    for (i = 0; i < 2; i++) {
        uint32_t state;
        nor_get(n, 0xd000u + 0x1000u * (uint32_t)i, entry[i], 32);
        state = word(entry[i] + 24);
        good[i] = word(entry[i]) != 0xffffffffu && word(entry[i] + 28) == known_crc(word(entry[i])) && known_crc(word(entry[i])) != 0;
        if (rollback && good[i] && state == 1)
            put_state(n, i, entry[i], 4);
        state = word(entry[i] + 24);
        good[i] = good[i] && state != 3 && state != 4;
        if (good[i] && (active < 0 || word(entry[i]) > word(entry[active])))
            active = i;
    }
    chosen = active >= 0 ? slot[(word(entry[active]) - 1) % slots] : factory != 0 ? factory : slot[0];
    if (active >= 0 && rollback && word(entry[active] + 24) == 0)
        put_state(n, active, entry[active], 1);
    if (whole(n, chosen))
        return n->running = chosen;
    for (i = 0; i < 2; i++)
        if (slot[i] != 0 && whole(n, slot[i]))
            return n->running = slot[i];
    return n->running = factory != 0 && whole(n, factory) ? factory : 0;
}
