#include "encrypted_image.h"

#include <string.h>

#include "bytes.h"

enum { KEY_AT = 4, IV_AT = 388, SIZE_AT = 404, TAG_AT = 408, ZEROS_AT = 424 };

static const uint32_t magic = 0x0788b6cfu;

bool so_image_is(const uint8_t first[4]) { return so_le32(first) == magic; }

secure_ota_result so_image_parse(const uint8_t header[SO_IMAGE_HEADER], so_image_header *h)
{
    uint8_t rest = 0;
    size_t i;
    for (i = ZEROS_AT; i < SO_IMAGE_HEADER; i++)
        rest |= header[i];
    h->size = so_le32(header + SIZE_AT);
    memcpy(h->key, header + KEY_AT, sizeof h->key);
    memcpy(h->iv, header + IV_AT, sizeof h->iv);
    memcpy(h->tag, header + TAG_AT, sizeof h->tag);
    return so_image_is(header) && rest == 0 && h->size != 0 ? SECURE_OTA_OK : SECURE_OTA_E_FORMAT;
}

secure_ota_result so_image_start(const so_image_header *h, secure_ota_blob private_key, so_gcm *gcm)
{
    uint8_t key[SO_IMAGE_KEY];
    size_t size = 0;
    bool ok;
    if (!so_rsa_decrypt(private_key, h->key, sizeof h->key, key, sizeof key, &size) || size != SO_AES_KEY)
        memcpy(key, h->key, SO_AES_KEY);
    ok = so_gcm_start(gcm, key, h->iv);
    so_wipe(key, sizeof key);
    return ok ? SECURE_OTA_OK : SECURE_OTA_E_CONFIG;
}
