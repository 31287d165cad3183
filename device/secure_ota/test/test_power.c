/* The power fails in the middle of every single thing that is written. */
#include <string.h>

#include "bench.h"

static bench b;

/* reset gives the chip its power back and boots. */
static const char *reset(void)
{
    b.flash.power = -1;
    b.flash.dead = false;
    b.site.open = false;
    return bench_version(&b, nor_boot(&b.flash, b.config.rollback));
}

static void download(const char *binary)
{
    int cut, operations = -1;
    for (cut = 0; cut < 100; cut++) {
        secure_ota_result got;
        const char *version;
        bench_init(&b, true);
        b.config.rollback = true;
        bench_offer(&b, "next", binary);
        b.flash.power = cut;
        got = perform_update(&b.ota);
        operations = b.flash.operations;
        version = reset();
        if (got == SECURE_OTA_OK) {
            CHECK(strcmp(version, "1.1.0") == 0);
            bench_free(&b);
            break;
        }
        CHECK(got == SECURE_OTA_E_FLASH && strcmp(version, "1.0.0") == 0, "%s, cut %d: %s boots %s", binary, cut, secure_ota_text(got), version);
        CHECK(secure_ota_init(&b.ota, &b.config) == SECURE_OTA_OK);
        b.done = 0;
        got = perform_update(&b.ota);
        CHECK(got == SECURE_OTA_OK && strcmp(reset(), "1.1.0") == 0, "%s, after cut %d: %s", binary, cut, secure_ota_text(got));
        bench_free(&b);
    }
    CHECK(cut == operations && cut >= 7, "%d cuts of %d operations", cut, operations); /* 2 sectors erased and written, head, otadata erased and written */
}

/* A confirmation that is cut falls back to the app before; it is never lost which one that is. */
static void confirmation(void)
{
    int cut;
    for (cut = 0; cut < 3; cut++) {
        const char *version;
        secure_ota_result got;
        bench_init(&b, true);
        b.config.rollback = true;
        bench_offer(&b, "next", "next.img");
        CHECK(perform_update(&b.ota) == SECURE_OTA_OK && strcmp(reset(), "1.1.0") == 0);
        b.flash.power = cut;
        got = secure_ota_confirm(&b.ota);
        version = reset();
        CHECK(strcmp(version, cut < 2 ? "1.0.0" : "1.1.0") == 0 && (got == SECURE_OTA_OK) == (cut == 2), "cut %d: %s boots %s", cut, secure_ota_text(got), version);
        bench_free(&b);
    }
}

void test_power(void)
{
    download("next.img");
    download("next.bundle");
    confirmation();
}
