#include "bench.h"

#include <stdio.h>
#include <string.h>

#include "crypto.h"

blob key_manifest, key_author, key_image, key_bundle, key_v1, key_v2, key_flash, key_hmac;

void bench_keys(void)
{
    static const secure_ota_random random = {NULL, bench_random};
    key_manifest = load("manifest.der");
    key_author = load("author.der");
    key_image = load("image.der");
    key_bundle = load("bundle.der");
    key_v1 = load("v1.der");
    key_v2 = load("v2.digest");
    key_flash = load("flash.key");
    key_hmac = load("hmac.key");
    CHECK(so_crypto_init(&random));
}

void bench_keys_free(void)
{
    unload(key_manifest);
    unload(key_author);
    unload(key_image);
    unload(key_bundle);
    unload(key_v1);
    unload(key_v2);
    unload(key_flash);
    unload(key_hmac);
}

static secure_ota_blob key(blob b)
{
    secure_ota_blob k = {b.data, b.size};
    return k;
}

/* Blinding needs numbers that an attacker does not know; a test needs the same ones each time. */
int bench_random(void *context, unsigned char *data, size_t size)
{
    static uint32_t x = 1;
    (void)context;
    while (size-- > 0) {
        x = x * 1664525u + 1013904223u;
        *data++ = (unsigned char)(x >> 24 | 1);
    }
    return 0;
}

int bench_hmac(void *context, const uint8_t *data, size_t size, uint8_t mac[32])
{
    return so_hmac_sha256(context, data, size, mac) ? 0 : -1;
}

static void say(void *context, bool error, const char *text, uint32_t number)
{
    bench *b = context;
    snprintf(b->said, sizeof b->said, "%s %s %u", error ? "error:" : "info:", text, number);
}

static void progress(void *context, uint32_t done, uint32_t total)
{
    bench *b = context;
    CHECK(done >= b->done, "progress goes back from %u to %u", b->done, done);
    b->done = done;
    b->total = total;
}

void bench_init(bench *b, bool encrypts)
{
    blob table = load("table.bin"), running = load("running.bin");
    uint8_t erased[0x2000];
    memset(b, 0, sizeof *b);
    memset(erased, 0xff, sizeof erased);
    nor_init(&b->flash, encrypts, key_flash.data);
    nor_put(&b->flash, 0x8000, table.data, table.size);
    nor_put(&b->flash, 0xd000, erased, sizeof erased);
    nor_put(&b->flash, 0x10000, running.data, running.size);
    b->flash.running = 0x10000;
    site_init(&b->site);
    b->config.ports.flash = nor_port(&b->flash);
    b->config.ports.http = site_port(&b->site);
    b->config.ports.clock = site_clock(&b->site);
    b->config.ports.log.context = b;
    b->config.ports.log.say = say;
    b->config.ports.log.progress = progress;
    b->config.ports.random.fill = bench_random;
    b->config.ports.hmac.context = key_hmac.data;
    b->config.ports.hmac.calculate = bench_hmac;
    b->config.keys.manifest_private = key(key_manifest);
    b->config.keys.manifest_author = key(key_author);
    b->config.keys.image_private = key(key_image);
    b->config.keys.bundle_author = key(key_bundle);
    b->config.keys.app_v1 = key(key_v1);
    b->config.device_type = "station-example";
    unload(table);
    unload(running);
    CHECK(secure_ota_init(&b->ota, &b->config) == SECURE_OTA_OK);
}

void bench_offer(bench *b, const char *manifest, const char *binary)
{
    char name[64];
    unload(b->site.manifest);
    unload(b->site.binary);
    snprintf(name, sizeof name, "%s.manifest", manifest);
    b->site.manifest = load(name);
    b->site.binary = load(binary);
    b->done = b->total = 0;
}

void bench_free(bench *b)
{
    unload(b->site.manifest);
    unload(b->site.binary);
    b->site.manifest.data = b->site.binary.data = NULL;
    CHECK(!b->site.open, "a connection is still open");
}

const char *bench_version(bench *b, uint32_t address)
{
    static char version[33];
    uint8_t d[64];
    if (address == 0)
        return "";
    nor_get(&b->flash, address + 32, d, sizeof d);
    memcpy(version, d + 16, 32);
    return d[0] == 0x32 && d[1] == 0x54 ? version : "";
}
