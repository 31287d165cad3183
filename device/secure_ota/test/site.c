#include "site.h"

#include <stdio.h>
#include <string.h>

void site_init(site *s)
{
    memset(s, 0, sizeof *s);
    s->ranges = s->says_total = true;
    s->etag = "\"a\"";
}

static bool begins(const char *path, const char *with) { return strncmp(path, with, strlen(with)) == 0; }

static int site_open(void *context, const char *path, uint32_t first, uint32_t count, const char *etag, secure_ota_answer *answer)
{
    site *s = context;
    bool part = (first != 0 || count != 0) && s->ranges;
    s->requests++;
    s->first = first;
    s->count = count;
    snprintf(s->path, sizeof s->path, "%s", path);
    snprintf(s->asked_etag, sizeof s->asked_etag, "%s", etag);
    CHECK(!s->open, "a connection was left open");
    if (s->refuse > 0) {
        s->refuse--;
        return -1;
    }
    s->open = true;
    s->file = begins(path, "/update/newest/manifest?deviceType=") ? &s->manifest : &s->binary;
    answer->status = s->status != 0 ? s->status : s->file->data == NULL ? 404 : 200;
    s->at = s->end = 0;
    if (answer->status != 200)
        return 0;
    if (s->release != NULL)
        snprintf(answer->release, sizeof answer->release, "%s", s->release);
    if (s->etag != NULL)
        snprintf(answer->etag, sizeof answer->etag, "%s", s->etag);
    if (s->etag != NULL && *etag != 0 && strcmp(s->etag, etag) != 0)
        part = false; /* If-Range does not hold */
    s->end = s->file->size;
    if (part && first > s->file->size) {
        answer->status = 416;
        return 0;
    }
    if (part) {
        answer->status = 206;
        answer->first = first;
        s->at = first;
        if (count != 0 && count < s->end - first)
            s->end = first + count;
    }
    answer->total = s->says_total ? (uint32_t)s->file->size : 0;
    s->left = s->cut != 0 && s->cuts != 0 ? s->cut : SIZE_MAX;
    return 0;
}

static int site_read(void *context, void *data, size_t size)
{
    site *s = context;
    size_t n = s->end - s->at;
    CHECK(s->open, "a read without a connection");
    if (s->left == 0) {
        s->cuts -= s->cuts > 0;
        if (s->next_etag != NULL)
            s->etag = s->next_etag;
        return -1;
    }
    n = n < size ? n : size;
    n = n < s->left ? n : s->left;
    n = s->most != 0 && n > s->most ? s->most : n;
    memcpy(data, s->file->data + s->at, n);
    s->at += n;
    s->left -= n;
    s->sent += n;
    return (int)n;
}

static void site_close(void *context)
{
    site *s = context;
    CHECK(s->open, "closed twice");
    s->open = false;
}

static int site_post(void *context, const char *path, const char *json, int *status)
{
    site *s = context;
    CHECK(!s->open, "a connection was left open");
    s->posts++;
    snprintf(s->posted_to, sizeof s->posted_to, "%s", path);
    snprintf(s->posted, sizeof s->posted, "%s", json);
    *status = s->post_status != 0 ? s->post_status : 200;
    return s->post_status < 0 ? -1 : 0;
}

static void site_sleep(void *context, uint32_t milliseconds) { ((site *)context)->slept += milliseconds; }

secure_ota_http site_port(site *s)
{
    secure_ota_http h = {s, site_open, site_read, site_close, site_post};
    return h;
}

secure_ota_clock site_clock(site *s)
{
    secure_ota_clock c = {s, site_sleep};
    return c;
}
