/* Whole updates, good and bad: what check_for_update and perform_update end
 * with, and what boots then. */
#include <string.h>

#include "bench.h"

static bench b;

static void start(bool encrypts, const char *manifest, const char *binary)
{
    bench_init(&b, encrypts);
    bench_offer(&b, manifest, binary);
}

/* boots resets the chip and tells the version that it comes up with. */
static bool boots(const char *version) { return strcmp(bench_version(&b, nor_boot(&b.flash, b.config.rollback)), version) == 0; }

static void checks_only(void)
{
    static const struct {
        const char *manifest;
        secure_ota_result want;
    } cases[] = {
        {"next", SECURE_OTA_OK},          {"third", SECURE_OTA_OK},          {"same", SECURE_OTA_NO_UPDATE}, {"older", SECURE_OTA_E_OLDER},
        {"low", SECURE_OTA_E_OLDER},      {"other", SECURE_OTA_E_PRODUCT},   {"forged", SECURE_OTA_E_MANIFEST},
    };
    size_t i;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        secure_ota_result got;
        start(true, cases[i].manifest, "next.img");
        got = check_for_update(&b.ota);
        CHECK(got == cases[i].want, "%s: %s", cases[i].manifest, secure_ota_text(got));
        CHECK(b.flash.operations == 0, "a check writes nothing");
        if (got != SECURE_OTA_OK) {
            CHECK(perform_update(&b.ota) == cases[i].want, "%s", cases[i].manifest);
            CHECK(b.flash.operations == 0 && boots("1.0.0"));
        }
        bench_free(&b);
    }
    start(true, "next", "next.img");
    CHECK(check_for_update(&b.ota) == SECURE_OTA_OK && strcmp(b.ota.app.version, "1.1.0") == 0 && strcmp(b.ota.app.project, "station-example") == 0 && b.ota.app.secure_version == 1);
    CHECK(strcmp(b.site.path, "/update/newest/manifest?deviceType=station-example") == 0);
    b.flash.secure_version = 2;
    CHECK(check_for_update(&b.ota) == SECURE_OTA_E_OLDER, "the fuses ask for more");
    b.flash.secure_version = 1;
    b.site.manifest.size = 1023;
    CHECK(check_for_update(&b.ota) == SECURE_OTA_E_MANIFEST);
    unload(b.site.manifest);
    b.site.manifest = load("next.img"); /* more than 1024 bytes */
    CHECK(check_for_update(&b.ota) == SECURE_OTA_E_MANIFEST);
    unload(b.site.manifest);
    b.site.manifest.data = NULL;
    CHECK(check_for_update(&b.ota) == SECURE_OTA_NO_UPDATE);
    bench_free(&b);
}

/* What ends well: both forms, with and without flash encryption, over a server
 * that knows ranges and one that does not. */
static void good(void)
{
    static const struct {
        const char *binary;
        bool encrypts, ranges, v2;
    } cases[] = {{"next.img", true, true, false},  {"next.img", false, true, false}, {"next.img", true, false, false}, {"next.bundle", true, true, false},
                 {"next.bundle", true, false, false}, {"v2.img", true, true, true}};
    size_t i;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        secure_ota_result got;
        start(cases[i].encrypts, "next", cases[i].binary);
        b.site.ranges = cases[i].ranges;
        if (cases[i].v2) {
            b.config.keys.app_v1.data = NULL;
            b.config.keys.app_v2_digest = key_v2.data;
        }
        got = perform_update(&b.ota);
        CHECK(got == SECURE_OTA_OK, "case %zu: %s", i, secure_ota_text(got));
        CHECK(b.done == b.total && b.total > 4700, "%u of %u", b.done, b.total);
        CHECK(boots("1.1.0") && b.flash.running == 0x20000, "case %zu", i);
        CHECK(check_for_update(&b.ota) == SECURE_OTA_NO_UPDATE);
        bench_free(&b);
    }
    /* The chip of a fleet whose FLASH_CRYPT_CONFIG is 0 takes the one slot that fits every address. */
    bench_init(&b, true);
    {
        bench c = b;
        blob table = load("table.bin"), running = load("running.bin");
        uint8_t erased[0x2000];
        memset(erased, 0xff, sizeof erased);
        b = c;
        b.flash.crypt_config = 0;
        nor_put(&b.flash, 0x8000, table.data, table.size);
        nor_put(&b.flash, 0xd000, erased, sizeof erased);
        nor_put(&b.flash, 0x10000, running.data, running.size);
        unload(table);
        unload(running);
    }
    bench_offer(&b, "next", "next.bundle");
    CHECK(perform_update(&b.ota) == SECURE_OTA_OK && boots("1.1.0"));
    bench_free(&b);
}

/* Chips with XTS-AES take bundles too: each its own, for its own slot, and signed for secure boot 2. */
static void later(void)
{
    static const struct {
        const char *binary, *key;
        uint16_t chip;
        secure_ota_result want;
    } cases[] = {{"c3.bundle", "flash.key", 5, SECURE_OTA_OK},
                 {"s3.bundle", "flash64.key", 9, SECURE_OTA_OK},
                 {"s3.bundle", "flash.key", 5, SECURE_OTA_E_PRODUCT},
                 {"s3.bundle", "flash.key", 9, SECURE_OTA_E_DAMAGED}, /* another key */
                 {"next.bundle", "flash.key", 5, SECURE_OTA_E_PRODUCT}, /* of the ESP32, with a slot for every address */
                 {"c3-cipher.bundle", "flash.key", 5, SECURE_OTA_E_FORMAT},
                 {"c3-elsewhere.bundle", "flash.key", 5, SECURE_OTA_E_SIZE}};
    blob digest = load("later.digest"), table = load("table.bin"), running = load("running.bin");
    size_t i;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        blob key = load(cases[i].key);
        secure_ota_result got;
        start(true, "next", cases[i].binary);
        b.config.chip_id = cases[i].chip;
        b.config.keys.app_v1.data = NULL;
        b.config.keys.app_v2_digest = digest.data;
        nor_xts(&b.flash, key.data, key.size);
        nor_put(&b.flash, 0x8000, table.data, table.size);
        nor_put(&b.flash, 0x10000, running.data, running.size);
        got = perform_update(&b.ota);
        CHECK(got == cases[i].want, "%s for chip %u: %s", cases[i].binary, cases[i].chip, secure_ota_text(got));
        CHECK(boots(got == SECURE_OTA_OK ? "1.1.0" : "1.0.0"));
        unload(key);
        bench_free(&b);
    }
    unload(digest);
    unload(table);
    unload(running);
}

/* What ends badly: the right reason, and the old app boots, also when its own
 * slot is the only one that is looked at after the damage. */
static void bad(void)
{
    static const struct {
        const char *manifest, *binary;
        secure_ota_result want;
    } cases[] = {
        {"next", "unsigned.img", SECURE_OTA_E_SIGNATURE},
        {"next", "strange.img", SECURE_OTA_E_SIGNATURE},
        {"next", "v2.img", SECURE_OTA_E_SIGNATURE},
        {"next", "another.img", SECURE_OTA_E_BINDING},
        {"third", "next.img", SECURE_OTA_E_BINDING},
        {"next", "broken.img", SECURE_OTA_E_DAMAGED},
        {"next", "large.img", SECURE_OTA_E_SIZE},
        {"next", "next.bin", SECURE_OTA_E_FORMAT}, /* a plain app */
        {"next", "next.manifest", SECURE_OTA_E_FORMAT},
        {"next", "strange.bundle", SECURE_OTA_E_SIGNATURE},
        {"next", "otherkey.bundle", SECURE_OTA_E_DAMAGED},
        {"next", "otherplain.bundle", SECURE_OTA_E_DAMAGED},
        {"next", "kettle.bundle", SECURE_OTA_E_PRODUCT},
        {"next", "elsewhere.bundle", SECURE_OTA_E_SIZE},
        {"next", "another.bundle", SECURE_OTA_E_BINDING},
        {"third", "next.bundle", SECURE_OTA_E_BINDING},
    };
    size_t i;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        secure_ota_result got;
        start(true, cases[i].manifest, cases[i].binary);
        got = perform_update(&b.ota);
        CHECK(got == cases[i].want, "%s with %s: %s", cases[i].manifest, cases[i].binary, secure_ota_text(got));
        CHECK(boots("1.0.0"));
        CHECK(b.flash.raw[0x20000] == 0xff, "%s with %s: something is left that might boot", cases[i].manifest, cases[i].binary);
        bench_offer(&b, "next", "next.img");
        CHECK(perform_update(&b.ota) == SECURE_OTA_OK && boots("1.1.0"), "after that nothing is in the way of the right one");
        bench_free(&b);
    }
}

/* Every byte of a small file may be changed on its way. */
static void changed(void)
{
    static const char *const files[] = {"next.img", "next.bundle"};
    size_t i, at;
    for (i = 0; i < 2; i++) {
        start(true, "next", files[i]);
        for (at = 0; at < b.site.binary.size; at += at < 700 ? 97 : 1499) {
            secure_ota_result got;
            bool mine = i == 0 || at < 4096 || (at >= 20480 && at < 20480 + 4768); /* the slot for this device */
            b.site.binary.data[at] ^= 0x20;
            b.done = 0;
            got = perform_update(&b.ota);
            CHECK((got == SECURE_OTA_OK) == !mine, "%s, byte %zu: %s", files[i], at, secure_ota_text(got));
            b.site.binary.data[at] ^= 0x20;
            if (got == SECURE_OTA_OK) { /* begin anew, with the old app */
                blob m = b.site.manifest, n = b.site.binary;
                bench_init(&b, true);
                b.site.manifest = m;
                b.site.binary = n;
            }
            CHECK(boots("1.0.0"), "%s, byte %zu", files[i], at);
        }
        b.site.binary.size -= 16;
        b.done = 0;
        CHECK(perform_update(&b.ota) != SECURE_OTA_OK || i == 1, "%s, cut short", files[i]);
        bench_free(&b);
    }
}

/* Secure boot 2: the key must be the one of the fuses, and its signature one. */
static void signature_v2(void)
{
    uint8_t other[32];
    memcpy(other, key_v2.data, sizeof other);
    other[7] ^= 1;
    start(true, "next", "v2.img");
    b.config.keys.app_v1.data = NULL;
    b.config.keys.app_v2_digest = other;
    CHECK(perform_update(&b.ota) == SECURE_OTA_E_SIGNATURE && boots("1.0.0"), "another key");
    b.config.keys.app_v2_digest = key_v2.data;
    bench_offer(&b, "next", "v2-forged.img");
    CHECK(perform_update(&b.ota) == SECURE_OTA_E_SIGNATURE && boots("1.0.0"), "a signature that is none");
    bench_offer(&b, "next", "next.img");
    CHECK(perform_update(&b.ota) == SECURE_OTA_E_SIGNATURE && boots("1.0.0"), "one of version 1");
    bench_offer(&b, "next", "v2.img");
    CHECK(perform_update(&b.ota) == SECURE_OTA_OK && boots("1.1.0"));
    bench_free(&b);
}

/* What is wrong on the way is found before the slot gets its head. */
static void head_comes_last(void)
{
    static const struct {
        const char *binary;
        size_t at; /* of the byte that is changed: the tag of the image, a byte of the slot */
    } cases[] = {{"next.img", 410}, {"next.bundle", 20480 + 100}};
    size_t i;
    for (i = 0; i < 2; i++) {
        start(true, "next", cases[i].binary);
        b.site.binary.data[cases[i].at] ^= 1;
        CHECK(perform_update(&b.ota) == SECURE_OTA_E_DAMAGED && b.flash.operations <= 4, "%s: %d operations", cases[i].binary, b.flash.operations);
        bench_free(&b);
    }
}

static void lines(void)
{
    static const char *const files[] = {"next.img", "next.bundle"};
    size_t i;
    for (i = 0; i < 2; i++) {
        start(true, "next", files[i]);
        b.site.cut = 700;
        b.site.cuts = -1;
        CHECK(check_for_update(&b.ota) == SECURE_OTA_OK && perform_update(&b.ota) == SECURE_OTA_OK && boots("1.1.0"), "%s", files[i]);
        CHECK(b.site.requests > 8);
        bench_free(&b);
    }
}

/* New firmware must say that it works; else the old one comes back, and is not given up again. */
static void rollback(void)
{
    start(true, "next", "next.img");
    b.config.rollback = true;
    CHECK(!secure_ota_unconfirmed(&b.ota) && secure_ota_confirm(&b.ota) == SECURE_OTA_OK && b.flash.operations == 0, "nothing to confirm");
    CHECK(secure_ota_reject(&b.ota) == SECURE_OTA_E_NO_SLOT, "nothing to go back to");
    CHECK(perform_update(&b.ota) == SECURE_OTA_OK && boots("1.1.0") && secure_ota_unconfirmed(&b.ota));
    bench_offer(&b, "third", "third.img");
    CHECK(perform_update(&b.ota) == SECURE_OTA_E_UNCONFIRMED, "the way back is not overwritten");
    CHECK(boots("1.0.0"), "it did not confirm itself");
    bench_offer(&b, "next", "next.img");
    CHECK(check_for_update(&b.ota) == SECURE_OTA_E_FAILED_BEFORE);
    bench_offer(&b, "third", "third.img");
    CHECK(perform_update(&b.ota) == SECURE_OTA_OK && boots("1.2.0") && secure_ota_unconfirmed(&b.ota));
    CHECK(secure_ota_confirm(&b.ota) == SECURE_OTA_OK && !secure_ota_unconfirmed(&b.ota) && boots("1.2.0") && boots("1.2.0"));
    bench_free(&b);

    start(true, "next", "next.img");
    b.config.rollback = true;
    CHECK(perform_update(&b.ota) == SECURE_OTA_OK && boots("1.1.0"));
    CHECK(secure_ota_reject(&b.ota) == SECURE_OTA_E_NO_SLOT, "the app before was never chosen in otadata, and there is no factory app");
    CHECK(secure_ota_confirm(&b.ota) == SECURE_OTA_OK);
    bench_offer(&b, "third", "third.img");
    CHECK(perform_update(&b.ota) == SECURE_OTA_OK && boots("1.2.0"));
    CHECK(secure_ota_reject(&b.ota) == SECURE_OTA_OK && boots("1.1.0"));
    CHECK(check_for_update(&b.ota) == SECURE_OTA_E_FAILED_BEFORE);
    bench_free(&b);
}

static void factory(void)
{
    blob t = load("factory-table.bin");
    start(true, "next", "next.img");
    nor_put(&b.flash, 0x8000, t.data, t.size);
    CHECK(perform_update(&b.ota) == SECURE_OTA_OK && boots("1.1.0") && b.flash.running == 0x20000);
    bench_offer(&b, "third", "third.img");
    CHECK(perform_update(&b.ota) == SECURE_OTA_E_NO_SLOT && boots("1.1.0"), "the only slot runs itself");
    CHECK(secure_ota_reject(&b.ota) == SECURE_OTA_OK && boots("1.0.0"));
    CHECK(perform_update(&b.ota) == SECURE_OTA_OK && boots("1.2.0"));
    unload(t);
    bench_free(&b);
}

static void configuration(void)
{
    secure_ota ota;
    start(true, "next", "next.img");
    CHECK(secure_ota_init(&ota, NULL) == SECURE_OTA_E_CONFIG);
#define LACKS(field, nothing)                                                \
    do {                                                                     \
        secure_ota_config c = b.config;                                      \
        c.field = nothing;                                                   \
        CHECK(secure_ota_init(&ota, &c) == SECURE_OTA_E_CONFIG, "%s", #field); \
    } while (0)
    LACKS(ports.flash.read, NULL);
    LACKS(ports.flash.write, NULL);
    LACKS(ports.flash.write_raw, NULL);
    LACKS(ports.flash.erase, NULL);
    LACKS(ports.flash.running, NULL);
    LACKS(ports.http.open, NULL);
    LACKS(ports.http.read, NULL);
    LACKS(ports.http.close, NULL);
    LACKS(keys.manifest_private.data, NULL);
    LACKS(keys.manifest_author.data, NULL);
    LACKS(device_type, "a/b");
    CHECK(secure_ota_init(&b.ota, &b.config) == SECURE_OTA_OK);
    b.config.keys.app_v1.data = NULL;
    CHECK(perform_update(&b.ota) == SECURE_OTA_E_CONFIG, "an image of nobody");
    b.config.keys.app_v1.data = key_v1.data;
    b.config.keys.image_private.data = NULL;
    CHECK(perform_update(&b.ota) == SECURE_OTA_E_CONFIG);
    bench_offer(&b, "next", "next.bundle");
    b.config.ports.flash.encrypted = NULL;
    CHECK(perform_update(&b.ota) == SECURE_OTA_E_CONFIG, "a bundle for a chip that does not encrypt");
    b.config.ports.flash = nor_port(&b.flash);
    b.config.keys.bundle_author.data = NULL;
    CHECK(perform_update(&b.ota) == SECURE_OTA_E_CONFIG);
    CHECK(b.flash.operations == 0);
    b.config.keys.bundle_author.data = key_bundle.data;
    b.config.keys.app_v1.data = NULL; /* the bundle's own signature is enough */
    CHECK(perform_update(&b.ota) == SECURE_OTA_OK && boots("1.1.0"));
    bench_free(&b);

    start(true, "next", "next.img");
    b.config.chip_id = 9;
    CHECK(perform_update(&b.ota) == SECURE_OTA_E_PRODUCT && boots("1.0.0"));
    b.config.chip_id = 0;
    b.config.ports.log.say = NULL;
    b.config.ports.log.progress = NULL;
    b.flash.stuck = true;
    b.done = 0;
    CHECK(perform_update(&b.ota) != SECURE_OTA_OK && boots("1.0.0"), "a flash that takes nothing");
    bench_free(&b);
}

void test_update(void)
{
    checks_only();
    good();
    later();
    bad();
    changed();
    signature_v2();
    head_comes_last();
    lines();
    rollback();
    factory();
    configuration();
}
