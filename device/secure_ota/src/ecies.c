#include "ecies.h"

#include <string.h>

/* The field: x and y of a public key made for the image, a salt, zeros. */
enum { SALT_AT = 64, ZEROS_AT = 96, SALT = ZEROS_AT - SALT_AT, ROUNDS = 2048 };

static const char info[] = "_esp_enc_img_ecc";

/* The salt of PBKDF2, which is the same for every device, and the number of the only block. */
static const uint8_t device_salt[] = {0x0e, 0x21, 0x60, 0x64, 0x2d, 0xae, 0x76, 0xd3, 0x34, 0x48, 0xe4, 0x3d, 0x77, 0x20, 0x12, 0x3d, 0x9f, 0x3b,
                                      0x1e, 0xce, 0xb8, 0x8e, 0x57, 0x3a, 0x4e, 0x8f, 0x7f, 0xb9, 0x4f, 0xf0, 0xc8, 0x69, 0,    0,    0,    1};

bool so_ecies_is(const uint8_t field[SO_ECIES_FIELD])
{
    uint8_t rest = 0;
    size_t i;
    for (i = ZEROS_AT; i < SO_ECIES_FIELD; i++)
        rest |= field[i];
    return rest == 0;
}

/* device_scalar is PBKDF2 with the chip's HMACs: the private key of the device. */
static bool device_scalar(const secure_ota_hmac *chip, uint8_t scalar[SO_P256_SCALAR])
{
    uint8_t mac[SO_SHA256];
    int round, i;
    bool ok = chip->calculate(chip->context, device_salt, sizeof device_salt, mac) == 0;
    memcpy(scalar, mac, sizeof mac);
    for (round = 1; ok && round < ROUNDS; round++) {
        uint8_t last[SO_SHA256];
        memcpy(last, mac, sizeof last);
        ok = chip->calculate(chip->context, last, sizeof last, mac) == 0;
        for (i = 0; i < SO_SHA256; i++)
            scalar[i] ^= mac[i];
        so_wipe(last, sizeof last);
    }
    so_wipe(mac, sizeof mac);
    return ok;
}

/* derive is HKDF-SHA-256 for a key of one block. */
static bool derive(const uint8_t shared[SO_P256_SCALAR], const uint8_t salt[SALT], uint8_t key[SO_AES_KEY])
{
    uint8_t prk[SO_SHA256], expand[sizeof info]; /* info without its zero, and the number of the block */
    bool ok = so_hmac_sha256(salt, shared, SO_P256_SCALAR, prk);
    memcpy(expand, info, sizeof info);
    expand[sizeof info - 1] = 1;
    ok = ok && so_hmac_sha256(prk, expand, sizeof expand, key);
    so_wipe(prk, sizeof prk);
    return ok;
}

secure_ota_result so_ecies_key(const secure_ota_hmac *chip, const uint8_t field[SO_ECIES_FIELD], uint8_t key[SO_AES_KEY])
{
    uint8_t scalar[SO_P256_SCALAR], shared[SO_P256_SCALAR], point[SO_P256_POINT];
    secure_ota_result r = SECURE_OTA_E_CONFIG;
    point[0] = 4; /* uncompressed */
    memcpy(point + 1, field, SO_P256_POINT - 1);
    if (chip->calculate != NULL && device_scalar(chip, scalar))
        r = so_p256_agree(scalar, point, shared);
    if (r == SECURE_OTA_OK && !derive(shared, field + SALT_AT, key))
        r = SECURE_OTA_E_CONFIG;
    so_wipe(scalar, sizeof scalar);
    so_wipe(shared, sizeof shared);
    return r;
}
