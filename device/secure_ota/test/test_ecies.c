/* Images that were encrypted for what the chip makes of a key in its fuses. */
#include <string.h>

#include "bench.h"
#include "crypto.h"
#include "ecies.h"

enum { FIELD_AT = 4, SALT_AT = FIELD_AT + 64, ZEROS_AT = SALT_AT + 32, IV_AT = 388 };

static bench b;
static blob digest, flash_key, table, running;

/* c3 is a device that has nothing but its own key to open an image with. */
static void c3(const char *binary)
{
    bench_init(&b, true);
    b.config.chip_id = 5;
    b.config.keys.image_private.data = NULL;
    b.config.keys.app_v1.data = NULL;
    b.config.keys.app_v2_digest = digest.data;
    nor_xts(&b.flash, flash_key.data, flash_key.size);
    nor_put(&b.flash, 0x8000, table.data, table.size);
    nor_put(&b.flash, 0x10000, running.data, running.size);
    bench_offer(&b, "next", binary);
}

/* ends takes the update, which must end so, and looks what boots after it. */
static void ends(const char *what, secure_ota_result want)
{
    secure_ota_result got = perform_update(&b.ota);
    CHECK(got == want, "%s: %s", what, secure_ota_text(got));
    CHECK(strcmp(bench_version(&b, nor_boot(&b.flash, false)), want == SECURE_OTA_OK ? "1.1.0" : "1.0.0") == 0, "%s", what);
    bench_free(&b);
}

static int fails(void *context, const uint8_t *data, size_t size, uint8_t mac[32])
{
    (void)context;
    (void)data;
    memset(mac, (int)size, 32);
    return -1;
}

/* Zeros make no private key. */
static int zeros(void *context, const uint8_t *data, size_t size, uint8_t mac[32])
{
    (void)context;
    (void)data;
    memset(mac, 0, 32);
    return size == 0;
}

static void the_key(void)
{
    uint8_t other[32];
    c3("ecies.img");
    ends("its own", SECURE_OTA_OK);
    c3("ecies-strange.img");
    ends("of another device", SECURE_OTA_E_DAMAGED);
    memcpy(other, key_hmac.data, sizeof other);
    other[31] ^= 1;
    c3("ecies.img");
    b.config.ports.hmac.context = other;
    ends("another key in the fuses", SECURE_OTA_E_DAMAGED);
    c3("ecies.img");
    b.config.ports.hmac.calculate = NULL;
    ends("no peripheral", SECURE_OTA_E_CONFIG);
    c3("ecies.img");
    b.config.ports.hmac.calculate = fails;
    ends("a block that is not for HMACs", SECURE_OTA_E_CONFIG);
    c3("ecies.img");
    b.config.ports.hmac.calculate = zeros;
    ends("a key that makes none", SECURE_OTA_E_CONFIG);
    c3("ecies.img");
    b.config.keys.app_v2_digest = key_v2.data;
    ends("an author whom nobody knows", SECURE_OTA_E_SIGNATURE);
    c3("ecies.img");
    b.config.keys.app_v2_digest = NULL;
    ends("anybody's", SECURE_OTA_E_CONFIG);
}

/* Both kinds of images are told apart by the header, whatever keys the device has. */
static void both_kinds(void)
{
    c3("ecies.img");
    b.config.keys.image_private.data = key_image.data;
    ends("a device with both keys", SECURE_OTA_OK);
    c3("next.img");
    ends("RSA, of which the device has no key", SECURE_OTA_E_CONFIG);
}

/* Every part of the header may be changed on its way. */
static void changed(void)
{
    static const struct {
        size_t at;
        secure_ota_result want;
    } cases[] = {{FIELD_AT, SECURE_OTA_E_DAMAGED},     {FIELD_AT + 63, SECURE_OTA_E_DAMAGED}, {SALT_AT, SECURE_OTA_E_DAMAGED}, {SALT_AT + 31, SECURE_OTA_E_DAMAGED},
                 {ZEROS_AT, SECURE_OTA_E_CONFIG}, /* RSA, and no such key */
                 {IV_AT - 1, SECURE_OTA_E_CONFIG}, {IV_AT, SECURE_OTA_E_DAMAGED}};
    size_t i;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        c3("ecies.img");
        b.site.binary.data[cases[i].at] ^= 0x10;
        ends("a changed byte", cases[i].want);
    }
}

/* A point that is not on the curve tells nothing about the device's key. */
static void no_points(void)
{
    uint8_t field[SO_ECIES_FIELD] = {0}, key[SO_AES_KEY];
    int i;
    CHECK(so_ecies_is(field) && so_ecies_key(&b.config.ports.hmac, field, key) == SECURE_OTA_E_DAMAGED, "zeros");
    memset(field, 0xff, 64);
    CHECK(so_ecies_key(&b.config.ports.hmac, field, key) == SECURE_OTA_E_DAMAGED, "more than the prime");
    for (i = 0; i < 8; i++) {
        bench_random(NULL, field, 64);
        CHECK(so_ecies_key(&b.config.ports.hmac, field, key) == SECURE_OTA_E_DAMAGED, "random number %d", i);
    }
}

void test_ecies(void)
{
    digest = load("ecies.digest");
    flash_key = load("flash.key");
    table = load("table.bin");
    running = load("running.bin");
    the_key();
    both_kinds();
    changed();
    no_points();
    unload(digest);
    unload(flash_key);
    unload(table);
    unload(running);
}
