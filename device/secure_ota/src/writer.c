#include "writer.h"

#include <string.h>

enum { ALIGN = 32 };

void so_writer_init(so_writer *w, secure_ota *ota, uint32_t address, uint32_t limit, bool raw)
{
    memset(w, 0, sizeof *w);
    w->ota = ota;
    w->address = address;
    w->limit = limit;
    w->raw = raw;
    w->held = true;
    memset(w->head, 0xff, sizeof w->head);
}

static int program(const so_writer *w, uint32_t offset, const uint8_t *data, size_t size)
{
    const secure_ota_flash *flash = &w->ota->config->ports.flash;
    return (w->raw ? flash->write_raw : flash->write)(flash->context, w->address + offset, data, size);
}

/* sector erases and writes the sector that begins at offset; of the first all but the head. */
static secure_ota_result sector(so_writer *w, uint32_t offset, size_t size)
{
    const secure_ota_flash *flash = &w->ota->config->ports.flash;
    const uint8_t *data = w->ota->sector;
    if (flash->erase(flash->context, w->address + offset, SECURE_OTA_SECTOR) != 0)
        return SECURE_OTA_E_FLASH;
    if (offset == 0) {
        memcpy(w->head, data, SO_HEAD);
        data += SO_HEAD;
        offset += SO_HEAD;
        size -= SO_HEAD;
    }
    return size == 0 || program(w, offset, data, size) == 0 ? SECURE_OTA_OK : SECURE_OTA_E_FLASH;
}

secure_ota_result so_writer_add(so_writer *w, const uint8_t *data, size_t size)
{
    if (size > w->limit - w->at)
        return SECURE_OTA_E_SIZE;
    while (size > 0) {
        size_t have = w->at % SECURE_OTA_SECTOR;
        size_t n = size < SECURE_OTA_SECTOR - have ? size : SECURE_OTA_SECTOR - have;
        memcpy(w->ota->sector + have, data, n);
        data += n;
        size -= n;
        w->at += (uint32_t)n;
        if (have + n == SECURE_OTA_SECTOR) {
            secure_ota_result r = sector(w, w->at - SECURE_OTA_SECTOR, SECURE_OTA_SECTOR);
            if (r != SECURE_OTA_OK)
                return r;
        }
    }
    return SECURE_OTA_OK;
}

secure_ota_result so_writer_flush(so_writer *w)
{
    size_t have = w->at % SECURE_OTA_SECTOR;
    size_t whole = (have + ALIGN - 1) / ALIGN * ALIGN;
    if (have == 0)
        return SECURE_OTA_OK;
    memset(w->ota->sector + have, 0xff, whole - have);
    return sector(w, w->at - (uint32_t)have, whole);
}

secure_ota_result so_writer_head(so_writer *w)
{
    if (program(w, 0, w->head, SO_HEAD) != 0)
        return SECURE_OTA_E_FLASH;
    w->held = false;
    return SECURE_OTA_OK;
}

void so_writer_spoil(so_writer *w)
{
    const secure_ota_flash *flash = &w->ota->config->ports.flash;
    if (!w->held)
        flash->erase(flash->context, w->address, SECURE_OTA_SECTOR);
}

secure_ota_result so_writer_read(const so_writer *w, uint32_t at, uint8_t *data, size_t size)
{
    const secure_ota_flash *flash = &w->ota->config->ports.flash;
    uint8_t *window = w->ota->input;
    uint32_t from = at / ALIGN * ALIGN;
    size_t lead = at - from, whole = (lead + size + ALIGN - 1) / ALIGN * ALIGN;
    if (at > w->limit || size > w->limit - at || whole > sizeof w->ota->input)
        return SECURE_OTA_E_DAMAGED;
    if (flash->read(flash->context, w->address + from, window, whole) != 0)
        return SECURE_OTA_E_FLASH;
    if (w->held && from == 0)
        memcpy(window, w->head, SO_HEAD);
    memmove(data, window + lead, size);
    return SECURE_OTA_OK;
}
