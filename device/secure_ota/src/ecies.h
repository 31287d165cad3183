/* ECIES as esp_encrypted_img has it: the key of an image is agreed upon with a P-256 key that
 * the chip makes of a key for HMACs in its fuses (purpose HMAC_UP). Nothing of it lies in the flash. */
#ifndef SECURE_OTA_ECIES_H
#define SECURE_OTA_ECIES_H

#include "crypto.h"

enum { SO_ECIES_FIELD = 384 };

/* Whether the field of the image's key is of this kind, and not a block of RSA-3072. */
bool so_ecies_is(const uint8_t field[SO_ECIES_FIELD]);

/* Computes the key of the image, in some 2050 HMACs of the chip and one multiplication.
 * SECURE_OTA_E_CONFIG: the chip gives no HMACs, or its key makes no key on P-256.
 * SECURE_OTA_E_DAMAGED: the field has no point of the curve. */
secure_ota_result so_ecies_key(const secure_ota_hmac *chip, const uint8_t field[SO_ECIES_FIELD], uint8_t key[SO_AES_KEY]);

#endif
