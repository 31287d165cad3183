#include "bundle.h"

#include <string.h>

#include "bytes.h"

enum {
    VERSION_AT = 8,
    COUNT_AT = 10,
    HEADER_SIZE_AT = 12,
    CHIP_AT = 16,
    ZERO_AT = 18,
    PLAIN_SIZE_AT = 20,
    PLAIN_SHA_AT = 24,
    PRODUCT_AT = 64,
    PRODUCT = 64,
    DESCRIPTOR_AT = 128,
    ZEROS_AT = 416,
    SLOTS_AT = 512,
    SIGNATURE_AT = 4032,
    SLOT = 64,
    MAX_SLOTS = 48,
    SLOT_OFFSET_AT = 4,
    SLOT_SIZE_AT = 8,
    SLOT_CIPHER_AT = 12,
    SLOT_CONFIG_AT = 13,
    SLOT_SHA_AT = 16,
    ALIGN = 4096,
    PAD = 32,
    MAX_APP = 16 << 20,
    ESP32 = 0, /* chip ID of the one that has a cipher of its own */
    CIPHER_ESP32 = 1,
    CIPHER_LAST = 3
};

static const uint32_t any_address = 0xffffffffu;

bool so_bundle_is(const uint8_t first[8]) { return memcmp(first, "SLOTBNDL", 8) == 0; }

static bool zero(const uint8_t *p, size_t size)
{
    while (size-- > 0)
        if (*p++ != 0)
            return false;
    return true;
}

static bool form(const uint8_t *h)
{
    unsigned count = so_le16(h + COUNT_AT);
    return so_bundle_is(h) && so_le16(h + VERSION_AT) == 1 && count >= 1 && count <= MAX_SLOTS &&
           so_le32(h + HEADER_SIZE_AT) == SO_BUNDLE_HEADER && zero(h + ZERO_AT, PLAIN_SIZE_AT - ZERO_AT) && zero(h + ZEROS_AT, SLOTS_AT - ZEROS_AT) &&
           zero(h + SLOTS_AT + count * SLOT, SIGNATURE_AT - SLOTS_AT - count * SLOT);
}

static bool signed_by(const uint8_t *h, secure_ota_blob author)
{
    uint8_t digest[SO_SHA256];
    so_sha256 sha;
    bool ok = so_sha256_start(&sha) && so_sha256_update(&sha, h, SIGNATURE_AT) && so_sha256_finish(&sha, digest);
    so_sha256_free(&sha);
    return ok && so_p256_verify(author, digest, h + SIGNATURE_AT);
}

static const uint8_t *slot_for(const uint8_t *h, uint32_t target, uint8_t config)
{
    unsigned i, count = so_le16(h + COUNT_AT);
    for (i = 0; i < count; i++) {
        const uint8_t *s = h + SLOTS_AT + i * SLOT;
        uint32_t address = so_le32(s);
        if ((address == target || address == any_address) && s[SLOT_CONFIG_AT] == config)
            return s;
    }
    return NULL;
}

/* sound holds the numbers of a slot against the form, whoever signed them. */
static bool sound(const so_bundle *b, uint8_t cipher)
{
    return (cipher == CIPHER_ESP32) == (b->chip_id == ESP32) && cipher >= CIPHER_ESP32 && cipher <= CIPHER_LAST && b->plain_size >= 1 && b->plain_size <= MAX_APP && b->size % PAD == 0 && b->size >= b->plain_size && b->size - b->plain_size < PAD &&
           b->offset % ALIGN == 0 && b->offset >= SO_BUNDLE_HEADER && b->offset <= UINT32_MAX - b->size;
}

secure_ota_result so_bundle_parse(const uint8_t header[SO_BUNDLE_HEADER], secure_ota_blob author, uint32_t target, uint8_t crypt_config, so_bundle *b)
{
    const uint8_t *slot;
    if (!form(header))
        return SECURE_OTA_E_FORMAT;
    if (!signed_by(header, author))
        return SECURE_OTA_E_SIGNATURE;
    b->chip_id = so_le16(header + CHIP_AT);
    b->plain_size = so_le32(header + PLAIN_SIZE_AT);
    memcpy(b->plain_sha256, header + PLAIN_SHA_AT, sizeof b->plain_sha256);
    memcpy(b->product, header + PRODUCT_AT, PRODUCT);
    b->product[PRODUCT] = 0;
    b->descriptor = header + DESCRIPTOR_AT;
    slot = slot_for(header, target, crypt_config);
    if (slot == NULL)
        return SECURE_OTA_E_SIZE;
    b->offset = so_le32(slot + SLOT_OFFSET_AT);
    b->size = so_le32(slot + SLOT_SIZE_AT);
    memcpy(b->sha256, slot + SLOT_SHA_AT, sizeof b->sha256);
    return sound(b, slot[SLOT_CIPHER_AT]) ? SECURE_OTA_OK : SECURE_OTA_E_FORMAT;
}
