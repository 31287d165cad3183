/* A whole update from whatever a server sends: the first 1024 bytes are the
 * manifest, then four bytes that say how bad the line is, the rest is the
 * binary. Whatever comes, the old app boots, or one that passed every check. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { MANIFEST = 1024, LINE = 4 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bench b, fresh;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    data_folder = getenv("SECURE_OTA_DATA") != NULL ? getenv("SECURE_OTA_DATA") : "test/data";
    bench_keys();
    bench_init(&fresh, false);
    return 0;
}

static bool encrypts(void *context, uint8_t *config)
{
    (void)context;
    *config = 0xf;
    return true;
}

/* Two thousand of them are in an update. */
static int hmac(void *context, const uint8_t *data, size_t size, uint8_t mac[32])
{
    memset(mac, data[size - 1], 32);
    return context == NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    secure_ota_result r;
    if (size < MANIFEST + LINE)
        return 0;
    b = fresh;
    b.ota.config = &b.config;
    b.config.ports.flash = nor_port(&b.flash);
    b.config.ports.flash.encrypted = encrypts; /* so that bundles are taken; cipher and plain text are one here */
    b.config.ports.hmac.calculate = hmac;
    b.config.ports.http = site_port(&b.site);
    b.config.ports.clock = site_clock(&b.site);
    b.config.ports.log.context = &b;
    b.site.manifest.data = (uint8_t *)(uintptr_t)data;
    b.site.manifest.size = MANIFEST;
    b.site.cut = data[MANIFEST] * 16u;
    b.site.cuts = data[MANIFEST + 1] % 4;
    b.site.most = data[MANIFEST + 2];
    b.site.ranges = (data[MANIFEST + 3] & 1) == 0;
    b.site.says_total = (data[MANIFEST + 3] & 2) == 0;
    b.site.binary.data = (uint8_t *)(uintptr_t)(data + MANIFEST + LINE);
    b.site.binary.size = size - MANIFEST - LINE;
    r = perform_update(&b.ota);
    if (failures != 0 || b.site.open || (r != SECURE_OTA_OK && (b.flash.raw[0x20000] != 0xff || b.flash.raw[0xd000] != 0xff || b.flash.raw[0xe000] != 0xff)))
        abort();
    return 0;
}
