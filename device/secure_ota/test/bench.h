/* A device for tests: flash, server, keys and the component together. */
#ifndef BENCH_H
#define BENCH_H

#include "nor.h"
#include "secure_ota.h"
#include "site.h"

typedef struct {
    nor flash;
    site site;
    secure_ota_config config;
    secure_ota ota;
    char said[512];
    uint32_t done, total;
} bench;

/* The keys of the test data, loaded once. */
void bench_keys(void);
void bench_keys_free(void);

/* A device that runs version 1.0.0 in ota_0, with ota_1 at 0x20000 empty. */
void bench_init(bench *b, bool encrypts);

/* What a server has for it: manifest NAME.manifest and a binary. */
void bench_offer(bench *b, const char *manifest, const char *binary);
void bench_free(bench *b);

/* The version of the app at an address; "" if there is none. */
const char *bench_version(bench *b, uint32_t address);

int bench_random(void *context, unsigned char *data, size_t size);

/* The chip's peripheral, with the 32 bytes of context in its fuses. */
int bench_hmac(void *context, const uint8_t *data, size_t size, uint8_t mac[32]);

extern blob key_manifest, key_author, key_image, key_bundle, key_v1, key_v2, key_flash, key_hmac;

#endif
