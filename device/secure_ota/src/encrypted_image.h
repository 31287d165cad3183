/* The header of ESP-IDF's esp_encrypted_img: the app under AES-256-GCM, its key
 * under the fleet's RSA-3072, or by ECIES for what chips make of a key in their fuses. */
#ifndef SECURE_OTA_ENCRYPTED_IMAGE_H
#define SECURE_OTA_ENCRYPTED_IMAGE_H

#include "crypto.h"

enum { SO_IMAGE_HEADER = 512, SO_IMAGE_KEY = 384 };

typedef struct {
    uint32_t size; /* bytes of cipher text, as many as the app has */
    uint8_t iv[SO_GCM_IV];
    uint8_t tag[SO_GCM_TAG];
    uint8_t key[SO_IMAGE_KEY]; /* encrypted */
} so_image_header;

/* Whether a file begins so. */
bool so_image_is(const uint8_t first[4]);

/* SECURE_OTA_E_FORMAT if this is no such header. */
secure_ota_result so_image_parse(const uint8_t header[SO_IMAGE_HEADER], so_image_header *h);

/* Finds the key of the image, with the device's own RSA key or its chip's HMACs, and starts
 * to decrypt; so_gcm_free after it if it says OK. An RSA key that does not open it goes on with
 * one that fits nothing: the tag will tell, and nobody can ask this device about the padding.
 * SECURE_OTA_E_CONFIG: the device has no such key; SECURE_OTA_E_DAMAGED: as so_ecies_key. */
secure_ota_result so_image_start(const so_image_header *h, const secure_ota_config *config, so_gcm *gcm);

#endif
