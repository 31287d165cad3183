/* How an update ended, as the server hears of it: by firmware that came up, and by
 * what had to come back. */
#include <string.h>

#include "bench.h"
#include "slots.h"

static bench b;

static void start(const char *manifest, const char *binary)
{
    bench_init(&b, true);
    b.config.rollback = true;
    bench_offer(&b, manifest, binary);
    b.site.release = "7";
}

/* restart resets the chip; its firmware begins with a secure_ota of its own. */
static void restart(void)
{
    nor_boot(&b.flash, b.config.rollback);
    CHECK(secure_ota_init(&b.ota, &b.config) == SECURE_OTA_OK);
    b.site.posts = 0;
    b.done = 0;
}

static bool told(int posts, const char *result)
{
    char want[64] = "{\"release\":7,\"result\":\"";
    strcat(want, result);
    strcat(want, "\",\"message\":\"");
    return b.site.posts == posts && (posts == 0 || (strncmp(b.site.posted, want, strlen(want)) == 0 && strcmp(b.site.posted_to, "/files/station-example/result") == 0));
}

/* What came up and was confirmed is told once a start, and not before. */
static void success(void)
{
    static const char *const binaries[] = {"next.img", "next.bundle"};
    size_t i;
    for (i = 0; i < 2; i++) {
        start("next", binaries[i]);
        CHECK(perform_update(&b.ota) == SECURE_OTA_OK && told(0, ""));
        CHECK(secure_ota_report(&b.ota) == SECURE_OTA_OK && told(0, ""), "it has not been tried");
        restart();
        CHECK(check_for_update(&b.ota) == SECURE_OTA_NO_UPDATE && told(0, ""), "it is not confirmed: %s", b.site.posted);
        CHECK(secure_ota_report(&b.ota) == SECURE_OTA_OK && told(0, ""));
        restart();
        CHECK(told(0, "") && secure_ota_report(&b.ota) == SECURE_OTA_OK && told(1, "failure"), "it came back to the one before: %s", b.site.posted);
        bench_free(&b);
        start("next", binaries[i]);
        CHECK(perform_update(&b.ota) == SECURE_OTA_OK);
        restart();
        CHECK(secure_ota_confirm(&b.ota) == SECURE_OTA_OK && secure_ota_report(&b.ota) == SECURE_OTA_OK && told(1, "success"), "%s to %s", b.site.posted, b.site.posted_to);
        CHECK(secure_ota_report(&b.ota) == SECURE_OTA_OK && told(1, "success"), "it is told twice");
        b.site.status = 404;
        restart();
        CHECK(check_for_update(&b.ota) == SECURE_OTA_NO_UPDATE && told(1, "success"), "after a restart it is told again: %s", b.site.posted);
        bench_free(&b);
    }
}

/* Firmware that was rejected, that died, and that never booted without a bootloader that goes back. */
static void comes_back(void)
{
    static const uint8_t first[32] = {1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0x9a, 0x98, 0x43, 0x47};
    start("next", "next.img");
    nor_put(&b.flash, 0xd000, first, sizeof first); /* what the bootloader writes at the first start */
    CHECK(perform_update(&b.ota) == SECURE_OTA_OK);
    restart();
    CHECK(secure_ota_reject(&b.ota) == SECURE_OTA_OK);
    restart();
    CHECK(check_for_update(&b.ota) == SECURE_OTA_E_FAILED_BEFORE && told(2, "failure"), "%d posts, %s", b.site.posts, b.site.posted);
    bench_free(&b);
    start("next", "next.img");
    b.config.rollback = false;
    CHECK(perform_update(&b.ota) == SECURE_OTA_OK);
    b.flash.raw[0x20000] ^= 1;
    restart();
    CHECK(secure_ota_report(&b.ota) == SECURE_OTA_OK && told(1, "failure"), "%s", b.site.posted);
    bench_free(&b);
    start("next", "next.img");
    b.config.rollback = false;
    CHECK(perform_update(&b.ota) == SECURE_OTA_OK && secure_ota_report(&b.ota) == SECURE_OTA_OK && told(0, ""), "it has not been tried");
    restart();
    CHECK(secure_ota_report(&b.ota) == SECURE_OTA_OK && told(1, "success"), "%s", b.site.posted);
    bench_free(&b);
}

/* What another try would not change is told at once; what the way or the flash did is not. */
static void refused(void)
{
    static const struct {
        const char *manifest, *binary;
        secure_ota_result want;
        int posts;
    } cases[] = {{"forged", "next.img", SECURE_OTA_E_MANIFEST, 1},      {"other", "next.img", SECURE_OTA_E_PRODUCT, 1},    {"older", "next.img", SECURE_OTA_E_OLDER, 1},
                 {"next", "next.bin", SECURE_OTA_E_FORMAT, 1},          {"next", "broken.img", SECURE_OTA_E_DAMAGED, 1},   {"next", "strange.img", SECURE_OTA_E_SIGNATURE, 1},
                 {"next", "another.img", SECURE_OTA_E_BINDING, 1},      {"next", "large.img", SECURE_OTA_E_SIZE, 1},       {"next", "elsewhere.bundle", SECURE_OTA_E_SIZE, 1}};
    size_t i;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        secure_ota_result got;
        start(cases[i].manifest, cases[i].binary);
        got = perform_update(&b.ota);
        CHECK(got == cases[i].want && told(cases[i].posts, "failure") && strstr(b.site.posted, secure_ota_text(got)) != NULL, "%s: %s, %s", cases[i].binary,
              secure_ota_text(got), b.site.posted);
        bench_free(&b);
    }
    start("next", "next.img"); /* the power fails in the first sector */
    b.flash.power = 1;
    CHECK(perform_update(&b.ota) == SECURE_OTA_E_FLASH && told(0, ""));
    bench_free(&b);
    start("next", "next.img");
    b.site.cut = 1500;
    b.site.cuts = -1;
    b.site.ranges = false;
    CHECK(perform_update(&b.ota) == SECURE_OTA_E_CONNECTION && told(0, ""));
    bench_free(&b);
    start("next", "next.img"); /* the offer is withdrawn after the manifest */
    CHECK(check_for_update(&b.ota) == SECURE_OTA_OK);
    b.site.status = 404;
    CHECK(perform_update(&b.ota) == SECURE_OTA_NO_UPDATE && told(0, ""));
    b.site.status = 0;
    b.site.release = "8"; /* or another one takes its place: no fault of this one */
    CHECK(check_for_update(&b.ota) == SECURE_OTA_OK);
    b.site.release = "9";
    CHECK(perform_update(&b.ota) == SECURE_OTA_E_CHANGED && told(0, ""));
    bench_free(&b);
    start("same", "next.img");
    CHECK(check_for_update(&b.ota) == SECURE_OTA_NO_UPDATE && told(1, "success"), "it is offered what it runs: %s", b.site.posted);
    bench_free(&b);
}

/* A server that does not answer is told the next time; one that does not want to know is no obstacle. */
static void deaf(void)
{
    start("next", "next.img");
    CHECK(perform_update(&b.ota) == SECURE_OTA_OK);
    restart();
    CHECK(secure_ota_confirm(&b.ota) == SECURE_OTA_OK);
    b.site.post_status = -1;
    CHECK(secure_ota_report(&b.ota) == SECURE_OTA_E_CONNECTION && b.site.posts == 1);
    b.site.post_status = 404;
    CHECK(secure_ota_report(&b.ota) == SECURE_OTA_E_SERVER && b.site.posts == 2);
    CHECK(check_for_update(&b.ota) == SECURE_OTA_NO_UPDATE);
    b.site.post_status = 0;
    b.site.posts = 0;
    CHECK(secure_ota_report(&b.ota) == SECURE_OTA_OK && told(1, "success"));
    bench_free(&b);
    start("next", "next.img"); /* what was chosen meanwhile is not what is told then */
    b.config.rollback = false;
    CHECK(perform_update(&b.ota) == SECURE_OTA_OK);
    restart();
    b.site.post_status = -1;
    bench_offer(&b, "third", "third.img");
    CHECK(perform_update(&b.ota) == SECURE_OTA_OK && b.site.posts == 1);
    b.site.post_status = 0;
    CHECK(secure_ota_report(&b.ota) == SECURE_OTA_OK && b.site.posts == 1, "%s", b.site.posted);
    bench_free(&b);
    start("next", "strange.img");
    b.config.ports.http.post = NULL;
    CHECK(perform_update(&b.ota) == SECURE_OTA_E_SIGNATURE && told(0, ""));
    bench_free(&b);
}

/* Numbers of all kinds; a server without them is told nothing. */
static void numbers(void)
{
    static const struct {
        const char *release, *want;
    } cases[] = {{"1", "{\"release\":1,"}, {"20261129141539", "{\"release\":20261129141539,"}, {"9223372036854775807", "{\"release\":9223372036854775807,"},
                 {NULL, ""}, {"", ""}, {"0", ""}, {"7a", ""}, {"-7", ""}, {" 7", ""}, {"1e3", ""}};
    size_t i;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        start("next", "strange.img");
        b.site.release = cases[i].release;
        CHECK(perform_update(&b.ota) == SECURE_OTA_E_SIGNATURE);
        CHECK(strncmp(b.site.posted, cases[i].want, strlen(cases[i].want)) == 0 && (b.site.posts == 0) == (cases[i].want[0] == 0), "case %zu: %s", i, b.site.posted);
        bench_free(&b);
    }
    start("next", "strange.img");
    b.config.result_path = "/done";
    CHECK(perform_update(&b.ota) == SECURE_OTA_E_SIGNATURE && strcmp(b.site.posted_to, "/done") == 0);
    bench_free(&b);
}

/* The note in otadata belongs to its own entry: one that is left from another, or damaged, says nothing. */
static void notes(void)
{
    uint8_t e[32], copy[32];
    uint32_t seq = 2, crc = 0x55f63774;
    size_t i;
    start("next", "next.img");
    b.site.release = "9223372036854775807";
    CHECK(perform_update(&b.ota) == SECURE_OTA_OK);
    for (i = 0xd000; i <= 0xe000; i += 0x1000) {
        nor_get(&b.flash, (uint32_t)i, e, sizeof e);
        if (so_entry_parse(e).seq == 2)
            break;
    }
    CHECK(so_entry_parse(e).release == 9223372036854775807u && so_entry_parse(e).state == SO_NEW);
    for (i = 4; i < 24; i++) {
        memcpy(copy, e, sizeof e);
        copy[i] ^= 0x10;
        CHECK(so_entry_parse(copy).release == 0 && so_entry_parse(copy).seq == 2, "byte %zu", i);
    }
    seq = 4;
    crc = 0x709d68a8;
    memcpy(e, &seq, 4);
    memcpy(e + 28, &crc, 4);
    CHECK(so_entry_parse(e).seq == 4 && so_entry_parse(e).release == 0, "another's note");
    bench_free(&b);
}

void test_result(void)
{
    success();
    comes_back();
    refused();
    deaf();
    numbers();
    notes();
}
