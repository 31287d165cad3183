/* Where apps are in the flash, and which of them boots: the partition table and
 * the two entries of otadata, as ESP-IDF's bootloader reads them. */
#ifndef SECURE_OTA_SLOTS_H
#define SECURE_OTA_SLOTS_H

#include "secure_ota.h"

enum { SO_MAX_SLOTS = 16 };

typedef struct {
    uint32_t address;
    uint32_t size; /* 0: there is no such slot */
} so_slot;

typedef struct {
    so_slot slot[SO_MAX_SLOTS]; /* by the number of ota_0 to ota_15 */
    unsigned count;             /* how many there are */
    so_slot factory;
    uint32_t otadata;           /* address; 0: there is none */
    int running;                /* slot that runs, -1: it is the factory app or another */
    int target;                 /* slot to write to, -1: there is none */
} so_layout;

/* What state an entry of otadata says its slot is in. */
typedef enum {
    SO_NEW = 0,
    SO_PENDING = 1,
    SO_VALID = 2,
    SO_INVALID = 3,
    SO_ABORTED = 4,
    SO_UNDEFINED = -1
} so_state;

typedef struct {
    uint32_t seq; /* 0: there is no entry */
    so_state state;
    uint64_t release; /* by which the server knows what was chosen; 0: it did not say */
} so_entry;

/* Reads the rows of a partition table; false if they make no sense. running and target are not set. */
bool so_table_parse(const uint8_t *table, size_t size, so_layout *layout);

/* Reads one entry of 32 bytes. */
so_entry so_entry_parse(const uint8_t bytes[32]);

/* Reads table and otadata of the chip. The layout may still have no target. */
secure_ota_result so_layout_read(secure_ota *ota, so_layout *layout, so_entry entry[2]);

/* The entry that chose the slot that runs, -1 for none. */
int so_entry_of_running(const so_layout *layout, const so_entry entry[2]);

/* The entry that was written last, -1 for none. */
int so_newest(const so_entry entry[2]);

/* Makes the bootloader choose the target. The entry of what runs stays. */
secure_ota_result so_choose_target(secure_ota *ota, const so_layout *layout, const so_entry entry[2]);

/* Writes another state into an entry. */
secure_ota_result so_mark(secure_ota *ota, const so_layout *layout, int which, so_entry entry);

/* The slot that an entry chooses. */
int so_slot_of(const so_layout *layout, so_entry entry);

/* Whether what an entry chooses is to be confirmed yet. */
bool so_waits(so_entry entry);

/* Whether the bootloader may boot what an entry chooses. */
bool so_bootable(so_entry entry);

#endif
