/* Every decoder of secure_ota by itself: the first byte of the input says which. */
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "bundle.h"
#include "der.h"
#include "ecies.h"
#include "encrypted_image.h"
#include "manifest.h"
#include "slots.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
    if (!ok)
        abort();
}

/* Each gets a block of exactly the size that it is promised, so that one byte more is seen. */
static void bundle(const uint8_t *header)
{
    static const uint8_t key[1];
    secure_ota_blob author = {key, 1};
    so_bundle b;
    if (so_bundle_parse(header, author, 0x20000, 0xf, &b) != SECURE_OTA_OK)
        return;
    need(b.offset >= SO_BUNDLE_HEADER && b.size >= b.plain_size && b.size - b.plain_size < 32 && b.offset + b.size > b.offset);
    need(memchr(b.product, 0, sizeof b.product) != NULL && b.descriptor >= header && b.descriptor + 256 <= header + SO_BUNDLE_HEADER);
}

static int hmac(void *context, const uint8_t *data, size_t size, uint8_t mac[32])
{
    (void)context;
    memset(mac, data[size - 1], 32);
    return 0;
}

static void image(const uint8_t *header)
{
    static const uint8_t key[1];
    secure_ota_config config;
    secure_ota_result r;
    so_image_header h;
    so_gcm gcm;
    if (so_image_parse(header, &h) != SECURE_OTA_OK)
        return;
    need(h.size != 0);
    memset(&config, 0, sizeof config);
    config.keys.image_private.data = key;
    config.ports.hmac.calculate = hmac;
    r = so_image_start(&h, &config, &gcm);
    need(r == SECURE_OTA_OK || (r == SECURE_OTA_E_DAMAGED && so_ecies_is(h.key)));
    if (r == SECURE_OTA_OK)
        so_gcm_free(&gcm);
}

static void descriptor(const uint8_t *d)
{
    secure_ota_app a;
    if (so_descriptor_parse(d, &a))
        need(strlen(a.version) <= 32 && strlen(a.project) <= 32);
}

static void entry(const uint8_t *bytes)
{
    so_entry e = so_entry_parse(bytes);
    need(e.seq != 0xffffffffu && (so_bootable(e) ? e.seq != 0 : true));
}

static void manifest(const uint8_t *m)
{
    static const uint8_t key[1];
    uint8_t d[256];
    secure_ota_keys keys;
    memset(&keys, 0, sizeof keys);
    keys.manifest_private.data = keys.manifest_author.data = key;
    so_manifest_open(&keys, m, d);
}

static void table(const uint8_t *data, size_t size)
{
    so_layout l;
    if (so_table_parse(data, size, &l))
        need(l.count <= SO_MAX_SLOTS && l.otadata % 4096 == 0);
}

static void der(const uint8_t *data, size_t size)
{
    secure_ota_blob file = {data, size}, key = so_der_private(file);
    need(key.data == NULL || (key.data >= data && key.data + key.size <= data + size));
    so_der_rsa_bits(file, true);
    key = so_der_public(file);
    need(key.data == NULL || (key.data >= data && key.data + key.size <= data + size));
    so_der_rsa_bits(key, false);
}

/* Two versions, parted by a zero: whatever they are, order is order. */
static void versions(const uint8_t *data, size_t size)
{
    char a[33] = "", b[33] = "";
    const uint8_t *zero = memchr(data, 0, size);
    size_t n = zero == NULL ? size : (size_t)(zero - data), m = zero == NULL ? 0 : size - n - 1;
    so_order there, back;
    memcpy(a, data, n < 32 ? n : 32);
    if (zero != NULL)
        memcpy(b, zero + 1, m < 32 ? m : 32);
    b[32] = 0;
    there = so_version_compare(a, b);
    back = so_version_compare(b, a);
    need(there == SO_UNCLEAR ? back == SO_UNCLEAR : (int)there == -(int)back);
    need(so_version_compare(a, a) == SO_SAME || so_version_compare(a, a) == SO_UNCLEAR);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct {
        void (*parse)(const uint8_t *);
        size_t size;
    } fixed[] = {{bundle, SO_BUNDLE_HEADER}, {image, SO_IMAGE_HEADER}, {descriptor, 256}, {entry, 32}, {manifest, SO_MANIFEST}};
    static void (*const any[])(const uint8_t *, size_t) = {table, der, versions};
    enum { FIXED = sizeof fixed / sizeof fixed[0], ANY = sizeof any / sizeof any[0] };
    unsigned which;
    uint8_t *copy;
    if (size == 0)
        return 0;
    which = data[0] % (FIXED + ANY);
    data++;
    size--;
    if (which >= FIXED) {
        copy = malloc(size + (size == 0));
        memcpy(copy, data, size);
        any[which - FIXED](copy, size);
        free(copy);
        return 0;
    }
    copy = calloc(1, fixed[which].size);
    memcpy(copy, data, size < fixed[which].size ? size : fixed[which].size);
    fixed[which].parse(copy);
    free(copy);
    return 0;
}
