/* Downloads over bad lines. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "fetch.h"

static bench b;

static void start(void)
{
    bench_init(&b, false);
    bench_offer(&b, "next", "next.img");
}

/* all reads the binary in pieces, and compares. */
static secure_ota_result all(size_t piece, uint32_t first_range)
{
    so_fetch f;
    static uint8_t got[8192];
    size_t at = 0;
    secure_ota_result r = SECURE_OTA_OK;
    so_fetch_init(&f, &b.config, "/update/newest/binary?deviceType=x", first_range);
    while (r == SECURE_OTA_OK && at < b.site.binary.size) {
        size_t n = b.site.binary.size - at < piece ? b.site.binary.size - at : piece;
        r = so_fetch_read(&f, got + at, n);
        at += n;
    }
    if (r == SECURE_OTA_OK) {
        CHECK(memcmp(got, b.site.binary.data, at) == 0);
        CHECK(so_fetch_ended(&f));
    }
    so_fetch_close(&f);
    return r;
}

static void whole(void)
{
    static const size_t pieces[] = {1, 7, 512, 4096, 8000};
    size_t i;
    for (i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        start();
        CHECK(all(pieces[i], 0) == SECURE_OTA_OK && b.site.requests == 1 && b.site.first == 0 && b.site.count == 0, "piece %zu", pieces[i]);
        b.site.most = 3;
        CHECK(all(pieces[i], 0) == SECURE_OTA_OK);
        b.site.requests = 0;
        CHECK(all(pieces[i], 4096) == SECURE_OTA_OK && b.site.requests == 2 && b.site.first == 4096 && b.site.count == 0, "requests %d", b.site.requests);
        b.site.ranges = false;
        b.site.requests = 0;
        CHECK(all(pieces[i], 4096) == SECURE_OTA_OK && b.site.requests == 1);
        b.site.says_total = false;
        CHECK(all(pieces[i], 4096) == SECURE_OTA_OK);
        bench_free(&b);
    }
}

/* A line that breaks every few bytes is no hindrance as long as each connection brings something. */
static void broken(void)
{
    int ranges;
    start();
    b.site.cut = 1000;
    b.site.cuts = -1;
    CHECK(all(512, 4096) == SECURE_OTA_OK && strcmp(b.site.asked_etag, "\"a\"") == 0 && b.site.first > 5000);
    CHECK(b.site.sent == b.site.binary.size, "not a byte is sent twice");
    b.site.slept = 0;
    for (ranges = 0; ranges < 2; ranges++) {
        b.site.ranges = ranges != 0;
        b.site.cut = 5000;
        b.site.cuts = 3;
        CHECK(all(512, 0) == SECURE_OTA_OK, "ranges %d", ranges);
    }
    CHECK(b.site.slept > 0, "it pauses before it tries again");
    bench_free(&b);
}

static void hopeless(void)
{
    start();
    b.site.refuse = 1000;
    CHECK(all(512, 0) == SECURE_OTA_E_CONNECTION && b.site.requests == 5 && b.site.slept == 500 + 1000 + 2000 + 4000, "%d requests, %u ms", b.site.requests, b.site.slept);
    b.config.attempts = 12;
    b.site.requests = 0;
    b.site.slept = 0;
    CHECK(all(512, 0) == SECURE_OTA_E_CONNECTION && b.site.requests == 12);
    CHECK(b.site.slept == 500 + 1000 + 2000 + 4000 + 8000 + 16000 + 5 * 30000, "%u ms", b.site.slept);
    b.site.refuse = 11;
    CHECK(all(512, 0) == SECURE_OTA_OK);
    b.config.ports.clock.sleep = NULL;
    b.site.refuse = 11;
    CHECK(all(512, 0) == SECURE_OTA_OK);
    /* Without ranges, a line that always breaks at the same place never gets further. */
    b.site.ranges = false;
    b.site.cut = 3000;
    b.site.cuts = -1;
    b.site.requests = 0;
    CHECK(all(512, 0) == SECURE_OTA_E_CONNECTION && b.site.requests == 12, "%d", b.site.requests);
    bench_free(&b);
}

static void statuses(void)
{
    static const struct {
        int status;
        secure_ota_result want;
        int requests;
    } cases[] = {{404, SECURE_OTA_NO_UPDATE, 1},     {401, SECURE_OTA_E_DENIED, 1},   {403, SECURE_OTA_E_DENIED, 1},     {301, SECURE_OTA_E_SERVER, 1},
                 {204, SECURE_OTA_E_SERVER, 1},      {400, SECURE_OTA_E_SERVER, 1},   {416, SECURE_OTA_E_CHANGED, 1},    {412, SECURE_OTA_E_CHANGED, 1},
                 {503, SECURE_OTA_E_CONNECTION, 5},  {429, SECURE_OTA_E_CONNECTION, 5}, {408, SECURE_OTA_E_CONNECTION, 5}, {500, SECURE_OTA_E_CONNECTION, 5},
                 {0x7fffffff, SECURE_OTA_E_CONNECTION, 5}, {-1, SECURE_OTA_E_SERVER, 1}};
    size_t i;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        secure_ota_result got;
        start();
        b.site.status = cases[i].status;
        got = all(512, 0);
        CHECK(got == cases[i].want && b.site.requests == cases[i].requests, "%d: %s after %d requests", cases[i].status, secure_ota_text(got), b.site.requests);
        bench_free(&b);
    }
}

/* A file that becomes another one is not pieced together from both. */
static void changed(void)
{
    int ranges;
    for (ranges = 0; ranges < 2; ranges++) {
        start();
        b.site.ranges = ranges != 0;
        b.site.cut = 2000;
        b.site.cuts = 1;
        b.site.next_etag = "\"b\"";
        CHECK(all(512, 0) == SECURE_OTA_E_CHANGED, "ranges %d", ranges);
        bench_free(&b);
    }
    start();
    b.site.etag = NULL; /* without a tag its length tells */
    {
        so_fetch f;
        uint8_t some[256];
        so_fetch_init(&f, &b.config, "/update/newest/binary?deviceType=x", 0);
        CHECK(so_fetch_read(&f, some, sizeof some) == SECURE_OTA_OK);
        so_fetch_seek(&f, 256, 0);
        b.site.binary.size--;
        CHECK(so_fetch_read(&f, some, sizeof some) == SECURE_OTA_E_CHANGED);
        so_fetch_close(&f);
    }
    bench_free(&b);
}

/* More than there is, and a place beyond the end. */
static void beyond(void)
{
    so_fetch f;
    static uint8_t much[8192];
    start();
    so_fetch_init(&f, &b.config, "/update/newest/binary?deviceType=x", 0);
    CHECK(so_fetch_read(&f, much, 1) == SECURE_OTA_OK && !so_fetch_ended(&f));
    CHECK(so_fetch_read(&f, much, b.site.binary.size) == SECURE_OTA_E_DAMAGED);
    so_fetch_seek(&f, 0xfffff000u, 0x1000);
    CHECK(so_fetch_read(&f, much, 1) == SECURE_OTA_E_DAMAGED);
    so_fetch_close(&f);
    so_fetch_init(&f, &b.config, "/update/newest/binary?deviceType=x", 0);
    so_fetch_seek(&f, 0xfffff000u, 0x1000);
    CHECK(so_fetch_read(&f, much, 1) == SECURE_OTA_E_CHANGED);
    so_fetch_close(&f);
    b.site.says_total = false;
    so_fetch_init(&f, &b.config, "/update/newest/binary?deviceType=x", 0);
    CHECK(so_fetch_read(&f, much, b.site.binary.size + 1) == SECURE_OTA_E_CONNECTION);
    so_fetch_close(&f);
    bench_free(&b);
}

void test_fetch(void)
{
    whole();
    broken();
    hopeless();
    statuses();
    changed();
    beyond();
}
