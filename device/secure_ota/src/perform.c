/* From the server into the slot, and the choice of the bootloader. */
#include <string.h>

#include "bundle.h"
#include "encrypted_image.h"
#include "fetch.h"
#include "paths.h"
#include "result.h"
#include "say.h"
#include "slots.h"
#include "verify.h"
#include "writer.h"

/* An update under way. */
typedef struct {
    secure_ota *ota;
    so_layout layout;
    so_entry entry[2];
    so_fetch fetch;
    so_writer writer;
} update;

static void progress(const update *u, uint32_t total)
{
    const secure_ota_log *log = &u->ota->config->ports.log;
    if (log->progress != NULL)
        log->progress(log->context, u->writer.at, total);
}

/* target is the slot to write to. */
static const so_slot *target(const update *u) { return &u->layout.slot[u->layout.target]; }

/* close_slot is the same for every form: what is in the slot is read back and
 * checked, and its head written where that was not needed to read it. */
static secure_ota_result close_slot(update *u)
{
    secure_ota_result r = so_slot_verify(&u->writer);
    if (r == SECURE_OTA_OK && u->writer.held)
        r = so_writer_head(&u->writer);
    return r;
}

/* decrypt takes the cipher text from the server through the cipher into the slot. */
static secure_ota_result decrypt(update *u, const so_image_header *h, so_gcm *gcm)
{
    uint8_t plain[512 + SO_GCM_TAG];
    uint8_t *in = u->ota->input;
    size_t n = 0;
    uint32_t left;
    secure_ota_result r;
    for (left = h->size; left > 0; left -= (uint32_t)n) {
        size_t out = 0;
        n = left < 512 ? left : 512;
        if ((r = so_fetch_read(&u->fetch, in, n)) != SECURE_OTA_OK)
            return r;
        if (!so_gcm_update(gcm, in, n, plain, sizeof plain, &out))
            return SECURE_OTA_E_DAMAGED;
        if ((r = so_writer_add(&u->writer, plain, out)) != SECURE_OTA_OK)
            return r;
        progress(u, h->size);
    }
    n = 0;
    if (!so_gcm_finish(gcm, plain, sizeof plain, &n, h->tag))
        return SECURE_OTA_E_DAMAGED;
    if ((r = so_writer_add(&u->writer, plain, n)) != SECURE_OTA_OK)
        return r;
    progress(u, h->size);
    return u->writer.at == h->size ? so_writer_flush(&u->writer) : SECURE_OTA_E_DAMAGED;
}

static secure_ota_result take_image(update *u)
{
    const secure_ota_config *config = u->ota->config;
    uint8_t *header = u->ota->sector;
    so_image_header h;
    so_gcm gcm;
    secure_ota_result r = so_fetch_read(&u->fetch, header + 8, SO_IMAGE_HEADER - 8);
    if (r != SECURE_OTA_OK)
        return r;
    /* Anybody can encrypt to the fleet: only the app's signature tells who made it. */
    if (config->keys.app_v1.data == NULL && config->keys.app_v2_digest == NULL)
        return SECURE_OTA_E_CONFIG;
    if ((r = so_image_parse(header, &h)) != SECURE_OTA_OK)
        return r;
    if (h.size > target(u)->size)
        return SECURE_OTA_E_SIZE;
    so_writer_init(&u->writer, u->ota, target(u)->address, target(u)->size, false);
    if ((r = so_image_start(&h, config, &gcm)) != SECURE_OTA_OK)
        return r;
    r = decrypt(u, &h, &gcm);
    so_gcm_free(&gcm);
    if (r == SECURE_OTA_OK && !so_fetch_ended(&u->fetch))
        r = SECURE_OTA_E_DAMAGED;
    so_fetch_close(&u->fetch);
    return r == SECURE_OTA_OK ? close_slot(u) : r;
}

/* copy takes the bytes of a slot of the bundle as they are, and compares their digest. */
static secure_ota_result copy(update *u, const so_bundle *b)
{
    uint8_t digest[SO_SHA256];
    uint8_t *in = u->ota->input;
    so_sha256 sha;
    uint32_t left, n;
    secure_ota_result r = so_sha256_start(&sha) ? SECURE_OTA_OK : SECURE_OTA_E_CONFIG;
    for (left = b->size; left > 0 && r == SECURE_OTA_OK; left -= n) {
        n = left < sizeof u->ota->input ? left : (uint32_t)sizeof u->ota->input;
        if ((r = so_fetch_read(&u->fetch, in, n)) == SECURE_OTA_OK && !so_sha256_update(&sha, in, n))
            r = SECURE_OTA_E_CONFIG;
        if (r == SECURE_OTA_OK)
            r = so_writer_add(&u->writer, in, n);
        progress(u, b->size);
    }
    if (r == SECURE_OTA_OK && !so_sha256_finish(&sha, digest))
        r = SECURE_OTA_E_CONFIG;
    so_sha256_free(&sha);
    if (r != SECURE_OTA_OK)
        return r;
    return so_same(digest, b->sha256, sizeof digest) ? so_writer_flush(&u->writer) : SECURE_OTA_E_DAMAGED;
}

/* agrees holds the header of a bundle against the device and the manifest. */
static secure_ota_result agrees(const update *u, const so_bundle *b)
{
    const secure_ota_config *c = u->ota->config;
    if (b->chip_id != c->chip_id || strcmp(b->product, c->device_type) != 0)
        return SECURE_OTA_E_PRODUCT;
    if (memcmp(b->descriptor, u->ota->descriptor, SECURE_OTA_DESCRIPTOR) != 0)
        return SECURE_OTA_E_BINDING;
    return b->size <= target(u)->size ? SECURE_OTA_OK : SECURE_OTA_E_SIZE;
}

static secure_ota_result take_bundle(update *u)
{
    const secure_ota_flash *flash = &u->ota->config->ports.flash;
    uint8_t *header = u->ota->sector, config = 0, digest[SO_SHA256];
    so_bundle b;
    secure_ota_result r;
    if (u->ota->config->keys.bundle_author.data == NULL || flash->encrypted == NULL || !flash->encrypted(flash->context, &config))
        return SECURE_OTA_E_CONFIG; /* a bundle is for chips that encrypt their flash */
    if ((r = so_fetch_read(&u->fetch, header + 8, SO_BUNDLE_HEADER - 8)) != SECURE_OTA_OK ||
        (r = so_bundle_parse(header, u->ota->config->keys.bundle_author, target(u)->address, config, &b)) != SECURE_OTA_OK ||
        (r = agrees(u, &b)) != SECURE_OTA_OK)
        return r;
    so_fetch_seek(&u->fetch, b.offset, b.size);
    so_writer_init(&u->writer, u->ota, target(u)->address, target(u)->size, true);
    r = copy(u, &b);
    so_fetch_close(&u->fetch);
    /* Only the chip can decrypt: the head goes in before what is there is looked at. */
    if (r == SECURE_OTA_OK)
        r = so_writer_head(&u->writer);
    if (r == SECURE_OTA_OK)
        r = so_slot_digest(&u->writer, b.plain_size, digest);
    if (r == SECURE_OTA_OK && !so_same(digest, b.plain_sha256, sizeof digest))
        r = SECURE_OTA_E_DAMAGED; /* encrypted with another key, or for another place */
    return r == SECURE_OTA_OK ? close_slot(u) : r;
}

/* take reads the first bytes and goes on as their form says. */
static secure_ota_result take(update *u)
{
    uint8_t *first = u->ota->sector;
    secure_ota_result r = so_fetch_read(&u->fetch, first, 8);
    if (r != SECURE_OTA_OK)
        return r;
    if (so_image_is(first))
        return take_image(u);
    return so_bundle_is(first) ? take_bundle(u) : SECURE_OTA_E_FORMAT;
}

static secure_ota_result download(update *u)
{
    char path[SO_PATH];
    secure_ota_result r = so_path(path, u->ota->config, u->ota->config->binary_path, SO_BINARY);
    if (r != SECURE_OTA_OK)
        return r;
    so_fetch_init(&u->fetch, u->ota->config, path, SO_BUNDLE_HEADER);
    u->fetch.release = u->ota->release;
    r = take(u);
    so_fetch_close(&u->fetch);
    return r;
}

/* place finds the slot to write to. */
static secure_ota_result place(update *u)
{
    int running;
    secure_ota_result r = so_layout_read(u->ota, &u->layout, u->entry);
    if (r != SECURE_OTA_OK)
        return r;
    if (u->layout.target < 0)
        return SECURE_OTA_E_NO_SLOT;
    running = so_entry_of_running(&u->layout, u->entry);
    return running >= 0 && so_waits(u->entry[running]) ? SECURE_OTA_E_UNCONFIRMED : SECURE_OTA_OK;
}

static secure_ota_result fill(update *u)
{
    secure_ota_result r = place(u);
    if (r != SECURE_OTA_OK)
        return r;
    so_say(u->ota->config, "the update goes to the slot at address", target(u)->address);
    r = download(u);
    if (r == SECURE_OTA_OK)
        r = so_choose_target(u->ota, &u->layout, u->entry);
    if (r != SECURE_OTA_OK && u->writer.ota != NULL)
        so_writer_spoil(&u->writer);
    u->ota->offered = false;
    return r;
}

secure_ota_result perform_update(secure_ota *ota)
{
    update u;
    secure_ota_result r = ota->offered ? SECURE_OTA_OK : check_for_update(ota);
    if (r != SECURE_OTA_OK)
        return r;
    memset(&u, 0, sizeof u);
    u.ota = ota;
    r = fill(&u);
    ota->told = ota->told || r == SECURE_OTA_OK; /* what was chosen now has not been tried */
    if (r == SECURE_OTA_OK) {
        so_say(ota->config, "the update is complete; it starts at the next reset; bytes", u.writer.at);
    } else {
        so_complain(ota->config, secure_ota_text(r), (uint32_t)r);
        so_result_failed(ota, r);
    }
    return r;
}
