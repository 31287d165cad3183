/* The header of a slot bundle: an app that is encrypted for the flash already,
 * once for every address. docs/bundle.md has its form. */
#ifndef SECURE_OTA_BUNDLE_H
#define SECURE_OTA_BUNDLE_H

#include "crypto.h"

enum { SO_BUNDLE_HEADER = 4096 };

/* What a device needs to know of a bundle: the app, and the one slot that is for it. */
typedef struct {
    uint16_t chip_id;
    uint32_t plain_size;             /* bytes of the app with its signature */
    uint8_t plain_sha256[SO_SHA256]; /* of these */
    char product[65];
    const uint8_t *descriptor; /* in the header, 256 bytes */
    uint32_t offset;           /* of the slot's bytes in the file */
    uint32_t size;             /* how many */
    uint8_t sha256[SO_SHA256]; /* of these */
} so_bundle;

/* Whether a file begins so. */
bool so_bundle_is(const uint8_t first[8]);

/* Checks form and signature of a header and finds the slot for a target
 * address and FLASH_CRYPT_CONFIG. No number is believed before the signature
 * was found good. SECURE_OTA_E_FORMAT: it is none, or of a version that is not
 * known here. SECURE_OTA_E_SIZE: it has no slot for this device. */
secure_ota_result so_bundle_parse(const uint8_t header[SO_BUNDLE_HEADER], secure_ota_blob author, uint32_t target, uint8_t crypt_config, so_bundle *b);

#endif
