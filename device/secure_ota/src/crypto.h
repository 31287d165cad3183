/* What secure_ota needs of a crypto library. Two files implement it:
 * crypto_mbedtls.c on the classic functions of Mbed TLS 2.28 and 3.x,
 * crypto_psa.c on the PSA API, which is all that Mbed TLS 4 has. Functions
 * return true when it worked out. Keys are as in secure_ota_keys. */
#ifndef SECURE_OTA_CRYPTO_H
#define SECURE_OTA_CRYPTO_H

#include "secure_ota.h"

#if defined(SECURE_OTA_CRYPTO_PSA)
#include <psa/crypto.h>
typedef struct {
    psa_hash_operation_t op;
} so_sha256;
typedef struct {
    psa_aead_operation_t op;
    psa_key_id_t key;
} so_gcm;
#else
#include <mbedtls/gcm.h>
#include <mbedtls/sha256.h>
typedef struct {
    mbedtls_sha256_context op;
} so_sha256;
typedef struct {
    mbedtls_gcm_context op;
} so_gcm;
#endif

enum {
    SO_SHA256 = 32,
    SO_AES_KEY = 32,
    SO_GCM_IV = 16, /* not the usual 12: esp_encrypted_img has it so */
    SO_GCM_TAG = 16,
    SO_RSA_MAX = 512, /* bytes of an RSA-4096 modulus */
    SO_P256_POINT = 65,
    SO_P256_SIGNATURE = 64,
    SO_P256_SCALAR = 32
};

/* Once, before anything else. random is for backends that have none of their own. */
bool so_crypto_init(const secure_ota_random *random);

bool so_sha256_start(so_sha256 *h);
bool so_sha256_update(so_sha256 *h, const uint8_t *data, size_t size);
bool so_sha256_finish(so_sha256 *h, uint8_t digest[SO_SHA256]);
void so_sha256_free(so_sha256 *h); /* after start, always, also after finish */

/* One block, RSA PKCS #1 v1.5, with a private key. in has the size of the modulus. */
bool so_rsa_decrypt(secure_ota_blob key, const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size, size_t *out_len);

/* A signature over a SHA-256: RSA PKCS #1 v1.5, RSA-PSS (MGF1-SHA-256, salt 32), ECDSA on P-256 (r and s, big endian). */
bool so_rsa_verify(secure_ota_blob key, const uint8_t digest[SO_SHA256], const uint8_t *signature, size_t size);
bool so_rsa_verify_pss(secure_ota_blob key, const uint8_t digest[SO_SHA256], const uint8_t *signature, size_t size);
bool so_p256_verify(secure_ota_blob key, const uint8_t digest[SO_SHA256], const uint8_t signature[SO_P256_SIGNATURE]);

/* ECDH on P-256: x of the other's point (4, x, y) times a private key, all big endian.
 * SECURE_OTA_E_DAMAGED: no such point is on the curve; SECURE_OTA_E_CONFIG: the private key is none. */
secure_ota_result so_p256_agree(const uint8_t scalar[SO_P256_SCALAR], const uint8_t point[SO_P256_POINT], uint8_t shared[SO_P256_SCALAR]);

/* HMAC-SHA-256 with a key of 32 bytes. */
bool so_hmac_sha256(const uint8_t key[SO_SHA256], const uint8_t *data, size_t size, uint8_t mac[SO_SHA256]);

/* AES-256-GCM, decrypting as it comes. out_len may lag behind in_size; out must
 * have room for in_size + 16. finish gives what is left and compares the tag:
 * nothing that came out may be trusted before it has said true. */
bool so_gcm_start(so_gcm *g, const uint8_t key[SO_AES_KEY], const uint8_t iv[SO_GCM_IV]);
bool so_gcm_update(so_gcm *g, const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size, size_t *out_len);
bool so_gcm_finish(so_gcm *g, uint8_t *out, size_t out_size, size_t *out_len, const uint8_t tag[SO_GCM_TAG]);
void so_gcm_free(so_gcm *g); /* after start, always */

/* Overwrites what nobody must find later. */
void so_wipe(void *data, size_t size);

/* Equal, without telling by the time where they differ. */
bool so_same(const uint8_t *a, const uint8_t *b, size_t size);

#endif
