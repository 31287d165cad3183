/* The ports of secure_ota: what it needs of the world, as functions that the
 * firmware gives it. Each has a context that it gets back with every call. */
#ifndef SECURE_OTA_PORT_H
#define SECURE_OTA_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The flash, by absolute address. Functions return 0, or anything else for an
 * error. Addresses and lengths are multiples of 16 in reads and writes, of 4096
 * in erase. The plain ones pass through the chip's flash encryption where that
 * is on (a write encrypts, a read decrypts); the raw ones never do. */
typedef struct {
    void *context;
    int (*read)(void *context, uint32_t address, void *data, size_t size);
    int (*write)(void *context, uint32_t address, const void *data, size_t size);
    int (*write_raw)(void *context, uint32_t address, const void *data, size_t size);
    int (*erase)(void *context, uint32_t address, size_t size);
    /* Whether flash encryption is on, and FLASH_CRYPT_CONFIG of an ESP32 (0
     * everywhere else). Null: it is off. */
    bool (*encrypted)(void *context, uint8_t *crypt_config);
    /* Address of the app partition that runs. */
    uint32_t (*running)(void *context);
    /* The least secure version that the fuses let boot. Null: 0. */
    uint32_t (*secure_version)(void *context);
} secure_ota_flash;

/* What a server says before the body. */
typedef struct {
    int status;         /* 200, 206, 404 … */
    uint32_t first;     /* offset of the body's first byte in the file: 0 for 200, of Content-Range for 206 */
    uint32_t total;     /* bytes of the whole file; 0: the server did not say */
    char etag[72];      /* with its quotes; empty: none, or too long to keep */
    char release[20];   /* of the header Station-Release: digits; empty: none, or too long */
} secure_ota_answer;

enum { SECURE_OTA_TO_END = 0 };

/* HTTP over TLS. The port knows the server's address and name, which it must
 * verify, and the device's credentials. */
typedef struct {
    void *context;
    /* Connects and asks GET path. first is the offset of the first byte wanted
     * and count how many, SECURE_OTA_TO_END for all from there on; with either
     * of them not zero the request has a Range header, and with etag not empty
     * If-Range too. 0 if there was an answer, of whatever status. */
    int (*open)(void *context, const char *path, uint32_t first, uint32_t count, const char *etag, secure_ota_answer *answer);
    /* Up to size bytes of the body. 0: it has ended. Negative: the connection is lost. */
    int (*read)(void *context, void *data, size_t size);
    void (*close)(void *context);
    /* Connects, POSTs a text to path as application/json and closes. 0 if there was
     * an answer, of whatever status. Null: the server is never told how an update
     * ended. Never called between open and close. */
    int (*post)(void *context, const char *path, const char *json, int *status);
} secure_ota_http;

typedef struct {
    void *context;
    void (*sleep)(void *context, uint32_t milliseconds);
} secure_ota_clock;

typedef struct {
    void *context;
    /* A sentence, and a number that belongs to it (an address, bytes, a status). */
    void (*say)(void *context, bool error, const char *text, uint32_t number);
    /* Bytes of the binary that are in the flash, of how many (0: not known). May be null. */
    void (*progress)(void *context, uint32_t done, uint32_t total);
} secure_ota_log;

/* Random bytes for blinding: fills data, returns 0. Used by the backend for Mbed TLS
 * 2 and 3; PSA has its own. */
typedef struct {
    void *context;
    int (*fill)(void *context, unsigned char *data, size_t size);
} secure_ota_random;

/* The HMAC peripheral of the chips that have one, with the key in the block that the firmware
 * names (purpose HMAC_UP), which no software can read. A device with it opens images that were
 * encrypted for that key (ECIES); some 2050 calls each, of at most 36 bytes. */
typedef struct {
    void *context;
    /* HMAC-SHA-256 of data under the key. 0, or anything else for an error. Null: there is none. */
    int (*calculate)(void *context, const uint8_t *data, size_t size, uint8_t mac[32]);
} secure_ota_hmac;

typedef struct {
    secure_ota_flash flash;
    secure_ota_http http;
    secure_ota_clock clock; /* sleep may be null: never waits */
    secure_ota_log log;     /* say may be null: says nothing */
    secure_ota_random random;
    secure_ota_hmac hmac; /* calculate may be null: takes no ECIES images */
} secure_ota_ports;

#endif
