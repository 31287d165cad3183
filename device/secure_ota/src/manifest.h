/* The manifest: an app's descriptor and its signature, both encrypted to the
 * fleet's key. docs/bundle.md has its form. */
#ifndef SECURE_OTA_MANIFEST_H
#define SECURE_OTA_MANIFEST_H

#include "secure_ota.h"

enum { SO_MANIFEST = 1024, SO_MANIFEST_HALF = 512 };

/* Opens and verifies a manifest and gives the descriptor. Whatever is wrong with
 * it, the result is SECURE_OTA_E_MANIFEST: who sends one learns no more. */
secure_ota_result so_manifest_open(const secure_ota_keys *keys, const uint8_t manifest[SO_MANIFEST], uint8_t descriptor[SECURE_OTA_DESCRIPTOR]);

#endif
