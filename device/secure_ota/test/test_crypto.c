/* Either backend gives the known answers. */
#include <string.h>

#include "bench.h"
#include "crypto.h"
#include "encrypted_image.h"

static void sequence(uint8_t *p, size_t size)
{
    size_t i;
    for (i = 0; i < size; i++)
        p[i] = (uint8_t)i;
}

/* A sentence under the key 00 01 .. 1F and the IV 00 .. 0F, as Espressif's tool encrypts it. */
static void gcm(void)
{
    static const uint8_t cipher[] = {0x22, 0x3f, 0xf0, 0x45, 0x0b, 0xc4, 0x2c, 0x49, 0xfe, 0x8b, 0xb4, 0x5b, 0x2c, 0x84, 0x45, 0xde, 0x35, 0xd4, 0x0e,
                                     0x81, 0x13, 0xe8, 0xa0, 0x37, 0x64, 0x48, 0x28, 0xb6, 0xfa, 0x96, 0xbe, 0xeb, 0x10, 0x07, 0xf1, 0x8c, 0x05};
    uint8_t tag[] = {0x8d, 0x6f, 0x15, 0x9e, 0xaf, 0xa7, 0x03, 0x21, 0x41, 0x88, 0x74, 0x95, 0x81, 0xc5, 0xb0, 0x5d};
    uint8_t key[32], iv[16], plain[96];
    size_t a = 0, b = 0, c = 0;
    int turn;
    so_gcm g;
    sequence(key, sizeof key);
    sequence(iv, sizeof iv);
    for (turn = 0; turn < 2; turn++) {
        CHECK(so_gcm_start(&g, key, iv));
        CHECK(so_gcm_update(&g, cipher, 32, plain, sizeof plain, &a));
        CHECK(so_gcm_update(&g, cipher + 32, sizeof cipher - 32, plain + a, sizeof plain - a, &b));
        CHECK(so_gcm_finish(&g, plain + a + b, sizeof plain - a - b, &c, tag) == (turn == 0));
        so_gcm_free(&g);
        if (turn == 0)
            CHECK(a + b + c == sizeof cipher && memcmp(plain, "ESP32 factory image test vector!xxxxx", sizeof cipher) == 0);
        tag[3] ^= 1;
    }
}

static void sha(void)
{
    static const uint8_t want[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
                                   0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    uint8_t got[32];
    so_sha256 h;
    CHECK(so_sha256_start(&h) && so_sha256_update(&h, (const uint8_t *)"a", 1) && so_sha256_update(&h, (const uint8_t *)"bc", 2) && so_sha256_finish(&h, got));
    so_sha256_free(&h);
    CHECK(memcmp(got, want, sizeof want) == 0);
}

/* RFC 4231, case 1: a key of 20 bytes is one of 32 with zeros behind it. */
static void hmac(void)
{
    static const uint8_t want[] = {0xb0, 0x34, 0x4c, 0x61, 0xd8, 0xdb, 0x38, 0x53, 0x5c, 0xa8, 0xaf, 0xce, 0xaf, 0x0b, 0xf1, 0x2b,
                                   0x88, 0x1d, 0xc2, 0x00, 0xc9, 0x83, 0x3d, 0xa7, 0x26, 0xe9, 0x37, 0x6c, 0x2e, 0x32, 0xcf, 0xf7};
    uint8_t key[32] = {0}, got[32];
    memset(key, 0x0b, 20);
    CHECK(so_hmac_sha256(key, (const uint8_t *)"Hi There", 8, got) && memcmp(got, want, sizeof want) == 0);
}

/* A key that is none is refused by every function, whatever else it gets. */
static void no_key(void)
{
    uint8_t junk[512], out[512], digest[32] = {0};
    secure_ota_blob bad = {junk, sizeof junk}, none = {NULL, 0};
    size_t n;
    memset(junk, 0x30, sizeof junk);
    CHECK(!so_rsa_decrypt(bad, junk, 512, out, sizeof out, &n) && !so_rsa_decrypt(none, junk, 512, out, sizeof out, &n));
    CHECK(!so_rsa_verify(bad, digest, junk, 384) && !so_rsa_verify(none, digest, junk, 384));
    CHECK(!so_rsa_verify_pss(bad, digest, junk, 384) && !so_p256_verify(bad, digest, junk) && !so_p256_verify(none, digest, junk));
    bad.size = 65;
    junk[0] = 4; /* a point that is not on the curve */
    CHECK(!so_p256_verify(bad, digest, junk));
}

/* Keys of one size do not take blocks of another. */
static void sizes(void)
{
    uint8_t in[512] = {0}, out[512];
    secure_ota_blob image = {key_image.data, key_image.size}, author = {key_author.data, key_author.size};
    size_t n;
    CHECK(!so_rsa_decrypt(image, in, 512, out, sizeof out, &n));
    CHECK(!so_rsa_verify(author, in, in, 512));
}

/* The key of an image opens with the fleet's key; with another one the tag tells. */
static void image_key(void)
{
    blob image = load("next.img");
    secure_ota_blob right = {key_image.data, key_image.size}, wrong = {key_manifest.data, key_manifest.size};
    secure_ota_config config;
    so_image_header h;
    uint8_t out[4800 + 16];
    size_t a, b;
    int turn;
    so_gcm g;
    memset(&config, 0, sizeof config);
    CHECK(so_image_parse(image.data, &h) == SECURE_OTA_OK && h.size == image.size - 512 && h.size < sizeof out - 16);
    for (turn = 0; turn < 2; turn++) {
        a = b = 0;
        config.keys.image_private = turn == 0 ? right : wrong;
        CHECK(so_image_start(&h, &config, &g) == SECURE_OTA_OK);
        CHECK(so_gcm_update(&g, image.data + 512, h.size, out, sizeof out, &a));
        CHECK(so_gcm_finish(&g, out + a, sizeof out - a, &b, h.tag) == (turn == 0));
        so_gcm_free(&g);
    }
    image.data[500] = 1;
    CHECK(so_image_parse(image.data, &h) == SECURE_OTA_E_FORMAT);
    unload(image);
}

void test_crypto(void)
{
    gcm();
    sha();
    hmac();
    no_key();
    sizes();
    image_key();
}
