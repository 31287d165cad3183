/* A file of the server as a row of bytes: connections that are lost are taken up
 * again where they broke. */
#ifndef SECURE_OTA_FETCH_H
#define SECURE_OTA_FETCH_H

#include "secure_ota.h"

typedef struct {
    const secure_ota_config *config;
    const char *path;
    uint32_t at;    /* offset of the next byte */
    uint32_t end;   /* where the piece ends that is asked for; 0: at the file's end */
    uint32_t total; /* bytes of the file, 0: not known */
    unsigned failed; /* connections in a row that brought nothing */
    bool open;
    char etag[72];
    uint64_t release; /* by which the server knows the file's release; 0: not known */
} so_fetch;

/* Nothing is asked before the first read. count bytes are going to be wanted at
 * first, SECURE_OTA_TO_END for all; reading on beyond them asks for the rest. */
void so_fetch_init(so_fetch *f, const secure_ota_config *config, const char *path, uint32_t count);

/* Exactly size bytes. SECURE_OTA_NO_UPDATE if the server has no such file. */
secure_ota_result so_fetch_read(so_fetch *f, void *data, size_t size);

/* Goes on at another offset, of which count bytes are wanted. */
void so_fetch_seek(so_fetch *f, uint32_t at, uint32_t count);

/* Whether the file ends here. Server and connection are asked if they have not told. */
bool so_fetch_ended(so_fetch *f);

/* After init, always. */
void so_fetch_close(so_fetch *f);

#endif
