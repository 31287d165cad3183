#include "manifest.h"

#include <string.h>

#include "crypto.h"

enum { SIGNATURE = 384 }; /* RSA-3072 */

static bool digest(const uint8_t *data, size_t size, uint8_t out[SO_SHA256])
{
    so_sha256 h;
    bool ok = so_sha256_start(&h) && so_sha256_update(&h, data, size) && so_sha256_finish(&h, out);
    so_sha256_free(&h);
    return ok;
}

secure_ota_result so_manifest_open(const secure_ota_keys *keys, const uint8_t manifest[SO_MANIFEST], uint8_t descriptor[SECURE_OTA_DESCRIPTOR])
{
    uint8_t plain[SO_MANIFEST_HALF], hash[SO_SHA256];
    size_t size = 0;
    bool ok = so_rsa_decrypt(keys->manifest_private, manifest, SO_MANIFEST_HALF, plain, sizeof plain, &size) && size == SECURE_OTA_DESCRIPTOR;
    if (ok)
        memcpy(descriptor, plain, SECURE_OTA_DESCRIPTOR);
    ok = ok && digest(descriptor, SECURE_OTA_DESCRIPTOR, hash) &&
         so_rsa_decrypt(keys->manifest_private, manifest + SO_MANIFEST_HALF, SO_MANIFEST_HALF, plain, sizeof plain, &size) && size == SIGNATURE &&
         so_rsa_verify(keys->manifest_author, hash, plain, SIGNATURE);
    if (!ok)
        memset(descriptor, 0, SECURE_OTA_DESCRIPTOR);
    return ok ? SECURE_OTA_OK : SECURE_OTA_E_MANIFEST;
}
