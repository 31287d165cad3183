/* Which library the tests are built against: Mbed TLS 2.28, 3, or TF-PSA-Crypto,
 * the crypto of Mbed TLS 4, which has its own functions in private headers. */
#ifndef TEST_LIBRARY_H
#define TEST_LIBRARY_H

#if defined(__has_include)
#if __has_include(<tf-psa-crypto/version.h>)
#define TEST_LIBRARY 4
#endif
#endif
#ifndef TEST_LIBRARY
#include <mbedtls/version.h>
#define TEST_LIBRARY MBEDTLS_VERSION_MAJOR
#endif

#endif
