/* The crypto by the PSA API: all that Mbed TLS 4 has, and what 3.x has too. */
#if defined(SECURE_OTA_CRYPTO_PSA)

#include "crypto.h"
#include "der.h"

bool so_crypto_init(const secure_ota_random *random)
{
    (void)random; /* PSA has its own */
    return psa_crypto_init() == PSA_SUCCESS;
}

bool so_sha256_start(so_sha256 *h)
{
    h->op = psa_hash_operation_init();
    return psa_hash_setup(&h->op, PSA_ALG_SHA_256) == PSA_SUCCESS;
}

bool so_sha256_update(so_sha256 *h, const uint8_t *data, size_t size) { return psa_hash_update(&h->op, data, size) == PSA_SUCCESS; }

bool so_sha256_finish(so_sha256 *h, uint8_t digest[SO_SHA256])
{
    size_t len;
    return psa_hash_finish(&h->op, digest, SO_SHA256, &len) == PSA_SUCCESS && len == SO_SHA256;
}

void so_sha256_free(so_sha256 *h) { psa_hash_abort(&h->op); }

static bool import(psa_key_id_t *id, psa_key_type_t type, size_t bits, psa_algorithm_t alg, psa_key_usage_t usage, const uint8_t *data, size_t size)
{
    psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
    psa_set_key_type(&attributes, type);
    psa_set_key_bits(&attributes, bits);
    psa_set_key_algorithm(&attributes, alg);
    psa_set_key_usage_flags(&attributes, usage);
    return psa_import_key(&attributes, data, size, id) == PSA_SUCCESS;
}

bool so_rsa_decrypt(secure_ota_blob der, const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size, size_t *out_len)
{
    secure_ota_blob key = so_der_private(der);
    psa_key_id_t id;
    bool ok;
    if (key.data == NULL || so_der_rsa_bits(key, true) != 8 * in_size ||
        !import(&id, PSA_KEY_TYPE_RSA_KEY_PAIR, 0, PSA_ALG_RSA_PKCS1V15_CRYPT, PSA_KEY_USAGE_DECRYPT, key.data, key.size))
        return false;
    ok = psa_asymmetric_decrypt(id, PSA_ALG_RSA_PKCS1V15_CRYPT, in, in_size, NULL, 0, out, out_size, out_len) == PSA_SUCCESS;
    psa_destroy_key(id);
    return ok;
}

static bool verify(secure_ota_blob key, psa_key_type_t type, psa_algorithm_t alg, const uint8_t *digest, const uint8_t *signature, size_t size)
{
    psa_key_id_t id;
    bool ok;
    if (key.data == NULL || !import(&id, type, 0, alg, PSA_KEY_USAGE_VERIFY_HASH, key.data, key.size))
        return false;
    ok = psa_verify_hash(id, alg, digest, SO_SHA256, signature, size) == PSA_SUCCESS;
    psa_destroy_key(id);
    return ok;
}

bool so_rsa_verify(secure_ota_blob key, const uint8_t digest[SO_SHA256], const uint8_t *signature, size_t size)
{
    return verify(so_der_public(key), PSA_KEY_TYPE_RSA_PUBLIC_KEY, PSA_ALG_RSA_PKCS1V15_SIGN(PSA_ALG_SHA_256), digest, signature, size);
}

bool so_rsa_verify_pss(secure_ota_blob key, const uint8_t digest[SO_SHA256], const uint8_t *signature, size_t size)
{
    return verify(so_der_public(key), PSA_KEY_TYPE_RSA_PUBLIC_KEY, PSA_ALG_RSA_PSS(PSA_ALG_SHA_256), digest, signature, size);
}

bool so_p256_verify(secure_ota_blob key, const uint8_t digest[SO_SHA256], const uint8_t signature[SO_P256_SIGNATURE])
{
    secure_ota_blob point = so_der_public(key);
    return point.size == SO_P256_POINT && verify(point, PSA_KEY_TYPE_ECC_PUBLIC_KEY(PSA_ECC_FAMILY_SECP_R1),
                                                 PSA_ALG_ECDSA(PSA_ALG_SHA_256), digest, signature, SO_P256_SIGNATURE);
}

secure_ota_result so_p256_agree(const uint8_t scalar[SO_P256_SCALAR], const uint8_t point[SO_P256_POINT], uint8_t shared[SO_P256_SCALAR])
{
    psa_key_id_t id;
    size_t size;
    psa_status_t s;
    if (!import(&id, PSA_KEY_TYPE_ECC_KEY_PAIR(PSA_ECC_FAMILY_SECP_R1), 8 * SO_P256_SCALAR, PSA_ALG_ECDH, PSA_KEY_USAGE_DERIVE, scalar, SO_P256_SCALAR))
        return SECURE_OTA_E_CONFIG;
    s = psa_raw_key_agreement(PSA_ALG_ECDH, id, point, SO_P256_POINT, shared, SO_P256_SCALAR, &size);
    psa_destroy_key(id);
    if (s == PSA_ERROR_INVALID_ARGUMENT)
        return SECURE_OTA_E_DAMAGED; /* the point: all else is right */
    return s == PSA_SUCCESS && size == SO_P256_SCALAR ? SECURE_OTA_OK : SECURE_OTA_E_CONFIG;
}

bool so_gcm_start(so_gcm *g, const uint8_t key[SO_AES_KEY], const uint8_t iv[SO_GCM_IV])
{
    g->op = psa_aead_operation_init();
    g->key = 0;
    return import(&g->key, PSA_KEY_TYPE_AES, 8 * SO_AES_KEY, PSA_ALG_GCM, PSA_KEY_USAGE_DECRYPT, key, SO_AES_KEY) &&
           psa_aead_decrypt_setup(&g->op, g->key, PSA_ALG_GCM) == PSA_SUCCESS &&
           psa_aead_set_nonce(&g->op, iv, SO_GCM_IV) == PSA_SUCCESS;
}

bool so_gcm_update(so_gcm *g, const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size, size_t *out_len)
{
    return psa_aead_update(&g->op, in, in_size, out, out_size, out_len) == PSA_SUCCESS;
}

bool so_gcm_finish(so_gcm *g, uint8_t *out, size_t out_size, size_t *out_len, const uint8_t tag[SO_GCM_TAG])
{
    return psa_aead_verify(&g->op, out, out_size, out_len, tag, SO_GCM_TAG) == PSA_SUCCESS;
}

void so_gcm_free(so_gcm *g)
{
    psa_aead_abort(&g->op);
    psa_destroy_key(g->key);
}

#else
typedef int so_other_backend; /* ISO C wants something in a file */
#endif
