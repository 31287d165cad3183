#include "secure_ota.h"

#include <string.h>

#include "app.h"
#include "crypto.h"
#include "fetch.h"
#include "manifest.h"
#include "paths.h"
#include "result.h"
#include "say.h"
#include "slots.h"

enum { DESCRIPTOR_AT = 32 };

const char *secure_ota_text(secure_ota_result result)
{
    static const char *const texts[SECURE_OTA_RESULTS] = {
        "done",
        "the server has nothing newer",
        "the configuration lacks a port, a key or a name, or a key cannot be read",
        "the server cannot be reached, or the connection was lost too often",
        "the server refuses this device",
        "the server answers what no update server answers",
        "the manifest is not for this fleet, or not signed by its author",
        "the firmware is for another product or another chip",
        "the firmware is older than what runs or than the fuses allow, or its version cannot be compared",
        "this firmware was tried before and did not confirm itself",
        "the firmware that runs is not confirmed yet",
        "the file changed on the server during the download",
        "the binary is in a form that is not known here",
        "the binary is damaged",
        "the firmware is not signed by the right key",
        "the binary is not the one that the manifest speaks of",
        "the firmware is too large for the slot, or the bundle has nothing for this slot",
        "there is no slot to write to",
        "the flash cannot be read or written",
    };
    return (unsigned)result < SECURE_OTA_RESULTS ? texts[result] : "unknown result";
}

static bool complete(const secure_ota_config *c)
{
    const secure_ota_flash *f = &c->ports.flash;
    const secure_ota_http *h = &c->ports.http;
    return f->read != NULL && f->write != NULL && f->write_raw != NULL && f->erase != NULL && f->running != NULL && h->open != NULL &&
           h->read != NULL && h->close != NULL && c->keys.manifest_private.data != NULL && c->keys.manifest_author.data != NULL &&
           so_device_type_ok(c->device_type);
}

secure_ota_result secure_ota_init(secure_ota *ota, const secure_ota_config *config)
{
    memset(ota, 0, sizeof *ota);
    ota->config = config;
    return config != NULL && complete(config) && so_crypto_init(&config->ports.random) ? SECURE_OTA_OK : SECURE_OTA_E_CONFIG;
}

/* app_at reads the descriptor of the app in a slot. */
static secure_ota_result app_at(const secure_ota *ota, uint32_t address, secure_ota_app *app)
{
    const secure_ota_flash *flash = &ota->config->ports.flash;
    uint8_t descriptor[SECURE_OTA_DESCRIPTOR];
    if (flash->read(flash->context, address + DESCRIPTOR_AT, descriptor, sizeof descriptor) != 0)
        return SECURE_OTA_E_FLASH;
    return so_descriptor_parse(descriptor, app) ? SECURE_OTA_OK : SECURE_OTA_E_FLASH;
}

/* failed_before says whether an app was chosen once, and given up. */
static bool failed_before(secure_ota *ota, const secure_ota_app *next)
{
    so_layout layout;
    so_entry entry[2];
    secure_ota_app app;
    int i;
    if (so_layout_read(ota, &layout, entry) != SECURE_OTA_OK)
        return false;
    for (i = 0; i < 2; i++) {
        int slot = so_slot_of(&layout, entry[i]);
        if (slot < 0 || slot == layout.running || so_bootable(entry[i]) || app_at(ota, layout.slot[slot].address, &app) != SECURE_OTA_OK)
            continue;
        if (memcmp(app.elf_sha256, next->elf_sha256, sizeof app.elf_sha256) == 0 && strcmp(app.version, next->version) == 0)
            return true;
    }
    return false;
}

static secure_ota_result decide(secure_ota *ota, const secure_ota_app *next)
{
    const secure_ota_flash *flash = &ota->config->ports.flash;
    secure_ota_app now;
    uint32_t floor = flash->secure_version != NULL ? flash->secure_version(flash->context) : 0;
    secure_ota_result r = app_at(ota, flash->running(flash->context), &now);
    if (r == SECURE_OTA_OK)
        r = so_app_may_follow(next, &now, floor);
    return r == SECURE_OTA_OK && failed_before(ota, next) ? SECURE_OTA_E_FAILED_BEFORE : r;
}

/* manifest fetches one into the buffer of the sectors. */
static secure_ota_result manifest(secure_ota *ota)
{
    char path[SO_PATH];
    so_fetch f;
    secure_ota_result r = so_path(path, ota->config, ota->config->manifest_path, SO_MANIFEST_PATH);
    if (r != SECURE_OTA_OK)
        return r;
    so_fetch_init(&f, ota->config, path, SECURE_OTA_TO_END);
    r = so_fetch_read(&f, ota->sector, SO_MANIFEST);
    if (r == SECURE_OTA_E_DAMAGED || (r == SECURE_OTA_OK && !so_fetch_ended(&f)))
        r = SECURE_OTA_E_MANIFEST; /* not of 1024 bytes */
    ota->release = f.release;
    so_fetch_close(&f);
    return r;
}

secure_ota_result check_for_update(secure_ota *ota)
{
    secure_ota_app next;
    secure_ota_result r;
    ota->offered = false;
    ota->release = 0;
    (void)so_result_of_last(ota); /* else it is told the next time */
    if ((r = manifest(ota)) == SECURE_OTA_OK)
        r = so_manifest_open(&ota->config->keys, ota->sector, ota->descriptor);
    if (r == SECURE_OTA_OK && !so_descriptor_parse(ota->descriptor, &next))
        r = SECURE_OTA_E_MANIFEST;
    if (r == SECURE_OTA_OK)
        r = decide(ota, &next);
    if (r == SECURE_OTA_OK) {
        ota->app = next;
        ota->offered = true;
    } else if (r == SECURE_OTA_NO_UPDATE) {
        so_result_runs(ota);
    } else {
        so_complain(ota->config, secure_ota_text(r), (uint32_t)r);
        so_result_failed(ota, r);
    }
    return r;
}

secure_ota_result secure_ota_report(secure_ota *ota) { return so_result_of_last(ota); }

bool secure_ota_unconfirmed(secure_ota *ota)
{
    so_layout layout;
    so_entry entry[2];
    int which;
    if (so_layout_read(ota, &layout, entry) != SECURE_OTA_OK)
        return false;
    which = so_entry_of_running(&layout, entry);
    return which >= 0 && so_waits(entry[which]);
}

secure_ota_result secure_ota_confirm(secure_ota *ota)
{
    so_layout layout;
    so_entry entry[2];
    int which;
    secure_ota_result r = so_layout_read(ota, &layout, entry);
    if (r != SECURE_OTA_OK)
        return r == SECURE_OTA_E_NO_SLOT ? SECURE_OTA_OK : r; /* without otadata there is nothing to confirm */
    which = so_entry_of_running(&layout, entry);
    if (which < 0 || !so_waits(entry[which]))
        return SECURE_OTA_OK;
    entry[which].state = SO_VALID;
    return so_mark(ota, &layout, which, entry[which]);
}

secure_ota_result secure_ota_reject(secure_ota *ota)
{
    so_layout layout;
    so_entry entry[2];
    secure_ota_app other;
    int which, before;
    secure_ota_result r = so_layout_read(ota, &layout, entry);
    if (r != SECURE_OTA_OK)
        return r;
    which = so_entry_of_running(&layout, entry);
    if (which < 0)
        return SECURE_OTA_E_NO_SLOT;
    before = so_bootable(entry[1 - which]) ? so_slot_of(&layout, entry[1 - which]) : -1;
    if (before == layout.running)
        before = -1;
    if (before < 0 && layout.factory.size == 0)
        return SECURE_OTA_E_NO_SLOT;
    if (app_at(ota, before < 0 ? layout.factory.address : layout.slot[before].address, &other) != SECURE_OTA_OK)
        return SECURE_OTA_E_NO_SLOT;
    entry[which].state = SO_INVALID;
    return so_mark(ota, &layout, which, entry[which]);
}
