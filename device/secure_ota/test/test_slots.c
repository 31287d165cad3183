/* Partition table and otadata. */
#include <string.h>

#include "bench.h"
#include "slots.h"

static void entry(uint8_t e[32], uint32_t seq, uint32_t state, uint32_t crc)
{
    memset(e, 0xff, 32);
    memcpy(e, &seq, 4);
    memcpy(e + 24, &state, 4);
    memcpy(e + 28, &crc, 4);
}

static void entries(void)
{
    uint8_t e[32];
    entry(e, 1, 0xffffffff, 0x4743989a);
    CHECK(so_entry_parse(e).seq == 1 && so_entry_parse(e).state == SO_UNDEFINED && so_bootable(so_entry_parse(e)) && !so_waits(so_entry_parse(e)));
    entry(e, 4, 0, 0x709d68a8);
    CHECK(so_entry_parse(e).seq == 4 && so_entry_parse(e).state == SO_NEW && so_waits(so_entry_parse(e)));
    entry(e, 2, 3, 0x55f63774);
    CHECK(so_entry_parse(e).seq == 2 && !so_bootable(so_entry_parse(e)));
    entry(e, 1, 2, 0x99f8b879); /* the plain CRC-32 is none */
    CHECK(so_entry_parse(e).seq == 0);
    memset(e, 0xff, sizeof e);
    CHECK(so_entry_parse(e).seq == 0);
    memset(e, 0, sizeof e);
    CHECK(so_entry_parse(e).seq == 0);
}

static void tables(void)
{
    blob t = load("table.bin"), f = load("factory-table.bin");
    uint8_t copy[0xc00];
    so_layout l;
    size_t n;
    CHECK(so_table_parse(t.data, t.size, &l) && l.count == 2 && l.slot[0].address == 0x10000 && l.slot[1].address == 0x20000 && l.otadata == 0xd000 && l.factory.size == 0);
    CHECK(so_table_parse(f.data, f.size, &l) && l.count == 1 && l.factory.address == 0x10000 && l.slot[0].size == 0x10000);
    CHECK(!so_table_parse(t.data, 0, &l) && !so_table_parse(t.data, 31, &l));
    memset(copy, 0xff, sizeof copy);
    CHECK(!so_table_parse(copy, sizeof copy, &l), "an erased table");
    memcpy(copy, t.data, sizeof copy);
    copy[0x40 + 3] = 0x11; /* ota_1 twice, no ota_0 */
    CHECK(!so_table_parse(copy, sizeof copy, &l), "a gap");
    memcpy(copy, t.data, sizeof copy);
    copy[0x40 + 4] = 0x10;
    CHECK(!so_table_parse(copy, sizeof copy, &l), "an app inside a sector");
    memcpy(copy, t.data, sizeof copy);
    memset(copy + 0x40 + 8, 0xf0, 4);
    CHECK(!so_table_parse(copy, sizeof copy, &l), "an app beyond all addresses");
    for (n = 0; n < 4 * 32; n++) { /* whatever is garbled, nothing is read that is not there */
        memcpy(copy, t.data, sizeof copy);
        copy[n] ^= 0xff;
        so_table_parse(copy, sizeof copy, &l);
        CHECK(l.count <= SO_MAX_SLOTS);
    }
    unload(t);
    unload(f);
}

/* Where the next update goes, by what runs. */
static void targets(void)
{
    static bench b;
    blob f = load("factory-table.bin");
    so_layout l;
    so_entry e[2];
    bench_init(&b, true);
    CHECK(so_layout_read(&b.ota, &l, e) == SECURE_OTA_OK && l.running == 0 && l.target == 1);
    b.flash.running = 0x20000;
    CHECK(so_layout_read(&b.ota, &l, e) == SECURE_OTA_OK && l.running == 1 && l.target == 0);
    nor_put(&b.flash, 0x8000, f.data, f.size);
    CHECK(so_layout_read(&b.ota, &l, e) == SECURE_OTA_OK && l.running == 0 && l.target == -1, "the only slot runs itself");
    b.flash.running = 0x10000;
    CHECK(so_layout_read(&b.ota, &l, e) == SECURE_OTA_OK && l.running == -1 && l.target == 0);
    b.config.table_address = 0x9000;
    CHECK(so_layout_read(&b.ota, &l, e) == SECURE_OTA_E_FLASH, "no table there");
    unload(f);
    bench_free(&b);
}

/* The entry of what runs stays where it is; the new one has the higher number
 * and the slot that is meant. The bootloader of the tests is the judge. */
static void choices(void)
{
    static const struct {
        uint32_t seq[2], state[2];
    } cases[] = {{{0, 0}, {0, 0}}, {{1, 0}, {2, 0}}, {{0, 1}, {0, 2}}, {{1, 2}, {2, 4}}, {{2, 1}, {3, 2}}, {{1, 3}, {2, 2}}, {{3, 2}, {0xffffffff, 4}}};
    static const uint32_t crc[] = {0, 0x4743989a, 0x55f63774, 0xed4a5011};
    static bench b;
    size_t i;
    int k;
    bench_init(&b, true);
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        so_layout l;
        so_entry e[2];
        uint32_t from;
        blob app = load("next.bin");
        for (k = 0; k < 2; k++) {
            uint8_t bytes[32];
            memset(bytes, 0xff, sizeof bytes);
            if (cases[i].seq[k] != 0)
                entry(bytes, cases[i].seq[k], cases[i].state[k], crc[cases[i].seq[k]]);
            nor_put(&b.flash, 0xd000u + 0x1000u * (uint32_t)k, bytes, sizeof bytes);
        }
        nor_put(&b.flash, 0x20000, app.data, app.size);
        from = nor_boot(&b.flash, false);
        CHECK(so_layout_read(&b.ota, &l, e) == SECURE_OTA_OK && so_choose_target(&b.ota, &l, e) == SECURE_OTA_OK, "case %zu", i);
        CHECK(nor_boot(&b.flash, false) == 0x30000 - from, "case %zu: from %x to %x", i, from, b.flash.running);
        unload(app);
    }
    bench_free(&b);
}

void test_slots(void)
{
    entries();
    tables();
    targets();
    choices();
}
