/* What is only computed: versions, descriptors, checksums, paths, DER. */
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "check.h"
#include "crc.h"
#include "der.h"
#include "paths.h"

/* word takes the next word of a line, "-" for an empty one; false at its end. */
static bool word(char **line, char out[64])
{
    size_t n = strcspn(*line, " \n");
    bool more = n > 0 && n < 64;
    memset(out, 0, 64);
    if (more && !(n == 1 && **line == '-'))
        memcpy(out, *line, n);
    *line += n;
    *line += strspn(*line, " ");
    return more;
}

/* The server's tests have the same cases. */
static void versions(void)
{
    static const char *const name[] = {"older", "same", "newer", "unclear"};
    blob file = load("versions.txt");
    char *text = malloc(file.size + 1), *line, *next;
    unsigned cases = 0;
    memcpy(text, file.data, file.size);
    text[file.size] = 0;
    for (line = text; (next = strchr(line, '\n')) != NULL; line = next + 1) {
        char a[64], b[64], want[64];
        so_order ab, ba;
        if (*line == '#' || *line == '\n')
            continue;
        CHECK(word(&line, a) && word(&line, want) && word(&line, b), "the line of %s %s %s", a, want, b);
        ab = so_version_compare(a, b);
        ba = so_version_compare(b, a);
        CHECK(strcmp(name[ab + 1], want) == 0, "%s and %s: got %s", a, b, name[ab + 1]);
        CHECK(ba == (ab == SO_UNCLEAR ? SO_UNCLEAR : (so_order)-ab), "%s and %s: got %s", b, a, name[ba + 1]);
        cases++;
    }
    CHECK(cases >= 40, "%u cases", cases);
    free(text);
    unload(file);
}

static secure_ota_app app(const char *version, uint32_t secure, char elf)
{
    secure_ota_app a;
    memset(&a, 0, sizeof a);
    strcpy(a.version, version);
    strcpy(a.project, "lamp");
    a.secure_version = secure;
    a.elf_sha256[0] = (uint8_t)elf;
    return a;
}

static void may_follow(void)
{
    static const struct {
        const char *version;
        uint32_t secure;
        char elf;
        uint32_t floor;
        secure_ota_result want;
    } cases[] = {
        {"1.1.0", 3, 'b', 0, SECURE_OTA_OK},
        {"1.1.0", 3, 'b', 3, SECURE_OTA_OK},
        {"1.1.0", 3, 'b', 4, SECURE_OTA_E_OLDER},  /* the fuses say no */
        {"1.1.0", 2, 'b', 0, SECURE_OTA_E_OLDER},  /* newer in name only */
        {"0.9.0", 3, 'b', 0, SECURE_OTA_E_OLDER},
        {"0.9.0", 4, 'b', 0, SECURE_OTA_E_OLDER},  /* a higher secure version makes nothing newer */
        {"1.0.0", 3, 'a', 0, SECURE_OTA_NO_UPDATE},
        {"1.0.0", 3, 'b', 0, SECURE_OTA_NO_UPDATE}, /* built again under the same name */
        {"nightly", 3, 'b', 0, SECURE_OTA_E_OLDER},
        {"nightly", 4, 'b', 0, SECURE_OTA_OK},
    };
    secure_ota_app now = app("1.0.0", 3, 'a'), other = app("1.1.0", 3, 'b');
    size_t i;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        secure_ota_app next = app(cases[i].version, cases[i].secure, cases[i].elf);
        secure_ota_result got = so_app_may_follow(&next, &now, cases[i].floor);
        CHECK(got == cases[i].want, "case %zu: got %s", i, secure_ota_text(got));
    }
    strcpy(other.project, "kettle");
    CHECK(so_app_may_follow(&other, &now, 0) == SECURE_OTA_E_PRODUCT);
}

static void descriptor(void)
{
    uint8_t d[256];
    secure_ota_app a;
    memset(d, 'x', sizeof d); /* texts without an end */
    memcpy(d, "\x32\x54\xcd\xab\x07\0\0\0", 8);
    CHECK(so_descriptor_parse(d, &a) && a.secure_version == 7 && strlen(a.version) == 32 && strlen(a.project) == 32);
    d[0] = 0;
    CHECK(!so_descriptor_parse(d, &a));
}

static void paths(void)
{
    char out[SO_PATH], type[65], path[SO_PATH];
    secure_ota_config c;
    memset(&c, 0, sizeof c);
    memset(type, 'a', sizeof type);
    type[64] = 0;
    CHECK(!so_device_type_ok(type) && !so_device_type_ok(NULL) && !so_device_type_ok(""));
    type[63] = 0;
    CHECK(so_device_type_ok(type));
    CHECK(!so_device_type_ok("a&b=c") && !so_device_type_ok("a b") && !so_device_type_ok("\xc3\xa4") && so_device_type_ok("Lamp-2_v1.0~x"));
    c.device_type = type;
    CHECK(so_path(out, &c, NULL, SO_MANIFEST_PATH) == SECURE_OTA_OK && strncmp(out, "/update/newest/manifest?deviceType=aaa", 38) == 0);
    CHECK(so_path(out, &c, "/x", SO_MANIFEST_PATH) == SECURE_OTA_OK && strncmp(out, "/x?deviceType=aaa", 17) == 0);
    memset(path, 'p', sizeof path);
    path[sizeof path - 1] = 0;
    CHECK(so_path(out, &c, path, "") == SECURE_OTA_E_CONFIG);
    path[SO_PATH - sizeof "?deviceType=" - 63] = 0; /* fits to the byte */
    CHECK(so_path(out, &c, path, "") == SECURE_OTA_OK && strlen(out) == SO_PATH - 1);
}

static void checksums(void)
{
    uint8_t seq[4] = {1, 0, 0, 0};
    CHECK(so_crc32(0, (const uint8_t *)"123456789", 9) == 0xcbf43926);
    CHECK(so_crc32(0xffffffff, seq, 4) == 0x4743989a);
    CHECK(so_crc32(so_crc32(0, (const uint8_t *)"1234", 4), (const uint8_t *)"56789", 5) == 0xcbf43926);
}

static secure_ota_blob as_key(blob b)
{
    secure_ota_blob k = {b.data, b.size};
    return k;
}

/* Keys in the wrappings of tools, and cut short at every byte. */
static void der(void)
{
    blob p8 = load("manifest.der"), p1 = load("manifest-pkcs1.der"), spki = load("author.der"), rsa = load("author-pkcs1.der"), ec = load("v1.der");
    secure_ota_blob in = so_der_private(as_key(p8)), out, none = {NULL, 0};
    size_t n;
    CHECK(in.size == p1.size && memcmp(in.data, p1.data, p1.size) == 0);
    CHECK(so_der_private(as_key(p1)).data == p1.data && so_der_rsa_bits(in, true) == 4096);
    out = so_der_public(as_key(spki));
    CHECK(out.size == rsa.size && memcmp(out.data, rsa.data, rsa.size) == 0 && so_der_rsa_bits(out, false) == 3072);
    CHECK(so_der_public(as_key(rsa)).data == rsa.data);
    out = so_der_public(as_key(ec));
    CHECK(out.size == 65 && out.data[0] == 4 && so_der_public(out).data == out.data);
    CHECK(so_der_private(none).data == NULL && so_der_public(none).data == NULL && so_der_rsa_bits(none, true) == 0);
    for (n = 0; n < p8.size; n++) {
        secure_ota_blob cut = {p8.data, n};
        CHECK(so_der_private(cut).data == NULL, "cut at %zu", n);
    }
    for (n = 0; n < spki.size; n++) {
        secure_ota_blob cut = {spki.data, n};
        CHECK(so_der_public(cut).data == NULL, "cut at %zu", n);
    }
    unload(p8);
    unload(p1);
    unload(spki);
    unload(rsa);
    unload(ec);
}

static void texts(void)
{
    int i, k;
    for (i = 0; i < SECURE_OTA_RESULTS; i++)
        for (k = 0; k < i; k++)
            CHECK(secure_ota_text((secure_ota_result)i) != NULL && strcmp(secure_ota_text((secure_ota_result)i), secure_ota_text((secure_ota_result)k)) != 0, "%d", i);
    CHECK(strcmp(secure_ota_text(SECURE_OTA_RESULTS), "unknown result") == 0 && strcmp(secure_ota_text((secure_ota_result)-1), "unknown result") == 0);
}

void test_words(void)
{
    versions();
    may_follow();
    descriptor();
    paths();
    checksums();
    der();
    texts();
}
