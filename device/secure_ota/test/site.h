/* An update server in memory, with the faults of networks. */
#ifndef SITE_H
#define SITE_H

#include "check.h"
#include "secure_ota_port.h"

typedef struct {
    blob manifest, binary; /* data null: 404 */
    const char *etag;      /* null: the server sends none */
    bool ranges;           /* it knows them; else it always sends the whole file */
    bool says_total;       /* it tells how long the file is */
    int status;            /* not 0: answers nothing but this */
    int refuse;            /* connections that fail before one works */
    size_t cut;            /* bytes after which a connection is lost; 0: never */
    int cuts;              /* how many connections; negative: all */
    const char *release;   /* null: the server gives its releases no numbers */
    int post_status;       /* of answers to what is posted; 0: 200, negative: no answer */
    const char *next_etag; /* after the first connection that was cut, it is another file */
    size_t most;           /* bytes in one read; 0: as many as wanted */

    /* What happened. */
    int requests;
    uint32_t slept; /* milliseconds */
    uint32_t first, count;
    char path[256], asked_etag[80];
    int posts;
    char posted_to[256], posted[256]; /* the last one */
    size_t sent;
    bool open;

    const blob *file;
    size_t at, end, left;
} site;

void site_init(site *s);
secure_ota_http site_port(site *s);
secure_ota_clock site_clock(site *s);

#endif
