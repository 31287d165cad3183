/* HTTP/1.1 over the TLS of Mbed TLS: the port of secure_ota on a machine with
 * sockets. The server's certificate and name are verified, always. */
#ifndef HTTPS_H
#define HTTPS_H

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>

#include "secure_ota_port.h"

typedef struct {
    char host[128], port[8];
    char authorization[256]; /* the value of that header; empty: none */
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random;
    mbedtls_x509_crt ca, own;
    mbedtls_pk_context own_key;
    mbedtls_ssl_config config;
    mbedtls_net_context net;
    mbedtls_ssl_context ssl;
    bool open;
    uint8_t buffer[2048]; /* read beyond the headers */
    size_t at, have;
    uint64_t left; /* of the body */
} https;

/* server is HOST:PORT. ca is a PEM file; certificate and key, PEM files, may be
 * null. 0, or what Mbed TLS says. */
int https_init(https *h, const char *server, const char *ca, const char *certificate, const char *key);
/* user:password for HTTP Basic. */
int https_basic(https *h, const char *credentials);
void https_free(https *h);

secure_ota_http https_port(https *h);
secure_ota_random https_random(https *h);

#endif
