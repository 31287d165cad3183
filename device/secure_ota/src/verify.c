#include "verify.h"

#include <string.h>

#include "bytes.h"
#include "crc.h"
#include "der.h"

enum {
    PIECE = 512,
    HEADER = 24,
    SEGMENT = 8,
    IMAGE_MAGIC = 0xe9,
    MAX_SEGMENTS = 16,
    CHIP_AT = 12,
    HASHED_AT = 23,
    DESCRIPTOR_AT = 32,
    SEED = 0xef,
    V1_SIZE = 68, /* version 0, r, s */
    V2_SECTOR = 4096,
    V2_BLOCK = 1216,
    V2_BLOCKS = 3,
    V2_DIGEST_AT = 4,
    V2_MODULUS_AT = 36,
    V2_EXPONENT_AT = 420,
    V2_SIGNATURE_AT = 812,
    V2_CRC_AT = 1196,
    V2_KEY_SIZE = 776, /* modulus, exponent and what is computed from them */
    RSA3072 = 384
};

typedef struct {
    uint32_t length; /* with checksum and digest */
    bool hashed;
} so_image;

secure_ota_result so_slot_digest(const so_writer *w, uint32_t size, uint8_t digest[SO_SHA256])
{
    uint8_t piece[PIECE];
    so_sha256 h;
    uint32_t at = 0;
    secure_ota_result r = so_sha256_start(&h) ? SECURE_OTA_OK : SECURE_OTA_E_CONFIG;
    while (r == SECURE_OTA_OK && at < size) {
        uint32_t n = size - at < PIECE ? size - at : PIECE;
        r = so_writer_read(w, at, piece, n);
        if (r == SECURE_OTA_OK && !so_sha256_update(&h, piece, n))
            r = SECURE_OTA_E_CONFIG;
        at += n;
    }
    if (r == SECURE_OTA_OK && !so_sha256_finish(&h, digest))
        r = SECURE_OTA_E_CONFIG;
    so_sha256_free(&h);
    return r;
}

/* sum adds the bytes of a segment to the checksum. */
static secure_ota_result sum(const so_writer *w, uint32_t at, uint32_t size, uint8_t *checksum)
{
    uint8_t piece[PIECE];
    while (size > 0) {
        uint32_t i, n = size < PIECE ? size : PIECE;
        secure_ota_result r = so_writer_read(w, at, piece, n);
        if (r != SECURE_OTA_OK)
            return r;
        for (i = 0; i < n; i++)
            *checksum ^= piece[i];
        at += n;
        size -= n;
    }
    return SECURE_OTA_OK;
}

/* segments walks the image and gives its length up to the byte of the checksum, which it compares. */
static secure_ota_result segments(const so_writer *w, unsigned count, uint32_t *length)
{
    uint8_t head[SEGMENT], checksum = SEED, stored;
    uint32_t at = HEADER;
    secure_ota_result r;
    for (; count > 0; count--) {
        uint32_t size;
        if ((r = so_writer_read(w, at, head, sizeof head)) != SECURE_OTA_OK)
            return r;
        size = so_le32(head + 4);
        at += SEGMENT;
        if (at > w->at || size > w->at - at)
            return SECURE_OTA_E_DAMAGED;
        if ((r = sum(w, at, size, &checksum)) != SECURE_OTA_OK)
            return r;
        at += size;
    }
    at |= 15; /* the checksum is the last byte of a row of 16 */
    if ((r = so_writer_read(w, at, &stored, 1)) != SECURE_OTA_OK)
        return r;
    *length = at + 1;
    return stored == checksum && *length <= w->at ? SECURE_OTA_OK : SECURE_OTA_E_DAMAGED;
}

static secure_ota_result whole(const so_writer *w, so_image *image)
{
    uint8_t head[HEADER], digest[SO_SHA256], stored[SO_SHA256];
    secure_ota_result r = so_writer_read(w, 0, head, sizeof head);
    if (r != SECURE_OTA_OK)
        return r;
    if (head[0] != IMAGE_MAGIC || head[1] == 0 || head[1] > MAX_SEGMENTS)
        return SECURE_OTA_E_DAMAGED;
    if (so_le16(head + CHIP_AT) != w->ota->config->chip_id)
        return SECURE_OTA_E_PRODUCT;
    if ((r = segments(w, head[1], &image->length)) != SECURE_OTA_OK)
        return r;
    image->hashed = head[HASHED_AT] == 1;
    if (!image->hashed)
        return SECURE_OTA_OK;
    if ((r = so_slot_digest(w, image->length, digest)) != SECURE_OTA_OK ||
        (r = so_writer_read(w, image->length, stored, sizeof stored)) != SECURE_OTA_OK)
        return r;
    image->length += SO_SHA256;
    return so_same(digest, stored, sizeof digest) && image->length <= w->at ? SECURE_OTA_OK : SECURE_OTA_E_DAMAGED;
}

/* Secure boot 1: version 0, r and s right behind the image. */
static secure_ota_result signature_v1(const so_writer *w, const so_image *image)
{
    uint8_t block[V1_SIZE], digest[SO_SHA256];
    secure_ota_result r;
    if (w->at < image->length || w->at - image->length < V1_SIZE)
        return SECURE_OTA_E_SIGNATURE;
    if ((r = so_writer_read(w, image->length, block, sizeof block)) != SECURE_OTA_OK || (r = so_slot_digest(w, image->length, digest)) != SECURE_OTA_OK)
        return r;
    return so_le32(block) == 0 && so_p256_verify(w->ota->config->keys.app_v1, digest, block + 4) ? SECURE_OTA_OK : SECURE_OTA_E_SIGNATURE;
}

static void mirror(uint8_t *p, size_t size)
{
    size_t i;
    for (i = 0; i < size / 2; i++) {
        uint8_t x = p[i];
        p[i] = p[size - 1 - i];
        p[size - 1 - i] = x;
    }
}

/* fits says whether a block of secure boot 2 is sound, of the key that must have signed, and over this app. */
static bool fits(const so_writer *w, const uint8_t *block, const uint8_t digest[SO_SHA256])
{
    uint8_t key[SO_SHA256];
    so_sha256 h;
    bool ok = so_sha256_start(&h) && so_sha256_update(&h, block + V2_MODULUS_AT, V2_KEY_SIZE) && so_sha256_finish(&h, key);
    so_sha256_free(&h);
    return ok && block[0] == 0xe7 && block[1] == 2 && so_le32(block + V2_CRC_AT) == so_crc32(0, block, V2_CRC_AT) &&
           so_le32(block + V2_EXPONENT_AT) == 65537 && so_same(key, w->ota->config->keys.app_v2_digest, sizeof key) &&
           so_same(block + V2_DIGEST_AT, digest, SO_SHA256);
}

/* Secure boot 2: up to three blocks in the sector behind the app. One that fits is
 * enough, but the ESP32 looks at the first alone. */
static secure_ota_result signature_v2(const so_writer *w, const so_image *image)
{
    uint32_t at = (image->length + V2_SECTOR - 1) / V2_SECTOR * V2_SECTOR;
    uint8_t *block = w->ota->sector, *der = block + V2_BLOCK, digest[SO_SHA256];
    secure_ota_blob key = {der, SO_DER_RSA3072};
    unsigned i, blocks = w->ota->config->chip_id == 0 ? 1 : V2_BLOCKS;
    secure_ota_result r;
    if (w->at < at || w->at - at < V2_SECTOR)
        return SECURE_OTA_E_SIGNATURE;
    if ((r = so_slot_digest(w, at, digest)) != SECURE_OTA_OK)
        return r;
    for (i = 0; i < blocks; i++, at += V2_BLOCK) {
        if ((r = so_writer_read(w, at, block, V2_BLOCK / 2)) != SECURE_OTA_OK ||
            (r = so_writer_read(w, at + V2_BLOCK / 2, block + V2_BLOCK / 2, V2_BLOCK / 2)) != SECURE_OTA_OK)
            return r;
        if (!fits(w, block, digest))
            continue;
        mirror(block + V2_MODULUS_AT, RSA3072);
        mirror(block + V2_SIGNATURE_AT, RSA3072);
        so_der_rsa3072(der, block + V2_MODULUS_AT);
        if (so_rsa_verify_pss(key, digest, block + V2_SIGNATURE_AT, RSA3072))
            return SECURE_OTA_OK;
    }
    return SECURE_OTA_E_SIGNATURE;
}

/* offered compares the descriptor in the slot with the one that the author signed. */
static secure_ota_result offered(const so_writer *w)
{
    uint8_t descriptor[SECURE_OTA_DESCRIPTOR];
    secure_ota_result r = so_writer_read(w, DESCRIPTOR_AT, descriptor, sizeof descriptor);
    if (r != SECURE_OTA_OK)
        return r;
    return memcmp(descriptor, w->ota->descriptor, sizeof descriptor) == 0 ? SECURE_OTA_OK : SECURE_OTA_E_BINDING;
}

secure_ota_result so_slot_verify(const so_writer *w)
{
    const secure_ota_keys *keys = &w->ota->config->keys;
    so_image image = {0, false};
    secure_ota_result r = whole(w, &image);
    if (r == SECURE_OTA_OK)
        r = offered(w);
    if (r == SECURE_OTA_OK && keys->app_v1.data != NULL)
        r = signature_v1(w, &image);
    if (r == SECURE_OTA_OK && keys->app_v2_digest != NULL)
        r = signature_v2(w, &image);
    return r;
}
