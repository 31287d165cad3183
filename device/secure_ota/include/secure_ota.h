/* secure_ota: firmware updates that a device can trust.
 *
 * A device asks its update server for the newest firmware of its type, checks
 * the manifest, downloads the binary into the slot that does not run, checks
 * what is in the flash, and only then lets the bootloader choose it. After the
 * restart the new firmware confirms that it works, or the old one comes back.
 *
 * Nothing here calls an operating system. What is outside is reached by the
 * ports of secure_ota_port.h; secure_ota_esp_idf.h has those for ESP-IDF.
 * Nothing here allocates: the only memory is secure_ota itself, about 5.5 KiB, and
 * what the crypto library takes while it works. One task at a time may use one
 * secure_ota; two of them must not share a flash.
 *
 * Typical use, in a task with 8 KiB of stack:
 *
 *     static secure_ota ota;
 *     secure_ota_init(&ota, &config);
 *     if (check_for_update(&ota) == SECURE_OTA_OK &&
 *         perform_update(&ota) == SECURE_OTA_OK)
 *         esp_restart();
 *
 * and in the new firmware, once it has done what it is for:
 *
 *     secure_ota_confirm(&ota);
 */
#ifndef SECURE_OTA_H
#define SECURE_OTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "secure_ota_port.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a call ended with. Zero is success. Every other end leaves the firmware
 * that runs as it was, and the bootloader's choice too. */
typedef enum {
    SECURE_OTA_OK = 0,
    SECURE_OTA_NO_UPDATE,       /* the server has nothing newer: not an error */
    SECURE_OTA_E_CONFIG,        /* a port, a key or a name is missing, or a key cannot be read */
    SECURE_OTA_E_CONNECTION,    /* the server cannot be reached, or the connection was lost too often */
    SECURE_OTA_E_DENIED,        /* the server knows this device and refuses it (401, 403) */
    SECURE_OTA_E_SERVER,        /* the server answered what no update server answers */
    SECURE_OTA_E_MANIFEST,      /* the manifest is not for this fleet, or not signed by its author */
    SECURE_OTA_E_PRODUCT,       /* it is firmware for another product or another chip */
    SECURE_OTA_E_OLDER,         /* it is older than what runs, or below the secure version of the fuses */
    SECURE_OTA_E_FAILED_BEFORE, /* this very firmware was tried and did not confirm itself */
    SECURE_OTA_E_UNCONFIRMED,   /* what runs is not confirmed itself yet: the slot to write to is the way back */
    SECURE_OTA_E_CHANGED,       /* the server's file changed while it was downloaded: try again later */
    SECURE_OTA_E_FORMAT,        /* the binary is in no form that is known here */
    SECURE_OTA_E_DAMAGED,       /* the binary is not what its maker sealed: tag, checksum or digest is wrong */
    SECURE_OTA_E_SIGNATURE,     /* bundle or app is not signed by the key that must have signed it */
    SECURE_OTA_E_BINDING,       /* the binary is whole, but not the one that the manifest speaks of */
    SECURE_OTA_E_SIZE,          /* the app is larger than the slot, or the bundle has nothing for this slot */
    SECURE_OTA_E_NO_SLOT,       /* the partition table has no slot to write to, or no otadata */
    SECURE_OTA_E_FLASH,         /* reading, erasing or writing the flash went wrong */
    SECURE_OTA_RESULTS          /* how many there are */
} secure_ota_result;

/* A sentence for a log, in English, without a full stop. Never null. */
const char *secure_ota_text(secure_ota_result result);

/* A key or certificate as it lies in the firmware. data may be null: no such key. */
typedef struct {
    const uint8_t *data;
    size_t size; /* bytes */
} secure_ota_blob;

/* The keys that a device holds. RSA private keys are DER, PKCS #1 or PKCS #8
 * (`openssl pkey -outform DER`); public keys are DER, SubjectPublicKeyInfo
 * (`openssl pkey -pubout -outform DER`) or PKCS #1. */
typedef struct {
    secure_ota_blob manifest_private; /* RSA-4096: opens the manifest */
    secure_ota_blob manifest_author;  /* RSA-3072, public: signed the manifest */
    secure_ota_blob image_private;    /* RSA-3072: opens esp_encrypted_img; null if the fleet uses bundles, or its chips' own keys (ports.hmac) */
    secure_ota_blob bundle_author;    /* P-256, public: signed the bundle; null if the fleet uses esp_encrypted_img */
    secure_ota_blob app_v1;           /* P-256, public: signed the app for secure boot 1; or null */
    const uint8_t *app_v2_digest;     /* 32 bytes, as in the fuses: the key that signed the app for secure boot 2; or null */
} secure_ota_keys;

typedef struct {
    secure_ota_ports ports;
    secure_ota_keys keys;
    const char *device_type;      /* as the server knows it: letters, digits and -_.~, at most 63 */
    const char *manifest_path;    /* null: /update/newest/manifest */
    const char *binary_path;      /* null: /update/newest/binary */
    const char *result_path;      /* null: /files/DEVICE_TYPE/result */
    uint16_t chip_id;             /* of the image header: 0 ESP32, 2 ESP32-S2, 9 ESP32-S3, 5 ESP32-C3 … */
    uint32_t table_address;       /* of the partition table in the flash; 0: 0x8000 */
    bool rollback;                /* the bootloader was built with CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE */
    unsigned attempts;            /* connections in a row that may bring nothing before giving up; 0: 5 */
} secure_ota_config;

/* The app descriptor of ESP-IDF (esp_app_desc_t), as far as it is used here.
 * Texts end with a zero. */
typedef struct {
    uint32_t secure_version;
    char version[33];
    char project[33];
    uint8_t elf_sha256[32];
} secure_ota_app;

enum { SECURE_OTA_DESCRIPTOR = 256, SECURE_OTA_SECTOR = 4096 };

/* The state of one update. What is in it is nobody else's business, but for app. */
typedef struct {
    secure_ota_app app; /* what was offered, after check_for_update gave SECURE_OTA_OK */
    const secure_ota_config *config;
    bool offered;
    bool told;        /* how the last update ended: this has been done since the start */
    uint64_t release; /* by which the server knows what it offers; 0: it did not say */
    uint8_t descriptor[SECURE_OTA_DESCRIPTOR];
    uint8_t sector[SECURE_OTA_SECTOR];
    uint8_t input[1024];
} secure_ota;

/* Makes ota ready. config is kept, not copied: it must live as long as ota.
 * SECURE_OTA_E_CONFIG if something that is always needed is missing. */
secure_ota_result secure_ota_init(secure_ota *ota, const secure_ota_config *config);

/* Asks the server whether there is newer firmware for this device: fetches the
 * manifest (1024 bytes), opens it, verifies its signature, and decides. Changes
 * nothing in the flash. Takes a round trip and one RSA-4096 private operation
 * for each half of the manifest, a few seconds on an ESP32 in all.
 *
 * SECURE_OTA_OK: there is, and ota->app tells which. SECURE_OTA_NO_UPDATE: the
 * server has none, or has what runs already.
 *
 * The first time after a start it tells the server how the last update ended, if
 * the server gave that a number (see secure_ota_report). */
secure_ota_result check_for_update(secure_ota *ota);

/* Downloads the newest firmware into the slot that does not run, checks it and
 * lets the bootloader choose it. Asks check_for_update first if that was not
 * done. A lost connection is taken up again where it broke. Takes as long as
 * the download and the erasing of the slot (about 45 ms for each 4 KiB).
 *
 * SECURE_OTA_OK: restart the chip now; the new firmware starts. Any other end:
 * what runs goes on running, also after a restart, and whatever is in the other
 * slot does not boot. May be interrupted by a power cut at any moment. */
secure_ota_result perform_update(secure_ota *ota);

/* Says that the firmware that runs works. Until then a bootloader with rollback
 * goes back to the firmware before at the next restart. May be called at every
 * start; does nothing where there is nothing to confirm. */
secure_ota_result secure_ota_confirm(secure_ota *ota);

/* Says that the firmware that runs does not work: after the restart, which is
 * the caller's, the bootloader boots the one before. SECURE_OTA_E_NO_SLOT if
 * there is none to go back to. */
secure_ota_result secure_ota_reject(secure_ota *ota);

/* Tells the server how the update that was chosen last ended: well, if its
 * firmware runs and is confirmed; badly, if it runs no longer. check_for_update
 * does this by itself; a firmware that does not ask again for hours may call it
 * once it has confirmed itself. What ends in check_for_update or perform_update is
 * told there. SECURE_OTA_OK also if there is nothing to tell. */
secure_ota_result secure_ota_report(secure_ota *ota);

/* Whether the firmware that runs waits for secure_ota_confirm. */
bool secure_ota_unconfirmed(secure_ota *ota);

#ifdef __cplusplus
}
#endif

#endif
