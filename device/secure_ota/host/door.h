/* The flash of a virtual chip, through its own encryption: what `station sim --app`
 * and the tests of the simulator offer on a socket. */
#ifndef DOOR_H
#define DOOR_H

#include "secure_ota_port.h"

typedef struct {
    int fd;
    uint32_t running, secure_version;
    bool encrypted;
    uint8_t crypt_config, mac[6];
    uint16_t chip_id;
    uint32_t hmac_key; /* number of the key block that the firmware has HMACs computed with */
} door;

/* Becomes the application of the chip; -1 if it cannot be reached or no application runs. */
int door_open(door *d, const char *socket);
secure_ota_flash door_port(door *d);
secure_ota_hmac door_hmac(door *d); /* by the chip's peripheral, with the key of hmac_key */
int door_restart(door *d); /* the chip's own reset; the door is closed after it */
void door_close(door *d);

#endif
