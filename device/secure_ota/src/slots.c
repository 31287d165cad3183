#include "slots.h"

#include <string.h>

#include "bytes.h"
#include "crc.h"

enum {
    TABLE = 0x8000,
    TABLE_SIZE = 0xc00,
    ROW = 32,
    ROW_MAGIC = 0x50aa,
    MD5_MAGIC = 0xebeb,
    NO_MAGIC = 0xffff,
    TYPE_APP = 0,
    TYPE_DATA = 1,
    SUBTYPE_FACTORY = 0,
    SUBTYPE_OTA_0 = 0x10,
    SUBTYPE_OTADATA = 0,
    ENTRY = 32,
    NOTE_AT = 4, /* a label that no bootloader looks at, and that each keeps */
    STATE_AT = 24,
    CRC_AT = 28
};

static void add(so_layout *l, const uint8_t *row)
{
    so_slot s;
    uint8_t type = row[2], subtype = row[3];
    s.address = so_le32(row + 4);
    s.size = so_le32(row + 8);
    if (type == TYPE_APP && subtype == SUBTYPE_FACTORY)
        l->factory = s;
    if (type == TYPE_APP && subtype >= SUBTYPE_OTA_0 && subtype < SUBTYPE_OTA_0 + SO_MAX_SLOTS && l->slot[subtype - SUBTYPE_OTA_0].size == 0) {
        l->slot[subtype - SUBTYPE_OTA_0] = s;
        l->count += s.size != 0;
    }
    if (type == TYPE_DATA && subtype == SUBTYPE_OTADATA && s.size >= 2 * SECURE_OTA_SECTOR)
        l->otadata = s.address;
}

/* sound refuses what no table has: an app or otadata that begins inside a sector or ends beyond the addresses. */
static bool sound(const uint8_t *row)
{
    uint32_t address = so_le32(row + 4), size = so_le32(row + 8);
    return (row[2] != TYPE_APP && (row[2] != TYPE_DATA || row[3] != SUBTYPE_OTADATA)) ||
           (address % SECURE_OTA_SECTOR == 0 && size % SECURE_OTA_SECTOR == 0 && address != 0 && size <= UINT32_MAX - address);
}

bool so_table_parse(const uint8_t *table, size_t size, so_layout *l)
{
    size_t at;
    unsigned i;
    memset(l, 0, sizeof *l);
    l->running = l->target = -1;
    for (at = 0; at + ROW <= size; at += ROW) {
        uint16_t magic = so_le16(table + at);
        if (magic == NO_MAGIC)
            break;
        if (magic == MD5_MAGIC)
            continue;
        if (magic != ROW_MAGIC || !sound(table + at))
            return false;
        add(l, table + at);
    }
    for (i = 0; i < l->count; i++) /* the bootloader counts slots: a gap would shift what it boots */
        if (l->slot[i].size == 0)
            return false;
    return at > 0;
}

/* The bootloader's checksum of an entry covers the sequence alone. */
static uint32_t entry_crc(const uint8_t *bytes) { return so_crc32(0xffffffffu, bytes, 4); }

/* The note in an entry: which release was chosen. Whoever else writes an entry may
 * leave the note of an older one: it is good with its own sequence only. */
enum { NOTE_MAGIC = 0x41544f53, NOTE_RELEASE = 4, NOTE_SEQ = 12, NOTE_CRC = 16 };

static uint64_t note_parse(const uint8_t *note, uint32_t seq)
{
    if (so_le32(note) != NOTE_MAGIC || so_le32(note + NOTE_SEQ) != seq || so_le32(note + NOTE_CRC) != so_crc32(0, note, NOTE_CRC))
        return 0;
    return so_le32(note + NOTE_RELEASE) | (uint64_t)so_le32(note + NOTE_RELEASE + 4) << 32;
}

static void note_put(uint8_t *note, so_entry e)
{
    so_put_le32(note, NOTE_MAGIC);
    so_put_le32(note + NOTE_RELEASE, (uint32_t)e.release);
    so_put_le32(note + NOTE_RELEASE + 4, (uint32_t)(e.release >> 32));
    so_put_le32(note + NOTE_SEQ, e.seq);
    so_put_le32(note + NOTE_CRC, so_crc32(0, note, NOTE_CRC));
}

so_entry so_entry_parse(const uint8_t bytes[ENTRY])
{
    so_entry e = {0, SO_UNDEFINED, 0};
    uint32_t seq = so_le32(bytes), state = so_le32(bytes + STATE_AT);
    if (seq == 0 || seq == UINT32_MAX || so_le32(bytes + CRC_AT) != entry_crc(bytes))
        return e;
    e.seq = seq;
    e.state = state <= SO_ABORTED ? (so_state)state : SO_UNDEFINED;
    e.release = note_parse(bytes + NOTE_AT, seq);
    return e;
}

bool so_bootable(so_entry e) { return e.seq != 0 && e.state != SO_INVALID && e.state != SO_ABORTED; }

bool so_waits(so_entry e) { return e.seq != 0 && (e.state == SO_NEW || e.state == SO_PENDING); }

int so_slot_of(const so_layout *l, so_entry e) { return e.seq == 0 || l->count == 0 ? -1 : (int)((e.seq - 1) % l->count); }

static int read_table(secure_ota *ota, so_layout *l)
{
    const secure_ota_flash *flash = &ota->config->ports.flash;
    uint32_t at = ota->config->table_address ? ota->config->table_address : TABLE;
    return flash->read(flash->context, at, ota->sector, TABLE_SIZE) == 0 && so_table_parse(ota->sector, TABLE_SIZE, l);
}

static bool read_entries(secure_ota *ota, const so_layout *l, so_entry entry[2])
{
    const secure_ota_flash *flash = &ota->config->ports.flash;
    uint8_t bytes[ENTRY];
    uint32_t i;
    for (i = 0; i < 2; i++) {
        if (flash->read(flash->context, l->otadata + i * SECURE_OTA_SECTOR, bytes, sizeof bytes) != 0)
            return false;
        entry[i] = so_entry_parse(bytes);
    }
    return true;
}

/* place finds the slot that runs and the next one, which is written to. */
static void place(so_layout *l, uint32_t running)
{
    unsigned i;
    for (i = 0; i < l->count; i++)
        if (l->slot[i].address == running)
            l->running = (int)i;
    if (l->count > 0 && (l->count > 1 || l->running < 0))
        l->target = (l->running + 1) % (int)l->count;
}

secure_ota_result so_layout_read(secure_ota *ota, so_layout *l, so_entry entry[2])
{
    const secure_ota_flash *flash = &ota->config->ports.flash;
    if (!read_table(ota, l))
        return SECURE_OTA_E_FLASH;
    place(l, flash->running(flash->context));
    if (l->otadata == 0)
        return SECURE_OTA_E_NO_SLOT;
    return read_entries(ota, l, entry) ? SECURE_OTA_OK : SECURE_OTA_E_FLASH;
}

int so_entry_of_running(const so_layout *l, const so_entry entry[2])
{
    int i, best = -1;
    for (i = 0; i < 2; i++)
        if (l->running >= 0 && so_slot_of(l, entry[i]) == l->running && so_bootable(entry[i]) && (best < 0 || entry[i].seq > entry[best].seq))
            best = i;
    return best;
}

int so_newest(const so_entry entry[2])
{
    int last = entry[1].seq > entry[0].seq ? 1 : 0;
    return entry[last].seq != 0 ? last : -1;
}

secure_ota_result so_mark(secure_ota *ota, const so_layout *l, int which, so_entry e)
{
    const secure_ota_flash *flash = &ota->config->ports.flash;
    uint32_t at = l->otadata + (uint32_t)which * SECURE_OTA_SECTOR;
    uint8_t bytes[ENTRY];
    memset(bytes, 0xff, sizeof bytes);
    so_put_le32(bytes, e.seq);
    if (e.release != 0)
        note_put(bytes + NOTE_AT, e);
    so_put_le32(bytes + STATE_AT, e.state == SO_UNDEFINED ? UINT32_MAX : (uint32_t)e.state);
    so_put_le32(bytes + CRC_AT, entry_crc(bytes));
    if (flash->erase(flash->context, at, SECURE_OTA_SECTOR) != 0 || flash->write(flash->context, at, bytes, sizeof bytes) != 0 ||
        flash->read(flash->context, at, bytes, sizeof bytes) != 0)
        return SECURE_OTA_E_FLASH;
    return so_entry_parse(bytes).seq == e.seq && so_entry_parse(bytes).state == e.state ? SECURE_OTA_OK : SECURE_OTA_E_FLASH;
}

secure_ota_result so_choose_target(secure_ota *ota, const so_layout *l, const so_entry entry[2])
{
    int keep = so_entry_of_running(l, entry);
    int which = keep >= 0 ? 1 - keep : entry[0].seq <= entry[1].seq ? 0 : 1;
    so_entry next;
    next.seq = (entry[0].seq > entry[1].seq ? entry[0].seq : entry[1].seq) + 1;
    if (next.seq > UINT32_MAX - SO_MAX_SLOTS)
        return SECURE_OTA_E_FLASH;
    while (so_slot_of(l, next) != l->target)
        next.seq++;
    next.state = ota->config->rollback ? SO_NEW : SO_UNDEFINED;
    next.release = ota->release;
    return so_mark(ota, l, which, next);
}
