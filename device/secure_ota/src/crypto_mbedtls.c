/* The crypto of Mbed TLS 2.28 and 3.x, by its classic functions. */
#if !defined(SECURE_OTA_CRYPTO_PSA)

#include "crypto.h"
#include "der.h"

#include <string.h>

#include <mbedtls/ecdsa.h>
#include <mbedtls/ecp.h>
#include <mbedtls/md.h>
#include <mbedtls/pk.h>
#include <mbedtls/rsa.h>
#include <mbedtls/version.h>

#define MBEDTLS_IS_3 (MBEDTLS_VERSION_NUMBER >= 0x03000000)

static const secure_ota_random *source;

static int fill(void *unused, unsigned char *data, size_t size)
{
    (void)unused;
    return source->fill(source->context, data, size);
}

bool so_crypto_init(const secure_ota_random *random)
{
    source = random;
    return random != NULL && random->fill != NULL;
}

bool so_sha256_start(so_sha256 *h)
{
    mbedtls_sha256_init(&h->op);
#if MBEDTLS_IS_3
    return mbedtls_sha256_starts(&h->op, 0) == 0;
#else
    return mbedtls_sha256_starts_ret(&h->op, 0) == 0;
#endif
}

bool so_sha256_update(so_sha256 *h, const uint8_t *data, size_t size)
{
#if MBEDTLS_IS_3
    return mbedtls_sha256_update(&h->op, data, size) == 0;
#else
    return mbedtls_sha256_update_ret(&h->op, data, size) == 0;
#endif
}

bool so_sha256_finish(so_sha256 *h, uint8_t digest[SO_SHA256])
{
#if MBEDTLS_IS_3
    return mbedtls_sha256_finish(&h->op, digest) == 0;
#else
    return mbedtls_sha256_finish_ret(&h->op, digest) == 0;
#endif
}

void so_sha256_free(so_sha256 *h) { mbedtls_sha256_free(&h->op); }

static bool private_key(mbedtls_pk_context *pk, secure_ota_blob der)
{
    secure_ota_blob key = so_der_private(der);
    if (key.data == NULL)
        return false;
#if MBEDTLS_IS_3
    if (mbedtls_pk_parse_key(pk, key.data, key.size, NULL, 0, fill, NULL) != 0)
        return false;
#else
    if (mbedtls_pk_parse_key(pk, key.data, key.size, NULL, 0) != 0)
        return false;
#endif
    return mbedtls_pk_get_type(pk) == MBEDTLS_PK_RSA;
}

bool so_rsa_decrypt(secure_ota_blob der, const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size, size_t *out_len)
{
    mbedtls_pk_context pk;
    bool ok;
    mbedtls_pk_init(&pk);
    ok = private_key(&pk, der) && mbedtls_pk_get_len(&pk) == in_size;
    if (ok) {
        mbedtls_rsa_context *rsa = mbedtls_pk_rsa(pk);
#if MBEDTLS_IS_3
        ok = mbedtls_rsa_set_padding(rsa, MBEDTLS_RSA_PKCS_V15, MBEDTLS_MD_NONE) == 0 &&
             mbedtls_rsa_pkcs1_decrypt(rsa, fill, NULL, out_len, in, out, out_size) == 0;
#else
        mbedtls_rsa_set_padding(rsa, MBEDTLS_RSA_PKCS_V15, MBEDTLS_MD_NONE);
        ok = mbedtls_rsa_pkcs1_decrypt(rsa, fill, NULL, MBEDTLS_RSA_PRIVATE, out_len, in, out, out_size) == 0;
#endif
    }
    mbedtls_pk_free(&pk);
    return ok;
}

static bool public_key(mbedtls_pk_context *pk, secure_ota_blob der)
{
    secure_ota_blob key = so_der_public(der);
    return key.data != NULL && mbedtls_pk_parse_public_key(pk, key.data, key.size) == 0 && mbedtls_pk_get_type(pk) == MBEDTLS_PK_RSA;
}

static bool rsa_verify(secure_ota_blob der, int padding, const uint8_t *digest, const uint8_t *signature, size_t size)
{
    mbedtls_pk_context pk;
    bool ok;
    mbedtls_pk_init(&pk);
    ok = public_key(&pk, der) && mbedtls_pk_get_len(&pk) == size;
    if (ok) {
        mbedtls_rsa_context *rsa = mbedtls_pk_rsa(pk);
#if MBEDTLS_IS_3
        ok = mbedtls_rsa_set_padding(rsa, padding, MBEDTLS_MD_SHA256) == 0;
        if (ok && padding == MBEDTLS_RSA_PKCS_V21)
            ok = mbedtls_rsa_rsassa_pss_verify_ext(rsa, MBEDTLS_MD_SHA256, SO_SHA256, digest, MBEDTLS_MD_SHA256, SO_SHA256, signature) == 0;
        else if (ok)
            ok = mbedtls_rsa_pkcs1_verify(rsa, MBEDTLS_MD_SHA256, SO_SHA256, digest, signature) == 0;
#else
        mbedtls_rsa_set_padding(rsa, padding, MBEDTLS_MD_SHA256);
        if (padding == MBEDTLS_RSA_PKCS_V21)
            ok = mbedtls_rsa_rsassa_pss_verify_ext(rsa, fill, NULL, MBEDTLS_RSA_PUBLIC, MBEDTLS_MD_SHA256, SO_SHA256, digest,
                                                   MBEDTLS_MD_SHA256, SO_SHA256, signature) == 0;
        else
            ok = mbedtls_rsa_pkcs1_verify(rsa, fill, NULL, MBEDTLS_RSA_PUBLIC, MBEDTLS_MD_SHA256, SO_SHA256, digest, signature) == 0;
#endif
    }
    mbedtls_pk_free(&pk);
    return ok;
}

bool so_rsa_verify(secure_ota_blob key, const uint8_t digest[SO_SHA256], const uint8_t *signature, size_t size)
{
    return rsa_verify(key, MBEDTLS_RSA_PKCS_V15, digest, signature, size);
}

bool so_rsa_verify_pss(secure_ota_blob key, const uint8_t digest[SO_SHA256], const uint8_t *signature, size_t size)
{
    return rsa_verify(key, MBEDTLS_RSA_PKCS_V21, digest, signature, size);
}

bool so_p256_verify(secure_ota_blob key, const uint8_t digest[SO_SHA256], const uint8_t signature[SO_P256_SIGNATURE])
{
    secure_ota_blob point = so_der_public(key);
    mbedtls_ecp_group group;
    mbedtls_ecp_point q;
    mbedtls_mpi r, s;
    bool ok;
    if (point.data == NULL || point.size != SO_P256_POINT)
        return false;
    mbedtls_ecp_group_init(&group);
    mbedtls_ecp_point_init(&q);
    mbedtls_mpi_init(&r);
    mbedtls_mpi_init(&s);
    ok = mbedtls_ecp_group_load(&group, MBEDTLS_ECP_DP_SECP256R1) == 0 &&
         mbedtls_ecp_point_read_binary(&group, &q, point.data, point.size) == 0 && mbedtls_ecp_check_pubkey(&group, &q) == 0 &&
         mbedtls_mpi_read_binary(&r, signature, 32) == 0 && mbedtls_mpi_read_binary(&s, signature + 32, 32) == 0 &&
         mbedtls_ecdsa_verify(&group, digest, SO_SHA256, &q, &r, &s) == 0;
    mbedtls_mpi_free(&s);
    mbedtls_mpi_free(&r);
    mbedtls_ecp_point_free(&q);
    mbedtls_ecp_group_free(&group);
    return ok;
}

/* x_of_product writes x of point times scalar. The library blinds with the random numbers of the port. */
static secure_ota_result x_of_product(mbedtls_ecp_group *group, const mbedtls_mpi *scalar, mbedtls_ecp_point *point, uint8_t x[SO_P256_SCALAR])
{
    uint8_t product[SO_P256_POINT];
    size_t size = 0;
    if (mbedtls_ecp_check_privkey(group, scalar) != 0 || mbedtls_ecp_mul(group, point, scalar, point, fill, NULL) != 0 ||
        mbedtls_ecp_point_write_binary(group, point, MBEDTLS_ECP_PF_UNCOMPRESSED, &size, product, sizeof product) != 0 || size != sizeof product)
        return SECURE_OTA_E_CONFIG;
    memcpy(x, product + 1, SO_P256_SCALAR);
    so_wipe(product, sizeof product);
    return SECURE_OTA_OK;
}

secure_ota_result so_p256_agree(const uint8_t scalar[SO_P256_SCALAR], const uint8_t point[SO_P256_POINT], uint8_t shared[SO_P256_SCALAR])
{
    mbedtls_ecp_group group;
    mbedtls_ecp_point q;
    mbedtls_mpi d;
    secure_ota_result r = SECURE_OTA_E_CONFIG;
    mbedtls_ecp_group_init(&group);
    mbedtls_ecp_point_init(&q);
    mbedtls_mpi_init(&d);
    if (mbedtls_ecp_group_load(&group, MBEDTLS_ECP_DP_SECP256R1) == 0 && mbedtls_mpi_read_binary(&d, scalar, SO_P256_SCALAR) == 0)
        r = mbedtls_ecp_point_read_binary(&group, &q, point, SO_P256_POINT) == 0 && mbedtls_ecp_check_pubkey(&group, &q) == 0
                ? x_of_product(&group, &d, &q, shared)
                : SECURE_OTA_E_DAMAGED;
    mbedtls_mpi_free(&d);
    mbedtls_ecp_point_free(&q);
    mbedtls_ecp_group_free(&group);
    return r;
}

bool so_gcm_start(so_gcm *g, const uint8_t key[SO_AES_KEY], const uint8_t iv[SO_GCM_IV])
{
    mbedtls_gcm_init(&g->op);
    if (mbedtls_gcm_setkey(&g->op, MBEDTLS_CIPHER_ID_AES, key, 8 * SO_AES_KEY) != 0)
        return false;
#if MBEDTLS_IS_3
    return mbedtls_gcm_starts(&g->op, MBEDTLS_GCM_DECRYPT, iv, SO_GCM_IV) == 0;
#else
    return mbedtls_gcm_starts(&g->op, MBEDTLS_GCM_DECRYPT, iv, SO_GCM_IV, NULL, 0) == 0;
#endif
}

bool so_gcm_update(so_gcm *g, const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size, size_t *out_len)
{
#if MBEDTLS_IS_3
    return mbedtls_gcm_update(&g->op, in, in_size, out, out_size, out_len) == 0;
#else
    *out_len = in_size;
    return in_size <= out_size && mbedtls_gcm_update(&g->op, in_size, in, out) == 0;
#endif
}

bool so_gcm_finish(so_gcm *g, uint8_t *out, size_t out_size, size_t *out_len, const uint8_t tag[SO_GCM_TAG])
{
    uint8_t got[SO_GCM_TAG];
#if MBEDTLS_IS_3
    if (mbedtls_gcm_finish(&g->op, out, out_size, out_len, got, sizeof got) != 0)
        return false;
#else
    (void)out;
    (void)out_size;
    *out_len = 0;
    if (mbedtls_gcm_finish(&g->op, got, sizeof got) != 0)
        return false;
#endif
    return so_same(got, tag, sizeof got);
}

void so_gcm_free(so_gcm *g) { mbedtls_gcm_free(&g->op); }

#else
typedef int so_other_backend; /* ISO C wants something in a file */
#endif
