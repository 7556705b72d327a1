/* SPDX-License-Identifier: MIT */
#include "base/tls_pipe.h"

#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <pthread.h>

static int pipe_read(BIO *bio, char *to, int len)
{
    struct rd_tls_pipe *pipe = BIO_get_data(bio);
    struct rd_slice taken = rd_slice_take(&pipe->in, len > 0 ? (size_t)len : 0);
    BIO_clear_retry_flags(bio);
    if (taken.len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(to, taken.data, taken.len);
    return (int)taken.len;
}

static int pipe_write(BIO *bio, const char *from, int len)
{
    struct rd_tls_pipe *pipe = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    rd_buffer_append(&pipe->out, from, len > 0 ? (size_t)len : 0);
    return pipe->out.failed ? -1 : len;
}

static long pipe_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

/* One for the process, and for good: every pipe looks into it for as long as it lives, and of numbers for such
 * kinds there are a hundred or so. */
static BIO_METHOD *method; /* NULL: no memory for it */

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "rdrive");
    if (method == NULL || BIO_meth_set_read(method, pipe_read) != 1 ||
        BIO_meth_set_write(method, pipe_write) != 1 || BIO_meth_set_ctrl(method, pipe_control) != 1) {
        BIO_meth_free(method);
        method = NULL;
    }
}

bool rd_tls_pipe_attach(struct rd_tls_pipe *pipe, struct ssl_st *ssl)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_method);
    BIO *bio = method != NULL ? BIO_new(method) : NULL;
    if (bio == NULL)
        return false;
    BIO_set_data(bio, pipe);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    return true;
}
