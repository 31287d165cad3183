/* An application: its descriptor, its version, its image in a slot. */
#ifndef SECURE_OTA_APP_H
#define SECURE_OTA_APP_H

#include "secure_ota.h"

/* Reads a descriptor of 256 bytes; false if it is none. */
bool so_descriptor_parse(const uint8_t descriptor[SECURE_OTA_DESCRIPTOR], secure_ota_app *app);

typedef enum { SO_OLDER = -1, SO_SAME = 0, SO_NEWER = 1, SO_UNCLEAR = 2 } so_order;

/* How version a stands to version b: numbers between dots, then what git
 * describe adds (1.2-3-gabc is after 1.2), or a pre-release (1.2-rc1 is before
 * 1.2). SO_UNCLEAR where one of them does not begin with a number. The server has
 * the same rule, and its tests the same cases: test/data/versions.txt. */
so_order so_version_compare(const char *a, const char *b);

/* Whether firmware may follow what runs. floor is the secure version of the fuses. */
secure_ota_result so_app_may_follow(const secure_ota_app *next, const secure_ota_app *now, uint32_t floor);

#endif
