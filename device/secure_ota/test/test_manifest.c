/* Manifests. */
#include <string.h>

#include "bench.h"
#include "crypto.h"
#include "manifest.h"

static secure_ota_result open(const uint8_t *manifest, blob author, uint8_t descriptor[256])
{
    secure_ota_keys keys;
    memset(&keys, 0, sizeof keys);
    keys.manifest_private.data = key_manifest.data;
    keys.manifest_private.size = key_manifest.size;
    keys.manifest_author.data = author.data;
    keys.manifest_author.size = author.size;
    return so_manifest_open(&keys, manifest, descriptor);
}

/* Both halves of the environment's own open to what they were made of. */
static void known(void)
{
    blob good = load("../../../../fixtures/fota/man.manifest"), bad = load("../../../../fixtures/fota/bad.manifest");
    blob d = load("../../../../fixtures/fota/desc.bin"), sig = load("../../../../fixtures/fota/desc.sig");
    blob author = load("../../../../fixtures/fota/manifest-signing-public.der");
    secure_ota_blob key = {key_manifest.data, key_manifest.size};
    uint8_t out[512];
    size_t n = 0;
    CHECK(so_rsa_decrypt(key, good.data, 512, out, sizeof out, &n) && n == d.size && memcmp(out, d.data, n) == 0);
    CHECK(so_rsa_decrypt(key, good.data + 512, 512, out, sizeof out, &n) && n == sig.size && memcmp(out, sig.data, n) == 0);
    CHECK(open(bad.data, key_author, out) == SECURE_OTA_E_MANIFEST && open(good.data, key_author, out) == SECURE_OTA_E_MANIFEST, "signed by somebody else");
    CHECK(open(bad.data, author, out) == SECURE_OTA_E_MANIFEST && open(good.data, author, out) == SECURE_OTA_E_MANIFEST, "nor by that one");
    unload(author);
    unload(good);
    unload(bad);
    unload(d);
    unload(sig);
}

void test_manifest(void)
{
    static const size_t places[] = {0, 1, 300, 511, 512, 700, 1023};
    blob good = load("next.manifest"), forged = load("forged.manifest"), app = load("next.bin");
    uint8_t d[256];
    size_t i;
    known();
    CHECK(open(good.data, key_author, d) == SECURE_OTA_OK && memcmp(d, app.data + 32, sizeof d) == 0);
    CHECK(open(forged.data, key_author, d) == SECURE_OTA_E_MANIFEST, "another author");
    for (i = 0; i < sizeof d; i++)
        CHECK(d[i] == 0, "a descriptor that nobody signed stays behind");
    for (i = 0; i < sizeof places / sizeof places[0]; i++) {
        good.data[places[i]] ^= 4;
        CHECK(open(good.data, key_author, d) == SECURE_OTA_E_MANIFEST, "byte %zu", places[i]);
        good.data[places[i]] ^= 4;
    }
    unload(good);
    unload(forged);
    unload(app);
}
