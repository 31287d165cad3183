/* Crypto that lets a fuzzer in: a signature holds and a block opens if the input
 * says so, and nothing is hashed for real. What is behind the signatures is what
 * is to be fuzzed; the signatures are the library's. */
#include <string.h>

#include "crypto.h"

bool so_crypto_init(const secure_ota_random *random) { return random != NULL; }

bool so_sha256_start(so_sha256 *h)
{
    memset(h, 0, sizeof *h);
    return true;
}

bool so_sha256_update(so_sha256 *h, const uint8_t *data, size_t size)
{
    uint8_t *sum = (uint8_t *)h;
    size_t i;
    for (i = 0; i < size; i++)
        sum[i % SO_SHA256] = (uint8_t)(sum[i % SO_SHA256] + data[i]);
    return true;
}

bool so_sha256_finish(so_sha256 *h, uint8_t digest[SO_SHA256])
{
    memcpy(digest, h, SO_SHA256);
    return true;
}

void so_sha256_free(so_sha256 *h) { (void)h; }

/* Opens to the first 256 or 384 bytes, as the last byte says. */
bool so_rsa_decrypt(secure_ota_blob key, const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size, size_t *out_len)
{
    static const size_t sizes[] = {256, 384, 32, 0};
    *out_len = sizes[in[in_size - 1] & 3];
    if (key.data == NULL || *out_len > out_size || *out_len > in_size)
        return false;
    memcpy(out, in, *out_len);
    return true;
}

bool so_rsa_verify(secure_ota_blob key, const uint8_t *digest, const uint8_t *signature, size_t size)
{
    (void)digest;
    return key.data != NULL && size > 0 && signature[0] != 0xff;
}

bool so_rsa_verify_pss(secure_ota_blob key, const uint8_t *digest, const uint8_t *signature, size_t size)
{
    return so_rsa_verify(key, digest, signature, size);
}

bool so_p256_verify(secure_ota_blob key, const uint8_t *digest, const uint8_t *signature)
{
    return so_rsa_verify(key, digest, signature, SO_P256_SIGNATURE);
}

/* A point with an odd last byte is on the curve. */
secure_ota_result so_p256_agree(const uint8_t *scalar, const uint8_t *point, uint8_t *shared)
{
    size_t i;
    for (i = 0; i < SO_P256_SCALAR; i++)
        shared[i] = scalar[i] ^ point[1 + i];
    return point[SO_P256_POINT - 1] & 1 ? SECURE_OTA_OK : SECURE_OTA_E_DAMAGED;
}

bool so_gcm_start(so_gcm *g, const uint8_t *key, const uint8_t *iv)
{
    (void)key;
    (void)iv;
    memset(g, 0, sizeof *g);
    return true;
}

bool so_gcm_update(so_gcm *g, const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size, size_t *out_len)
{
    (void)g;
    *out_len = in_size;
    if (in_size > out_size)
        return false;
    memcpy(out, in, in_size);
    return true;
}

bool so_gcm_finish(so_gcm *g, uint8_t *out, size_t out_size, size_t *out_len, const uint8_t *tag)
{
    (void)g;
    (void)out;
    (void)out_size;
    *out_len = 0;
    return tag[0] != 0xff;
}

void so_gcm_free(so_gcm *g) { (void)g; }
