/* SPDX-License-Identifier: MIT
 *
 * Malformed and smuggled HTTP: each is answered with its code, and the connection ends there. */
#include "tests/unit/protocol/http_feed.h"

#define BAD             "400 invalid_argument close\nclosed\n"
#define BAD_AS(message) "400 invalid_argument (" message ") close\nclosed\n"
/* A streamed body that breaks: its request, what came of it, the abort, the reason as an answer. */
#define STREAM                     "write_stream store=s key=k len=all\n"
#define BROKEN_AS(status, message) "abort " message "\n" status " (" message ") close\nclosed\n"
#define BAD_CHUNKS                 BROKEN_AS("400 invalid_argument", "malformed chunked body")
#define X100                       "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X1000                      X100 X100 X100 X100 X100 X100 X100 X100 X100 X100
#define BATCH_CHUNKED                                                                                             \
    "POST /v1/stores/s/batch/read HTTP/1.1\r\n" HOST JSON_TYPE "Transfer-Encoding: chunked\r\n" END
#define SMUGGLED "GET /smuggled HTTP/1.1\r\n" HOST END

static const struct sample malformed[] = {
    /* line ends */
    {BYTES("GET /healthz HTTP/1.1\n" HOST END), BAD_AS("a line must end in CR LF")},
    {BYTES(GET "Host: h\n\r\n"), BAD_AS("a line must end in CR LF")},
    {BYTES(GET HOST "\n"), BAD_AS("a line must end in CR LF")},
    {BYTES(GET HOST "A: b\nContent-Length: 5\r\n" END SMUGGLED), BAD_AS("a line must end in CR LF")},
    {BYTES("\nGET /healthz HTTP/1.1\r\n" HOST END), BAD_AS("this is not an HTTP request")},
    {BYTES("\r\n\nGET /healthz HTTP/1.1\r\n" HOST END), BAD_AS("this is not an HTTP request")},
    {BYTES(GET HOST "A: b\rc\r\n" END), BAD_AS("a control byte in a header")},
    {BYTES(GET HOST "A: b\r\r\n" END), BAD_AS("a control byte in a header")},
    {BYTES("GET /healthz HTTP/1.1\r\r\n" HOST END), BAD_AS("the version must be HTTP/1.1 or HTTP/1.0")},
    /* header names and values */
    {BYTES(GET "Host : h\r\n" END), BAD_AS("malformed header name")},
    {BYTES(GET HOST "Content-Length : 5\r\n" END "hello"), BAD_AS("malformed header name")},
    {BYTES(KEY_PUT "Transfer-Encoding\t: chunked\r\n" END "0\r\n\r\n"), BAD_AS("malformed header name")},
    {BYTES(GET HOST "A: b\r\n c\r\n" END), BAD_AS("a folded header line")},
    {BYTES(GET HOST "A: b\r\n\tc\r\n" END), BAD_AS("a folded header line")},
    {BYTES(GET " Host: h\r\n" END), BAD_AS("a folded header line")},
    {BYTES(KEY_PUT "Transfer-Encoding:\r\n chunked\r\n" END "0\r\n\r\n"), BAD_AS("a folded header line")},
    {BYTES(GET HOST ": x\r\n" END), BAD_AS("malformed header name")},
    {BYTES(GET HOST "novalue\r\n" END), BAD_AS("malformed header name")},
    {BYTES(GET HOST "a b: x\r\n" END), BAD_AS("malformed header name")},
    {BYTES(GET HOST "a(: x\r\n" END), BAD_AS("malformed header name")},
    {BYTES(GET HOST "a\x80: x\r\n" END), BAD_AS("malformed header name")},
    {BYTES(GET HOST "A: b\0c\r\n" END), BAD_AS("a control byte in a header")},
    {BYTES(GET HOST "A: \x01\r\n" END), BAD_AS("a control byte in a header")},
    {BYTES(GET HOST "A: \x7f\r\n" END), BAD_AS("a control byte in a header")},
    {BYTES(GET HOST "A: \x1b[0m\r\n" END), BAD_AS("a control byte in a header")},
    {BYTES(GET HOST "A\0: b\r\n" END), BAD_AS("malformed header name")},
    /* Host */
    {BYTES(GET END), BAD},
    {BYTES(GET HOST HOST END), BAD},
    {BYTES(GET HOST "host: other\r\n" END), BAD},
    {BYTES(GET "Host: a b\r\n" END), BAD},
    {BYTES(GET "Host: a,b\r\n" END), BAD},
    {BYTES(GET "Host: user@h\r\n" END), BAD},
    {BYTES(GET "Host: h/x\r\n" END), BAD},
    /* lengths */
    {BYTES(KEY_PUT "Content-Length: 5\r\nContent-Length: 5\r\n" END "hello"), BAD},
    {BYTES(KEY_PUT "Content-Length: 5\r\nContent-Length: 6\r\n" END "hello!"), BAD},
    {BYTES(KEY_PUT "Content-Length: 5, 5\r\n" END "hello"), BAD},
    {BYTES(KEY_PUT "Content-Length: +5\r\n" END "hello"), BAD},
    {BYTES(KEY_PUT "Content-Length: -5\r\n" END "hello"), BAD},
    {BYTES(KEY_PUT "Content-Length: 0x5\r\n" END "hello"), BAD},
    {BYTES(KEY_PUT "Content-Length: 5 5\r\n" END "hello"), BAD},
    {BYTES(KEY_PUT "Content-Length:\r\n" END), BAD},
    {BYTES(KEY_PUT "Content-Length: five\r\n" END), BAD},
    {BYTES(KEY_PUT "Content-Length: 18446744073709551616\r\n" END), BAD},
    {BYTES(KEY_PUT "Content-Length: 99999999999999999999999999\r\n" END), BAD},
    {BYTES(KEY_PUT "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n" END "0\r\n\r\n" SMUGGLED), BAD},
    {BYTES(KEY_PUT "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n" END "0\r\n\r\n" SMUGGLED), BAD},
    {BYTES(KEY_PUT "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n" END "0\r\n\r\n" SMUGGLED), BAD},
    /* transfer codings */
    {BYTES(KEY_PUT "Transfer-Encoding: gzip, chunked\r\n" END "0\r\n\r\n"), BAD},
    {BYTES(KEY_PUT "Transfer-Encoding: chunked, gzip\r\n" END "0\r\n\r\n"), BAD},
    {BYTES(KEY_PUT "Transfer-Encoding: chunked, chunked\r\n" END "0\r\n\r\n"), BAD},
    {BYTES(KEY_PUT "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" END "0\r\n\r\n"), BAD},
    {BYTES(KEY_PUT "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n" END "0\r\n\r\n"), BAD},
    {BYTES(KEY_PUT "Transfer-Encoding: identity\r\n" END), BAD},
    {BYTES(KEY_PUT "Transfer-Encoding: xchunked\r\n" END "0\r\n\r\n"), BAD},
    {BYTES(KEY_PUT "Transfer-Encoding: chunked;q=1\r\n" END "0\r\n\r\n"), BAD},
    {BYTES(KEY_PUT "Transfer-Encoding: \"chunked\"\r\n" END "0\r\n\r\n"), BAD},
    {BYTES(KEY_PUT "Transfer-Encoding: \x0b"
                   "chunked\r\n" END "0\r\n\r\n"),
     BAD},
    {BYTES(KEY_PUT "Transfer-Encoding:\r\n" END), BAD},
    {BYTES("PUT /v1/stores/s/keys/k HTTP/1.0\r\nTransfer-Encoding: chunked\r\n" END "0\r\n\r\n"), BAD},
    /* chunk framing */
    {BYTES(CHUNKED "3\nabc\r\n0\r\n\r\n"), STREAM BAD_CHUNKS},
    {BYTES(CHUNKED "3\r\nabc\n0\r\n\r\n"), STREAM "chunk=abc\n" BAD_CHUNKS},
    {BYTES(CHUNKED "3\r\nabcd\r\n0\r\n\r\n"), STREAM "chunk=abc\n" BAD_CHUNKS},
    {BYTES(CHUNKED "0\n\r\n"), STREAM BAD_CHUNKS},
    {BYTES(CHUNKED "0\r\n\n"), STREAM BAD_CHUNKS},
    {BYTES(CHUNKED "3\rXabc\r\n0\r\n\r\n"), STREAM BAD_CHUNKS},
    {BYTES(CHUNKED "3\r\nabc\rX0\r\n\r\n"), STREAM "chunk=abc\n" BAD_CHUNKS},
    {BYTES(CHUNKED "0\r\n\rX"), STREAM BAD_CHUNKS},
    {BYTES(CHUNKED "0\r\nA: b\rX\r\n"), STREAM BAD_CHUNKS},
    {BYTES(CHUNKED "\r\n"), STREAM BAD_CHUNKS},
    {BYTES(CHUNKED " 3\r\nabc\r\n0\r\n\r\n"), STREAM BAD_CHUNKS},
    {BYTES(CHUNKED "3 \r\nabc\r\n0\r\n\r\n"), STREAM BAD_CHUNKS},
    {BYTES(CHUNKED "0x3\r\nabc\r\n0\r\n\r\n"), STREAM BAD_CHUNKS},
    {BYTES(CHUNKED "-1\r\nabc\r\n0\r\n\r\n"), STREAM BAD_CHUNKS},
    {BYTES(CHUNKED "g\r\n"), STREAM BAD_CHUNKS},
    {BYTES(CHUNKED ";x\r\n"), STREAM BAD_CHUNKS},
    {BYTES(CHUNKED "3;a\nb\r\nabc\r\n0\r\n\r\n"), STREAM BAD_CHUNKS},
    {BYTES(CHUNKED "10000000000000000\r\n"), STREAM BAD_CHUNKS},
    {BYTES(CHUNKED "0000000000000000000003\r\nabc\r\n"), STREAM BAD_CHUNKS},
    {BYTES(CHUNKED "0\r\nTrailer : x\r\n\r\n"), STREAM BAD_CHUNKS},
    {BYTES(CHUNKED "0\r\n folded\r\n\r\n"), STREAM BAD_CHUNKS},
    {BYTES(CHUNKED "0\r\nA: \x01\r\n\r\n"), STREAM BAD_CHUNKS},
    {BYTES(CHUNKED "0\r\nA: b\n\r\n"), STREAM BAD_CHUNKS},
    {BYTES(CHUNKED "0\r\nA\r\n\r\n"), STREAM BAD_CHUNKS},
    /* conditions given twice, in whatever words */
    {BYTES(GET HOST "Authorization: Bearer a\r\nAuthorization: Bearer a\r\n" END),
     BAD_AS("more than one Authorization header")},
    {BYTES(GET HOST "Authorization: Bearer a\0\r\n" END), BAD_AS("a control byte in a header")},
    {BYTES(KEY_PUT "If-Match: *\r\nIf-Match: *\r\n" END), BAD_AS("more than one If-Match header")},
    {BYTES(KEY_PUT "If-None-Match: *\r\nif-none-match:\r\n" END), BAD_AS("more than one If-None-Match header")},
    {BYTES(GET HOST "If-Range: \"a\"\r\nIf-Range: \"a\"\r\n" END), BAD_AS("more than one If-Range header")},
    /* request lines */
    {BYTES("GET /healthz\r\n" HOST END), BAD},
    {BYTES("GET  /healthz HTTP/1.1\r\n" HOST END), BAD},
    {BYTES("GET /healthz  HTTP/1.1\r\n" HOST END), BAD},
    {BYTES("GET\t/healthz HTTP/1.1\r\n" HOST END), BAD},
    {BYTES("GET /health z HTTP/1.1\r\n" HOST END), BAD},
    {BYTES("GET /healthz HTTP/1.1 \r\n" HOST END), BAD},
    {BYTES(" GET /healthz HTTP/1.1\r\n" HOST END), BAD},
    {BYTES("GET HTTP/1.1\r\n" HOST END), BAD},
    {BYTES("GET /healthz HTTP/2.0\r\n" HOST END), BAD},
    {BYTES("GET /healthz HTTP/1.2\r\n" HOST END), BAD},
    {BYTES("GET /healthz HTTP/0.9\r\n" END), BAD},
    {BYTES("GET /healthz http/1.1\r\n" HOST END), BAD},
    {BYTES("GET /healthz HTTP/1.10\r\n" HOST END), BAD},
    {BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), BAD},
    {BYTES("GET /v1/stores/s/keys/a\x00 HTTP/1.1\r\n" HOST END), BAD},
    {BYTES("GET /v1/stores/s/keys/a\x7f HTTP/1.1\r\n" HOST END), BAD},
    {BYTES("GET /v1/stores/s/keys/a#b HTTP/1.1\r\n" HOST END), BAD},
    {BYTES("GET healthz HTTP/1.1\r\n" HOST END), BAD},
    {BYTES("GET * HTTP/1.1\r\n" HOST END), BAD},
    {BYTES("CONNECT h:80 HTTP/1.1\r\n" HOST END), BAD},
    {BYTES("GET https://h/healthz HTTP/1.1\r\n" HOST END), BAD},
    {BYTES("GET http://other/healthz HTTP/1.1\r\n" HOST END), BAD},
    {BYTES("GET http:/healthz HTTP/1.1\r\n" HOST END), BAD},
    {BYTES("GET http:///healthz HTTP/1.1\r\nHost:\r\n" END), BAD},
    {BYTES("GET http://:80/healthz HTTP/1.1\r\nHost: :80\r\n" END), BAD},
    {BYTES("GET http://h?a#b HTTP/1.1\r\n" HOST END), BAD},
    {BYTES("GET http://h#b HTTP/1.1\r\n" HOST END), BAD},
    {BYTES("SETUP /healthz RTSP/1.0\r\n" HOST END), BAD},
    {BYTES("BREW /healthz HTTP/1.1\r\n" HOST END), "501 unsupported close\nclosed\n"},
    {BYTES("\x16\x03\x01\x02\x00\x01"), BAD},
    {BYTES("\0"), BAD},
    /* limits and expectations */
    {BYTES(KEY_PUT "Content-Length: 281474976710656\r\n" END "x"), "413 too_large close\nclosed\n"},
    {BYTES(KEY_PUT "Content-Length: 18446744073709551615\r\n" END "x"), "413 too_large close\nclosed\n"},
    {BYTES(KEY_PUT "Content-Length: 281474976710656\r\nExpect: 100-continue\r\n" END),
     "413 too_large close\nclosed\n"},
    {BYTES(CHUNKED "1;" X100 "\r\nabc\r\n"), STREAM "chunk=a\n" BAD_CHUNKS},
    {BYTES(CHUNKED "1000000000000\r\n"),
     STREAM BROKEN_AS("413 too_large", "the body is longer than a store can be")},
    {BYTES(CHUNKED "1\r\na\r\nffffffffffff\r\n"),
     STREAM "chunk=a\n" BROKEN_AS("413 too_large", "the body is longer than a store can be")},
    {BYTES(BATCH_CHUNKED "fffff\r\n"), "more\n"},
    {BYTES(BATCH_CHUNKED "100001\r\n"), "413 too_large close\nclosed\n"},
    {BYTES(BATCH_CHUNKED "3\r\n{\"k\r\nffffe\r\n"), "413 too_large close\nclosed\n"},
    {BYTES(BATCH_CHUNKED "3\r\nabcd\r\n"), BAD},
    {BYTES(BATCH_CHUNKED "1;" X1000 X1000 "x\r\n"), "431 header_too_large close\nclosed\n"},
    {BYTES("POST /v1/stores/s/batch/read HTTP/1.1\r\n" HOST JSON_TYPE "Content-Length: 1048577\r\n" END "x"),
     "413 too_large close\nclosed\n"},
    {BYTES(CHUNKED "1;" X1000 X1000 "x\r\n"),
     STREAM BROKEN_AS("431 header_too_large", "chunk extensions or trailers are too long")},
    {BYTES(CHUNKED "0\r\nA:" X1000 X1000 "\r\n"),
     STREAM BROKEN_AS("431 header_too_large", "chunk extensions or trailers are too long")},
    {BYTES(GET HOST "A: " X1000 X1000 "\r\n" END), "431 header_too_large close\nclosed\n"},
    {BYTES("GET /" X1000 X1000), "431 header_too_large close\nclosed\n"},
    {BYTES("GET /v1/stores/s/keys/" X1000 "y HTTP/1.1\r\n" HOST END), "413 too_large\n"},
    {BYTES(KEY_PUT "Expect: 200-ok\r\nContent-Length: 1\r\n" END "x"), "417 expectation_failed close\nclosed\n"},
    {BYTES(KEY_PUT "Expect: 100-continue, x\r\n" END), "417 expectation_failed close\nclosed\n"},
};

static void test_malformed(void **state)
{
    (void)state;
    assert_true(sizeof malformed / sizeof malformed[0] >= 60);
    expect_samples(malformed, sizeof malformed / sizeof malformed[0]);
}

int main(void)
{
    seed_random();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_malformed)};
    return cmocka_run_group_tests_name("http_malformed", tests, NULL, NULL);
}
