/* What stands in a slot, looked at as the bootloader will: image, checksum,
 * digest, signature, and whether it is the app that was offered. */
#ifndef SECURE_OTA_VERIFY_H
#define SECURE_OTA_VERIFY_H

#include "crypto.h"
#include "writer.h"

/* SHA-256 over the first size bytes of the slot. */
secure_ota_result so_slot_digest(const so_writer *w, uint32_t size, uint8_t digest[SO_SHA256]);

/* Checks the image in a slot into which w->at bytes were written. */
secure_ota_result so_slot_verify(const so_writer *w);

#endif
