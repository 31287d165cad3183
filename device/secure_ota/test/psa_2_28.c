/* Mbed TLS 2.28, which Debian 12 has, declares the multi-part AEAD functions of
 * PSA and does not have them; 3.x and 4 do. For the tests of the PSA backend they
 * are here, on the library's own GCM; all other calls of that backend go to the
 * library itself. As PSA allows, they give out whole blocks and keep the rest until
 * the end. */
#include "crypto.h"
#include "library.h"

#if defined(SECURE_OTA_CRYPTO_PSA) && TEST_LIBRARY == 2

#include <mbedtls/gcm.h>
#include <string.h>

enum { BLOCK = 16 };

/* The tests have one key and one operation at a time. */
static uint8_t aes_key[32];
static mbedtls_gcm_context gcm;
static uint8_t held[BLOCK];
static size_t holds;

static psa_status_t status(int error) { return error == 0 ? PSA_SUCCESS : PSA_ERROR_GENERIC_ERROR; }

/* The linker puts this before psa_import_key: a key that went in does not come out again. */
psa_status_t __real_psa_import_key(const psa_key_attributes_t *attributes, const uint8_t *data, size_t size, psa_key_id_t *key);
psa_status_t __wrap_psa_import_key(const psa_key_attributes_t *attributes, const uint8_t *data, size_t size, psa_key_id_t *key);

psa_status_t __wrap_psa_import_key(const psa_key_attributes_t *attributes, const uint8_t *data, size_t size, psa_key_id_t *key)
{
    if (psa_get_key_type(attributes) == PSA_KEY_TYPE_AES && size == sizeof aes_key)
        memcpy(aes_key, data, size);
    return __real_psa_import_key(attributes, data, size, key);
}

psa_status_t psa_aead_decrypt_setup(psa_aead_operation_t *operation, psa_key_id_t key, psa_algorithm_t alg)
{
    psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
    psa_status_t s = psa_get_key_attributes(key, &attributes);
    if (s != PSA_SUCCESS || psa_get_key_algorithm(&attributes) != alg || alg != PSA_ALG_GCM ||
        psa_get_key_usage_flags(&attributes) != PSA_KEY_USAGE_DECRYPT)
        return PSA_ERROR_NOT_PERMITTED;
    if (operation->alg != 0)
        return PSA_ERROR_BAD_STATE;
    operation->alg = alg;
    holds = 0;
    mbedtls_gcm_init(&gcm);
    return status(mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, aes_key, 8 * sizeof aes_key));
}

psa_status_t psa_aead_set_nonce(psa_aead_operation_t *operation, const uint8_t *nonce, size_t size)
{
    return operation->alg == 0 ? PSA_ERROR_BAD_STATE : status(mbedtls_gcm_starts(&gcm, MBEDTLS_GCM_DECRYPT, nonce, size, NULL, 0));
}

psa_status_t psa_aead_update(psa_aead_operation_t *operation, const uint8_t *in, size_t size, uint8_t *out, size_t out_size, size_t *length)
{
    size_t n;
    *length = 0;
    if (operation->alg == 0)
        return PSA_ERROR_BAD_STATE;
    while (size > 0) {
        n = size < BLOCK - holds ? size : BLOCK - holds;
        memcpy(held + holds, in, n);
        holds += n;
        in += n;
        size -= n;
        if (holds < BLOCK)
            break;
        if (out_size - *length < BLOCK)
            return PSA_ERROR_BUFFER_TOO_SMALL;
        if (mbedtls_gcm_update(&gcm, BLOCK, held, out + *length) != 0)
            return PSA_ERROR_GENERIC_ERROR;
        *length += BLOCK;
        holds = 0;
    }
    return PSA_SUCCESS;
}

psa_status_t psa_aead_verify(psa_aead_operation_t *operation, uint8_t *out, size_t out_size, size_t *length, const uint8_t *tag, size_t tag_size)
{
    uint8_t got[16];
    *length = holds;
    if (operation->alg == 0 || tag_size != sizeof got || out_size < holds)
        return PSA_ERROR_BAD_STATE;
    if ((holds > 0 && mbedtls_gcm_update(&gcm, holds, held, out) != 0) || mbedtls_gcm_finish(&gcm, got, sizeof got) != 0)
        return PSA_ERROR_GENERIC_ERROR;
    psa_aead_abort(operation);
    return memcmp(got, tag, sizeof got) == 0 ? PSA_SUCCESS : PSA_ERROR_INVALID_SIGNATURE;
}

psa_status_t psa_aead_abort(psa_aead_operation_t *operation)
{
    if (operation->alg != 0)
        mbedtls_gcm_free(&gcm);
    operation->alg = 0;
    memset(aes_key, 0, sizeof aes_key);
    return PSA_SUCCESS;
}

#endif
