#include "encrypted_image.h"

#include <string.h>

#include "bytes.h"
#include "ecies.h"

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

/* unwrap opens the key of the image with the fleet's RSA key. */
static secure_ota_result unwrap(secure_ota_blob private_key, const uint8_t wrapped[SO_IMAGE_KEY], uint8_t key[SO_AES_KEY])
{
    uint8_t opened[SO_IMAGE_KEY];
    size_t size = 0;
    if (private_key.data == NULL)
        return SECURE_OTA_E_CONFIG;
    if (!so_rsa_decrypt(private_key, wrapped, SO_IMAGE_KEY, opened, sizeof opened, &size) || size != SO_AES_KEY)
        memcpy(opened, wrapped, SO_AES_KEY);
    memcpy(key, opened, SO_AES_KEY);
    so_wipe(opened, sizeof opened);
    return SECURE_OTA_OK;
}

secure_ota_result so_image_start(const so_image_header *h, const secure_ota_config *config, so_gcm *gcm)
{
    uint8_t key[SO_AES_KEY];
    secure_ota_result r =
        so_ecies_is(h->key) ? so_ecies_key(&config->ports.hmac, h->key, key) : unwrap(config->keys.image_private, h->key, key);
    if (r == SECURE_OTA_OK && !so_gcm_start(gcm, key, h->iv)) {
        so_gcm_free(gcm);
        r = SECURE_OTA_E_CONFIG;
    }
    so_wipe(key, sizeof key);
    return r;
}
