/* SPDX-License-Identifier: MIT
 *
 * The HTTP codec's decoder: requests, refusals that leave the connection open, large bodies, pipelines, chance. */
#include "tests/unit/protocol/http_feed.h"

#include "protocol/json.h"

/* ---- requests ----------------------------------------------------------------------------------------------- */

#define BATCH "POST /v1/stores/s/batch/"

static const struct sample good[] = {
    {BYTES("GET /healthz HTTP/1.1\r\n" HOST END), "health\n"},
    {BYTES("GET /readyz HTTP/1.1\r\nHost:\r\n" END), "ready\n"},
    {BYTES("GET /v1/stores HTTP/1.1\r\n" HOST END), "stores\n"},
    {BYTES("GET /v1/stores/a%20b HTTP/1.1\r\n" HOST END), "info store=a\\20b\n"},
    {BYTES("PUT /v1/stores/n HTTP/1.1\r\n" HOST END), "create store=n\n"},
    {BYTES("PUT /v1/stores/n HTTP/1.1\r\n" HOST JSON_TYPE "Content-Length: 2\r\n" END "{}"),
     "create store=n settings={}\n"},
    {BYTES("DELETE /v1/stores/n?confirm=%6e HTTP/1.1\r\n" HOST END), "drop store=n confirm=n\n"},
    {BYTES("DELETE /v1/stores/n HTTP/1.1\r\n" HOST END), "drop store=n\n"},
    {BYTES("GET /v1/stores/s/keys/ HTTP/1.1\r\n" HOST END), "read store=s key=\n"},
    {BYTES("GET /v1/stores/s/keys/a/b//c HTTP/1.1\r\n" HOST END), "read store=s key=a/b//c\n"},
    {BYTES("GET /v1/stores/s/keys/../x/./ HTTP/1.1\r\n" HOST END), "read store=s key=../x/./\n"},
    {BYTES("GET /v1/stores/s/keys/a%2Fb%00%fF+%25? HTTP/1.1\r\n" HOST END), "read store=s key=a/b\\00\\ff+%\n"},
    {BYTES("GET /v1/stores/s/keys/\xc3\xbc HTTP/1.1\r\n" HOST END), "read store=s key=\\c3\\bc\n"},
    {BYTES("GET /v1/stores/s/keys//keys/x HTTP/1.1\r\n" HOST END), "read store=s key=/keys/x\n"},
    {BYTES("HEAD /v1/stores/s/keys/k HTTP/1.1\r\n" HOST END), "metadata store=s key=k head\n"},
    {BYTES("GET /v1/stores/s/hashes/00000000000000Af HTTP/1.1\r\n" HOST END), "read store=s #00000000000000af\n"},
    {BYTES("HEAD /v1/stores/s/hashes/0123456789abcdef HTTP/1.1\r\n" HOST END),
     "metadata store=s #0123456789abcdef head\n"},
    {BYTES("DELETE /v1/stores/s/hashes/0123456789abcdef?durability=sync HTTP/1.1\r\n" HOST END),
     "delete store=s #0123456789abcdef durability=1\n"},
    {BYTES("DELETE /v1/stores/s/keys/k HTTP/1.1\r\n" HOST "Content-Length: 0\r\n" END), "delete store=s key=k\n"},
    {BYTES("PUT /v1/stores/s/hashes/0123456789abcdef HTTP/1.1\r\n" HOST "Content-Length: 1\r\n" END "v"),
     "write store=s #0123456789abcdef value=v\n"},
    {BYTES("PUT /v1/stores/s/hashes/0123456789abcdef HTTP/1.1\r\n" HOST "transfer-encoding: Chunked\r\n" END
           "1\r\nv\r\n0\r\n\r\n"),
     "write_stream store=s #0123456789abcdef len=all\nchunk=v\nend\n"},
    {BYTES(KEY_PUT "Content-Length: 3\r\n" END "\0\r\n"), "write store=s key=k value=\\00\\0d\\0a\n"},
    {BYTES(KEY_PUT END), "write store=s key=k\n"},
    {BYTES("PUT /v1/stores/s/keys/?durability=none HTTP/1.1\r\n" HOST "Content-Length: 0001\r\n" END "x"),
     "write store=s key= value=x durability=3\n"},
    {BYTES(KEY_PUT "Transfer-Encoding: chunked\r\n" END "3\r\nabc\r\n00A;x=\"y\"\r\n0123456789\r\n0\r\n\r\n"),
     "write_stream store=s key=k len=all\nchunk=abc0123456789\nend\n"},
    {BYTES(KEY_PUT "Transfer-Encoding: chunked\r\n" END "0\r\nT: trailer\r\nU:\r\n\r\n"),
     "write_stream store=s key=k len=all\nend\n"},
    {BYTES(KEY_PUT "Content-Length: 2\r\nExpect: 100-Continue\r\n" END "ab"),
     "continue\nwrite store=s key=k value=ab\n"},
    {BYTES(KEY_PUT "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n" END),
     "continue\nwrite_stream store=s key=k len=all\nmore\n"},
    {BYTES(KEY_PUT "Authorization: Bearer secret\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n" END),
     "continue\nwrite_stream token=secret store=s key=k len=all\nmore\n"},
    {BYTES(BATCH "read HTTP/1.1\r\n" HOST JSON_TYPE "authorization:bearer   t\r\nExpect: 100-continue\r\n"
                 "Content-Length: 14\r\n" END "{\"keys\":[\"k\"]}"),
     "continue\nbatch_read token=t store=s [ key=k ]\n"},
    {BYTES(BATCH "read HTTP/1.1\r\n" HOST JSON_TYPE "authorization:bearer t\r\nExpect: 100-continue\r\n"
                 "Transfer-Encoding: chunked\r\n" END "e\r\n{\"keys\":[\"k\"]}\r\n0\r\n\r\n"),
     "continue\nbatch_read token=t store=s [ key=k ]\n"},
    {BYTES("GET /healthz HTTP/1.1\r\n" HOST "Authorization: BEARER ~!#\r\n" END), "health token=~!#\n"},
    {BYTES("GET /healthz HTTP/1.1\r\n" HOST "Authorization: Bearer\r\n" END), "health\n"},
    {BYTES("GET /healthz HTTP/1.1\r\n" HOST "Authorization: Bearer  \r\n" END), "health\n"},
    {BYTES("GET /healthz HTTP/1.1\r\n" HOST "Authorization: Bearer\tt\r\n" END), "health\n"},
    {BYTES("GET /healthz HTTP/1.1\r\n" HOST "Authorization: Bearer a b\r\n" END), "health\n"},
    {BYTES("GET /healthz HTTP/1.1\r\n" HOST "Authorization: Bearer \xc3\xa4\r\n" END), "health\n"},
    {BYTES("GET /healthz HTTP/1.1\r\n" HOST "Authorization: Bearert\r\n" END), "health\n"},
    {BYTES("GET /healthz HTTP/1.1\r\n" HOST "Authorization: Basic dDp0\r\n" END), "health\n"},
    {BYTES(KEY_PUT "Expect: 100-continue\r\n" END), "write store=s key=k\n"},
    {BYTES(BATCH "write HTTP/1.1\r\n" HOST JSON_TYPE "Content-Length: 87\r\n" END
                 "{\"entries\":[{\"key\":\"a\",\"value\":\"t\\u0000\"},{\"key_base64\":\"AA==\",\"value_base64\":"
                 "\"AP8=\"}]}"),
     "batch_write store=s [ key=a value=t\\00 ] [ key=\\00 value=\\00\\ff ]\n"},
    {BYTES(BATCH "read HTTP/1.1\r\n" HOST "content-type:application/JSON ; charset=utf-8\r\n"
                 "Transfer-Encoding: chunked\r\n" END
                 "14\r\n{\"keys\":[\"\",{\"key\":\"\r\n3\r\nb\"}\r\n2\r\n]}\r\n0\r\n\r\n"),
     "batch_read store=s [ key= ] [ key=b ]\n"},
    {BYTES(BATCH "delete?durability=none HTTP/1.1\r\n" HOST JSON_TYPE "Content-Length: 42\r\n" END
                 "{\"keys\":[{\"key_hash\":\"0000000000000001\"}]}"),
     "batch_delete store=s [ #0000000000000001 ] durability=3\n"},
    {BYTES("GET /v1/stores/s/last HTTP/1.1\r\n" HOST END), "last store=s\n"},
    {BYTES("GET /v1/stores/s/entries?after=64&limit=4294967295 HTTP/1.1\r\n" HOST END),
     "iterate store=s after=64 limit=4294967295\n"},
    {BYTES("GET /v1/stores/s/entries?&limit=7& HTTP/1.1\r\n" HOST END), "iterate store=s limit=7\n"},
    {BYTES("POST /v1/stores/s/verify HTTP/1.1\r\n" HOST END), "verify store=s whole\n"},
    {BYTES("POST /v1/stores/s/verify HTTP/1.1\r\n" HOST "Content-Length: 0\r\n" END), "verify store=s whole\n"},
    {BYTES("POST /v1/stores/s/verify?from=0 HTTP/1.1\r\n" HOST END), "verify store=s\n"},
    {BYTES("POST /v1/stores/s/verify?limit=4294967296 HTTP/1.1\r\n" HOST END),
     "verify store=s bytes=4294967296\n"},
    {BYTES("POST /v1/stores/s/verify?limit=1&from=18446744073709551615 HTTP/1.1\r\n" HOST END),
     "verify store=s from=all bytes=1\n"},
    {BYTES("POST /v1/stores/s/reopen HTTP/1.1\r\n" HOST END), "reopen store=s\n"},
    {BYTES("POST /v1/stores/s/compact HTTP/1.1\r\n" HOST END), "compact store=s\n"},
    {BYTES("GET /v1/stores/s/backup HTTP/1.1\r\n" HOST END), "backup store=s\n"},
    {BYTES("GET /v1/stores/s/backup?from=18446744073709551615 HTTP/1.1\r\n" HOST END),
     "backup store=s file_from=all\n"},
    {BYTES("HEAD /v1/stores/s/backup?generation=0123456789ABCDEF&from=7 HTTP/1.1\r\n" HOST
           "Range: bytes=1-2\r\n" END),
     "backup store=s head file_from=7 generation=0123456789abcdef\n"},
    {BYTES("GET /v1/stores/s/backup HTTP/1.1\r\n" HOST "Range: bytes=64-\r\n" END),
     "backup store=s from=64+all\n"},
    {BYTES("GET /v1/stores/s/backup HTTP/1.1\r\n" HOST
           "Range: bytes=64-\r\nIf-Range: \"0123456789abcdef-1a\"\r\nIf-Match: \"0000000000000001-0\"\r\n" END),
     "backup store=s from=64+all generation=0000000000000001 range_generation=0123456789abcdef\n"},
    {BYTES("GET /v1/stores/s/backup HTTP/1.1\r\n" HOST
           "Range: bytes=64-\r\nIf-Range: \"123456789abcdef-1a\"\r\nIf-Match: *\r\n" END),
     "backup store=s\n"},
    {BYTES("GET /readyz?store=a%2Db HTTP/1.1\r\n" HOST END), "ready store=a-b\n"},
    {BYTES("GET /metrics HTTP/1.1\r\n" HOST END), "metrics\n"},
    {BYTES("GET / HTTP/1.1\r\n" HOST END), "page\n"},
    {BYTES("HEAD / HTTP/1.1\r\n" HOST END), "page head\n"},
    {BYTES("HEAD /healthz HTTP/1.1\r\n" HOST END), "health head\n"},
    {BYTES("HEAD /readyz?store=s HTTP/1.1\r\n" HOST END), "ready store=s head\n"},
    {BYTES("HEAD /metrics HTTP/1.1\r\n" HOST END), "metrics head\n"},
    {BYTES("HEAD /v1/stores HTTP/1.1\r\n" HOST END), "stores head\n"},
    {BYTES("HEAD /v1/stores/s HTTP/1.1\r\n" HOST END), "info store=s head\n"},
    {BYTES("HEAD /v1/stores/s/last HTTP/1.1\r\n" HOST END), "last store=s head\n"},
    {BYTES("HEAD /v1/stores/s/entries?after=64&limit=7 HTTP/1.1\r\n" HOST END),
     "iterate store=s head after=64 limit=7\n"},
    {BYTES("GET http://h HTTP/1.1\r\n" HOST END), "page\n"},
    {BYTES("GET http://h? HTTP/1.1\r\n" HOST END), "page\n"},
    {BYTES("GET HTTP://H/healthz HTTP/1.1\r\n" HOST END), "health\n"},
    {BYTES("GET http://h/readyz?store=s HTTP/1.1\r\n" HOST END), "ready store=s\n"},
    {BYTES("GET http://[::1]:7480/healthz HTTP/1.1\r\nHost: [::1]:7480\r\n" END), "health\n"},
    {BYTES("GET /healthz HTTP/1.1\r\n" HOST "Origin: http://H\r\n" END), "health\n"},
    {BYTES("GET /healthz HTTP/1.1\r\nHost: [::1]:7480\r\nOrigin: http://[::1]:7480\r\n" END), "health\n"},
    {BYTES("GET /healthz HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: h2c\r\n" END), "health\n"},
    {BYTES("GET /healthz HTTP/1.1\r\n" HOST "X-Empty:\r\nX-Space: \t \r\nX-High: \xff\r\n" END), "health\n"},
    {BYTES("\r\n\r\nGET /healthz HTTP/1.1\r\n" HOST END "\r\n"), "health\n"},
    {BYTES("GET /healthz HTTP/1.1\r\n" HOST "Connection: close\r\n" END "GET /"), "health close\nclosed\n"},
    {BYTES("GET /healthz HTTP/1.1\r\n" HOST "Connection: x, Close\r\n" END), "health close\nclosed\n"},
    {BYTES("GET /healthz HTTP/1.0\r\n" END), "health close\nclosed\n"},
    {BYTES("GET /healthz HTTP/1.0\r\nConnection: Keep-Alive\r\n" END "GET /readyz HTTP/1.0\r\n" END),
     "health\nready close\nclosed\n"},
    {BYTES("PUT /v1/stores/s/keys/k HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n" END "v"),
     "write store=s key=k value=v close\nclosed\n"},
    {BYTES("GET /healthz HTTP/1.1\r\nHost: h"), "more\n"},
    {BYTES(KEY_PUT "Content-Length: 2\r\n" END "a"), "more\n"},
};

static void test_requests(void **state)
{
    (void)state;
    expect_samples(good, sizeof good / sizeof good[0]);
}

/* ---- through TLS -------------------------------------------------------------------------------------------- */

static const struct sample sealed[] = {
    {BYTES("GET https://h HTTP/1.1\r\n" HOST END), "page\n"},
    {BYTES("GET https://h? HTTP/1.1\r\n" HOST END), "page\n"},
    {BYTES("GET HTTPS://H/healthz HTTP/1.1\r\n" HOST END), "health\n"},
    {BYTES("GET https://h/readyz?store=s HTTP/1.1\r\n" HOST END), "ready store=s\n"},
    {BYTES("GET /healthz HTTP/1.1\r\n" HOST END), "health\n"},
    {BYTES("GET https://h?store=a HTTP/1.1\r\n" HOST END NEXT),
     "400 invalid_argument (unknown query parameter: store)\nhealth\n"},
    {BYTES("GET https://other/healthz HTTP/1.1\r\n" HOST END), "400 invalid_argument close\nclosed\n"},
    {BYTES("GET http://h/healthz HTTP/1.1\r\n" HOST END), "400 invalid_argument close\nclosed\n"},
};

static void test_through_tls(void **state)
{
    (void)state;
    over_tls = true;
    expect_samples(sealed, sizeof sealed / sizeof sealed[0]);
    over_tls = false;
}

/* ---- refused, and the connection goes on -------------------------------------------------------------------- */

static const struct sample refused[] = {
    {BYTES("GET // HTTP/1.1\r\n" HOST END NEXT), "404 not_found\nhealth\n"},
    {BYTES("GET /metrics/ HTTP/1.1\r\n" HOST END NEXT), "404 not_found\nhealth\n"},
    {BYTES("POST /metrics HTTP/1.1\r\n" HOST "Content-Length: 0\r\n" END NEXT),
     "405 method_not_allowed allow=GET, HEAD\nhealth\n"},
    {BYTES("GET /?store=a HTTP/1.1\r\n" HOST END NEXT), "400 invalid_argument\nhealth\n"},
    {BYTES("GET http://h?store=a HTTP/1.1\r\n" HOST END NEXT),
     "400 invalid_argument (unknown query parameter: store)\nhealth\n"},
    {BYTES("GET http://h?/healthz HTTP/1.1\r\n" HOST END NEXT),
     "400 invalid_argument (unknown query parameter: /healthz)\nhealth\n"},
    {BYTES("OPTIONS http://h HTTP/1.1\r\n" HOST END NEXT), "405 method_not_allowed allow=GET, HEAD\nhealth\n"},
    {BYTES("GET /readyz?store= HTTP/1.1\r\n" HOST END NEXT), "400 invalid_argument\nhealth\n"},
    {BYTES("GET /readyz?store=%4 HTTP/1.1\r\n" HOST END NEXT), "400 invalid_argument\nhealth\n"},
    {BYTES("GET /v1/stores/ HTTP/1.1\r\n" HOST END NEXT), "404 not_found\nhealth\n"},
    {BYTES("GET /v1/stores/s/ HTTP/1.1\r\n" HOST END NEXT), "404 not_found\nhealth\n"},
    {BYTES("GET /v1/stores/s/keys HTTP/1.1\r\n" HOST END NEXT), "404 not_found\nhealth\n"},
    {BYTES("GET /v1/stores/s/keysx/ HTTP/1.1\r\n" HOST END NEXT), "404 not_found\nhealth\n"},
    {BYTES("GET /v1/stores//keys/x HTTP/1.1\r\n" HOST END NEXT), "404 not_found\nhealth\n"},
    {BYTES("GET /v1/storesx HTTP/1.1\r\n" HOST END NEXT), "404 not_found\nhealth\n"},
    {BYTES("GET /healthz/ HTTP/1.1\r\n" HOST END NEXT), "404 not_found\nhealth\n"},
    {BYTES("GET /%68ealthz HTTP/1.1\r\n" HOST END NEXT), "404 not_found\nhealth\n"},
    {BYTES("GET /v1/stores/s/batch HTTP/1.1\r\n" HOST END NEXT), "404 not_found\nhealth\n"},
    {BYTES("POST /healthz HTTP/1.1\r\n" HOST "Content-Length: 4\r\n" END "bodyGET"),
     "405 method_not_allowed allow=GET, HEAD\nmore\n"},
    {BYTES("POST /v1/stores/s/keys/k HTTP/1.1\r\n" HOST END NEXT),
     "405 method_not_allowed allow=GET, HEAD, PUT, DELETE\nhealth\n"},
    {BYTES("OPTIONS * HTTP/1.1\r\n" HOST END NEXT),
     "405 method_not_allowed allow=GET, HEAD, PUT, POST, DELETE\nhealth\n"},
    {BYTES("PATCH /v1/stores/s HTTP/1.1\r\n" HOST END NEXT),
     "405 method_not_allowed allow=GET, HEAD, PUT, DELETE\nhealth\n"},
    {BYTES("HEAD /v1/stores/s/batch/read HTTP/1.1\r\n" HOST END NEXT), "405 allow=POST\nhealth\n"},
    {BYTES("HEAD /healthz?x=1 HTTP/1.1\r\n" HOST END NEXT), "400\nhealth\n"},
    {BYTES("GET /v1/stores/s/batch/read HTTP/1.1\r\n" HOST END NEXT),
     "405 method_not_allowed allow=POST\nhealth\n"},
    {BYTES("GET /v1/stores/s/keys/%4 HTTP/1.1\r\n" HOST END NEXT), "400 invalid_argument\nhealth\n"},
    {BYTES("GET /v1/stores/s/keys/%4g HTTP/1.1\r\n" HOST END NEXT), "400 invalid_argument\nhealth\n"},
    {BYTES("GET /v1/stores/%/keys/a HTTP/1.1\r\n" HOST END NEXT), "400 invalid_argument\nhealth\n"},
    {BYTES("GET /v1/stores/s/hashes/0123456789abcde HTTP/1.1\r\n" HOST END NEXT),
     "400 invalid_argument\nhealth\n"},
    {BYTES("GET /v1/stores/s/hashes/0123456789abcdefa HTTP/1.1\r\n" HOST END NEXT),
     "400 invalid_argument\nhealth\n"},
    {BYTES("GET /v1/stores/s/hashes/ HTTP/1.1\r\n" HOST END NEXT), "400 invalid_argument\nhealth\n"},
    {BYTES("GET /v1/stores/s/hashes/0123456789abcd%65f HTTP/1.1\r\n" HOST END NEXT),
     "400 invalid_argument\nhealth\n"},
    {BYTES("GET /v1/stores/s/keys/a?x=1 HTTP/1.1\r\n" HOST END NEXT),
     "400 invalid_argument (unknown query parameter: x)\nhealth\n"},
    {BYTES("GET /v1/stores/s/keys/a?durability=none HTTP/1.1\r\n" HOST END NEXT),
     "400 invalid_argument (unknown query parameter: durability)\nhealth\n"},
    {BYTES("DELETE /v1/stores/s/keys/a?durability=sync&durability=none HTTP/1.1\r\n" HOST END NEXT),
     "400 invalid_argument (query parameter given twice: durability)\nhealth\n"},
    {BYTES("DELETE /v1/stores/s/keys/a?durability=interval:5 HTTP/1.1\r\n" HOST END NEXT),
     "400 invalid_argument (durability must be none or sync)\nhealth\n"},
    {BYTES("DELETE /v1/stores/s?confirm=%zz HTTP/1.1\r\n" HOST END NEXT), "400 invalid_argument\nhealth\n"},
    {BYTES("GET /v1/stores/s/entries?limit=0 HTTP/1.1\r\n" HOST END NEXT), "400 invalid_argument\nhealth\n"},
    {BYTES("GET /v1/stores/s/entries?limit=4294967296 HTTP/1.1\r\n" HOST END NEXT),
     "400 invalid_argument\nhealth\n"},
    {BYTES("GET /v1/stores/s/entries?from=1 HTTP/1.1\r\n" HOST END NEXT),
     "400 invalid_argument (unknown query parameter: from)\nhealth\n"},
    {BYTES("POST /v1/stores/s/verify?limit=0 HTTP/1.1\r\n" HOST END NEXT),
     "400 invalid_argument (limit must be a number of bytes from 1)\nhealth\n"},
    {BYTES("POST /v1/stores/s/verify?from= HTTP/1.1\r\n" HOST END NEXT),
     "400 invalid_argument (from must be 0 or the next of an answer)\nhealth\n"},
    {BYTES("POST /v1/stores/s/verify?limit=1&limit=2 HTTP/1.1\r\n" HOST END NEXT),
     "400 invalid_argument (query parameter given twice: limit)\nhealth\n"},
    {BYTES("POST /v1/stores/s/verify?after=1 HTTP/1.1\r\n" HOST END NEXT),
     "400 invalid_argument (unknown query parameter: after)\nhealth\n"},
    {BYTES("POST /v1/stores/s/verify HTTP/1.1\r\n" HOST JSON_TYPE "Content-Length: 2\r\n" END "{}" NEXT),
     "400 invalid_argument (this request takes no body)\nhealth\n"},
    {BYTES("GET /v1/stores/s/verify HTTP/1.1\r\n" HOST END NEXT), "405 method_not_allowed allow=POST\nhealth\n"},
    {BYTES("POST /v1/stores/s/reopen?confirm=s HTTP/1.1\r\n" HOST END NEXT),
     "400 invalid_argument (unknown query parameter: confirm)\nhealth\n"},
    {BYTES("POST /v1/stores/s/reopen HTTP/1.1\r\n" HOST "If-Match: *\r\n" END NEXT),
     "400 invalid_argument (this request takes neither If-Match nor If-None-Match)\nhealth\n"},
    {BYTES("PUT /v1/stores/s/reopen HTTP/1.1\r\n" HOST END NEXT), "405 method_not_allowed allow=POST\nhealth\n"},
    {BYTES("POST /v1/stores/s/backup HTTP/1.1\r\n" HOST END NEXT),
     "405 method_not_allowed allow=GET, HEAD\nhealth\n"},
    {BYTES("GET /v1/stores/s/backup?from=-1 HTTP/1.1\r\n" HOST END NEXT),
     "400 invalid_argument (from must be an offset in the file)\nhealth\n"},
    {BYTES("GET /v1/stores/s/backup?generation=0000000000000000 HTTP/1.1\r\n" HOST END NEXT),
     "400 invalid_argument (generation must be 16 hex digits, as Rdrive-Generation has them)\nhealth\n"},
    {BYTES("GET /v1/stores/s/backup?limit=1 HTTP/1.1\r\n" HOST END NEXT),
     "400 invalid_argument (unknown query parameter: limit)\nhealth\n"},
    {BYTES("GET /v1/stores/s/backup?from=1 HTTP/1.1\r\n" HOST "Range: bytes=1-\r\n" END NEXT),
     "400 invalid_argument (give from or a Range header, not both)\nhealth\n"},
    {BYTES("GET /v1/stores/s/backup?generation=0000000000000001 HTTP/1.1\r\n" HOST
           "If-Match: \"0000000000000002-5\"\r\n" END NEXT),
     "412 precondition_failed (generation and If-Match name different files)\nhealth\n"},
    {BYTES("GET /v1/stores/s/backup HTTP/1.1\r\n" HOST "If-Match: \"0000000000000000-5\"\r\n" END NEXT),
     "412 precondition_failed (If-Match names no file of this server)\nhealth\n"},
    {BYTES("GET /v1/stores/s/entries?after=-1 HTTP/1.1\r\n" HOST END NEXT), "400 invalid_argument\nhealth\n"},
    {BYTES("GET /v1/stores/s/entries?after= HTTP/1.1\r\n" HOST END NEXT), "400 invalid_argument\nhealth\n"},
    {BYTES("GET /v1/stores/s/entries?after=18446744073709551616 HTTP/1.1\r\n" HOST END NEXT),
     "400 invalid_argument\nhealth\n"},
    {BYTES("GET /healthz HTTP/1.1\r\n" HOST "Content-Length: 2\r\n" END "ab" NEXT),
     "400 invalid_argument\nhealth\n"},
    {BYTES(GET HOST "Origin: http://evil.example\r\n" END NEXT), "403 forbidden\nhealth\n"},
    {BYTES(GET HOST "Origin: null\r\n" END NEXT), "403 forbidden\nhealth\n"},
    {BYTES(GET HOST "Origin:\r\n" END NEXT), "403 forbidden\nhealth\n"},
    {BYTES(GET HOST "Origin: http://h:80\r\n" END NEXT), "403 forbidden\nhealth\n"},
    {BYTES(GET HOST "Origin: http://h\r\nOrigin: http://h\r\n" END NEXT), "403 forbidden\nhealth\n"},
    {BYTES(KEY_PUT "Origin: http://x\r\nContent-Length: 2\r\n" END "ab" NEXT), "403 forbidden\nhealth\n"},
    {BYTES(BATCH "read HTTP/1.1\r\n" HOST "Content-Length: 2\r\n" END "{}" NEXT),
     "415 unsupported_media_type\nhealth\n"},
    {BYTES(BATCH "read HTTP/1.1\r\n" HOST "Content-Type: text/plain\r\nContent-Length: 2\r\n" END "{}" NEXT),
     "415 unsupported_media_type\nhealth\n"},
    {BYTES(BATCH "read HTTP/1.1\r\n" HOST "Content-Type: application/jsonx\r\nContent-Length: 2\r\n" END
                 "{}" NEXT),
     "415 unsupported_media_type\nhealth\n"},
    {BYTES(BATCH "read HTTP/1.1\r\n" HOST JSON_TYPE JSON_TYPE "Content-Length: 2\r\n" END "{}" NEXT),
     "415 unsupported_media_type\nhealth\n"},
    {BYTES("PUT /v1/stores/n HTTP/1.1\r\n" HOST "Content-Length: 2\r\n" END "{}" NEXT),
     "415 unsupported_media_type\nhealth\n"},
    {BYTES(BATCH "read HTTP/1.1\r\n" HOST JSON_TYPE END NEXT),
     "400 invalid_argument (the body is empty, JSON is needed)\nhealth\n"},
    {BYTES(BATCH "read HTTP/1.1\r\n" HOST JSON_TYPE "Content-Length: 5\r\n" END "{\"key" NEXT),
     "400 invalid_argument\nhealth\n"},
    {BYTES(BATCH "read HTTP/1.1\r\n" HOST JSON_TYPE "Content-Length: 12\r\n" END "{\"keys\":[1]}" NEXT),
     "400 invalid_argument (keys[0]: neither string nor object)\nhealth\n"},
    {BYTES("GET /healthz HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END "0\r\n\r\n"),
     "400 invalid_argument close\nclosed\n"},
    {BYTES("POST /healthz HTTP/1.1\r\n" HOST "Content-Length: 65536\r\n" END "x"),
     "405 method_not_allowed allow=GET, HEAD\nmore\n"},
    {BYTES("POST /healthz HTTP/1.1\r\n" HOST "Content-Length: 65537\r\n" END "x"),
     "405 method_not_allowed allow=GET, HEAD close\nclosed\n"},
    {BYTES("PUT /nope HTTP/1.1\r\n" HOST "Content-Length: 2\r\nExpect: 100-continue\r\n" END),
     "404 not_found close\nclosed\n"},
    {BYTES("PUT /nope HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n" END NEXT), "404 not_found\nhealth\n"},
    {BYTES("PUT /nope HTTP/1.0\r\n" HOST END), "404 not_found close\nclosed\n"},
};

static void test_refused(void **state)
{
    (void)state;
    expect_samples(refused, sizeof refused / sizeof refused[0]);
}

/* ---- large bodies, pipelines, chance ------------------------------------------------------------------------ */

static void test_large_body_through_fill_target(void **state)
{
    (void)state;
    struct rd_limits limits = test_limits();
    limits.stream_threshold = limits.body_len_max;
    struct feed feed = {.decoder = rd_http_codec.create(&limits)};
    struct rd_buffer bytes;
    rd_buffer_init(&feed.log, 0);
    rd_buffer_init(&bytes, 0);
    rd_buffer_printf(&bytes, KEY_PUT "Content-Length: %u\r\n" END, limits.body_len_max);
    uint32_t sum = 0;
    for (uint32_t i = 0; i < limits.body_len_max; i++) {
        uint8_t byte = (uint8_t)next_random(256);
        rd_buffer_append_u8(&bytes, byte);
        sum = sum * 31 + byte;
    }
    rd_buffer_append_string(&bytes, NEXT);
    feed_all(&feed, bytes.data, bytes.len, CUT_RANDOM_AND_FILL);
    rd_buffer_append_u8(&feed.log, 0);
    char tail[64];
    snprintf(tail, sizeof tail, "..%u:%08x\nhealth\n", limits.body_len_max, sum);
    const char *found = strstr((char *)feed.log.data, "..1048576");
    assert_non_null(found);
    assert_string_equal(found, tail);
    assert_true(feed.filled_count > 10);
    rd_http_codec.destroy(feed.decoder);
    rd_buffer_deinit(&feed.log);
    rd_buffer_deinit(&bytes);
}

static void test_large_chunked_body(void **state)
{
    (void)state;
    struct rd_buffer bytes;
    rd_buffer_init(&bytes, 0);
    rd_buffer_append_string(&bytes, CHUNKED);
    uint32_t sum = 0;
    uint32_t left = 3u << 20; /* more than any other body may have */
    uint32_t len = left;
    while (left != 0) {
        uint32_t part = 1 + next_random(5000);
        part = part < left ? part : left;
        rd_buffer_printf(&bytes, "%X\r\n", part);
        for (uint32_t i = 0; i < part; i++) {
            uint8_t byte = (uint8_t)('a' + i % 26);
            rd_buffer_append_u8(&bytes, byte);
            sum = sum * 31 + byte;
        }
        rd_buffer_append_string(&bytes, "\r\n");
        left -= part;
    }
    rd_buffer_append_string(&bytes, "0\r\n\r\n" NEXT);
    char tail[64];
    snprintf(tail, sizeof tail, "..%u:%08x\nend\nhealth\n", len, sum);
    for (enum cut cut = CUT_WHOLE; cut <= CUT_RANDOM; cut++) {
        char *log = feed_new(bytes.data, bytes.len, cut, false);
        const char *found = strstr(log, "..3145728");
        assert_non_null(found);
        assert_string_equal(found, tail);
        free(log);
    }
    rd_buffer_deinit(&bytes);
}

static void test_refused_body_is_discarded_in_full(void **state)
{
    (void)state;
    struct rd_buffer bytes;
    rd_buffer_init(&bytes, 0);
    rd_buffer_append_string(&bytes, "POST /nope HTTP/1.1\r\n" HOST "Content-Length: 65536\r\n" END);
    for (int i = 0; i < 65536 / 8; i++)
        rd_buffer_append_string(&bytes, "GET / H\n");
    rd_buffer_append_string(&bytes, NEXT);
    expect_log("discard", bytes.data, bytes.len, "404 not_found\nhealth\n");
    rd_buffer_deinit(&bytes);
}

static void test_pipeline_of_100(void **state)
{
    (void)state;
    struct rd_buffer bytes;
    struct rd_buffer expected;
    rd_buffer_init(&bytes, 0);
    rd_buffer_init(&expected, 0);
    for (int i = 0; i < 100; i++) {
        if (i % 3 == 0) {
            rd_buffer_printf(
                &bytes, "PUT /v1/stores/s/keys/%d HTTP/1.1\r\n" HOST "Content-Length: 3\r\n" END "%03d", i, i);
            rd_buffer_printf(&expected, "write store=s key=%d value=%03d\n", i, i);
        } else if (i % 3 == 1) {
            rd_buffer_printf(&bytes, "GET /v1/stores/s/keys/%d HTTP/1.1\r\n" HOST END, i);
            rd_buffer_printf(&expected, "read store=s key=%d\n", i);
        } else {
            rd_buffer_printf(&bytes, "GET /nope/%d HTTP/1.1\r\n" HOST "Content-Length: 1\r\n" END "x", i);
            rd_buffer_append_string(&expected, "404 not_found\n");
        }
    }
    rd_buffer_append_u8(&expected, 0);
    expect_log("pipeline", bytes.data, bytes.len, (char *)expected.data);
    rd_buffer_deinit(&bytes);
    rd_buffer_deinit(&expected);
}

/* A head of exactly the limit passes, one byte more does not. */
static void test_head_at_the_limit(void **state)
{
    (void)state;
    size_t len_max = test_limits().header_len_max;
    for (size_t extra = 0; extra <= 1; extra++) {
        struct rd_buffer bytes;
        rd_buffer_init(&bytes, 0);
        rd_buffer_append_string(&bytes, GET HOST "A: ");
        while (bytes.len < len_max + extra - 4)
            rd_buffer_append_u8(&bytes, 'x');
        rd_buffer_append_string(&bytes, "\r\n\r\n");
        expect_log("limit", bytes.data, bytes.len,
                   extra == 0 ? "health\n" : "431 header_too_large close\nclosed\n");
        rd_buffer_deinit(&bytes);
    }
}

static void compare_cuts(const uint8_t *bytes, size_t len)
{
    char *whole = feed_new(bytes, len, CUT_WHOLE, true);
    for (enum cut cut = CUT_BYTES; cut <= CUT_RANDOM_AND_FILL; cut++) {
        char *log = feed_new(bytes, len, cut, true);
        assert_string_equal(log, whole);
        free(log);
    }
    free(whole);
}

static void test_random_bytes(void **state)
{
    (void)state;
    uint8_t bytes[300];
    for (int round = 0; round < 2000; round++) {
        size_t len = 1 + next_random(sizeof bytes);
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)next_random(256);
        if (round % 2 == 0)
            bytes[0] = 'G';
        compare_cuts(bytes, len);
    }
}

/* Good samples with a few bytes changed, dropped or doubled get further than noise does. */
static void test_mutated_requests(void **state)
{
    (void)state;
    static const char spice[] = "\r\n\0 :;%/?&=,\"{}[]\x7f\xff"
                                "09afAF";
    for (int round = 0; round < 6000; round++) {
        const struct sample *sample = &good[next_random(sizeof good / sizeof good[0])];
        struct rd_buffer bytes;
        rd_buffer_init(&bytes, 0);
        rd_buffer_append(&bytes, sample->bytes, sample->len);
        for (uint32_t changes = 1 + next_random(3); changes > 0 && bytes.len > 1; changes--) {
            uint32_t at = next_random((uint32_t)bytes.len);
            uint32_t kind = next_random(3);
            if (kind == 0) {
                bytes.data[at] = (uint8_t)spice[next_random(sizeof spice - 1)];
            } else if (kind == 1) {
                memmove(bytes.data + at, bytes.data + at + 1, bytes.len - at - 1);
                bytes.len--;
            } else {
                rd_buffer_append_u8(&bytes, 0);
                memmove(bytes.data + at + 1, bytes.data + at, bytes.len - at - 1);
            }
        }
        compare_cuts(bytes.data, bytes.len);
        rd_buffer_deinit(&bytes);
    }
}

static void test_mid_request(void **state)
{
    (void)state;
    struct rd_limits limits = test_limits();
    struct feed feed = {.decoder = rd_http_codec.create(&limits)};
    rd_buffer_init(&feed.log, 0);
    assert_false(rd_http_codec.mid_request(feed.decoder));
    feed_all(&feed, BYTES("\r\n"), CUT_BYTES);
    assert_false(rd_http_codec.mid_request(feed.decoder));
    feed_all(&feed, BYTES("G"), CUT_BYTES);
    assert_true(rd_http_codec.mid_request(feed.decoder));
    feed_all(&feed, BYTES("ET /nope HTTP/1.1\r\n" HOST "Content-Length: 2\r\n" END), CUT_BYTES);
    assert_true(rd_http_codec.mid_request(feed.decoder));
    feed_all(&feed, BYTES("ab"), CUT_BYTES);
    assert_false(rd_http_codec.mid_request(feed.decoder));
    feed_all(&feed, BYTES(KEY_PUT "Content-Length: 2\r\n" END "a"), CUT_BYTES);
    assert_true(rd_http_codec.mid_request(feed.decoder));
    rd_http_codec.destroy(feed.decoder); /* with a request under way */
    rd_buffer_deinit(&feed.log);
    rd_http_codec.destroy(NULL);
}

/* ---- who may send a body ------------------------------------------------------------------------------------ */

/* Notes what is asked, and lets nobody write to the store "other". */
static enum rd_status admit(void *context, const struct rd_asking *asking, size_t len, struct rd_error *ret_error)
{
    struct rd_buffer *log = context;
    rd_buffer_printf(log, "%s '%.*s' by '%.*s' %zu;", rd_operation_find(asking->opcode)->name,
                     asking->store == NULL ? 1 : (int)asking->store->len,
                     asking->store == NULL ? "?" : (const char *)asking->store->data, (int)asking->token->len,
                     (const char *)asking->token->data, len);
    if (asking->store != NULL && rd_slice_equal(*asking->store, rd_slice_of_string("other")))
        return rd_error_set(ret_error, RD_FORBIDDEN, 0, "not there");
    return RD_OK;
}

/* The head alone is there. ret_request: what came of it, or NULL. */
static void expect_asked(const char *head, const char *asked, struct rd_request **ret_request)
{
    struct rd_buffer log;
    struct rd_limits limits = test_limits();
    struct rd_slice input = rd_slice_of_string(head);
    rd_buffer_init(&log, 0);
    limits.admit = admit;
    limits.admit_context = &log;
    struct rd_decoder *decoder = rd_http_codec.create(&limits);
    assert_non_null(decoder);
    *ret_request = NULL;
    (void)rd_http_codec.decode(decoder, &input, ret_request);
    rd_buffer_append_u8(&log, 0);
    assert_string_equal((char *)log.data, asked);
    rd_http_codec.destroy(decoder);
    rd_buffer_deinit(&log);
}

static void expect_waiting(const char *head, const char *asked)
{
    struct rd_request *request;
    expect_asked(head, asked, &request);
    assert_null(request);
}

static void expect_refused(const char *head, const char *asked)
{
    struct rd_request *request;
    expect_asked(head, asked, &request);
    assert_non_null(request);
    assert_int_equal(request->status, RD_FORBIDDEN);
    assert_string_equal(request->message, "not there");
    assert_true(rd_slice_equal(request->store, rd_slice_of_string("other")));
    assert_true(rd_slice_equal(request->token, rd_slice_of_string("t")));
    rd_request_destroy(request);
}

#define WITH_TOKEN "Authorization: Bearer t\r\n"

/* At the head, of a body of any length; without a body the request is whole, and nobody is asked. */
static void test_a_body_is_asked_for(void **state)
{
    (void)state;
    struct rd_request *request;
    expect_asked(KEY_PUT WITH_TOKEN END, "", &request);
    assert_int_equal(request->status, RD_OK);
    rd_request_destroy(request);
    expect_waiting(KEY_PUT WITH_TOKEN "Content-Length: 1\r\n" END, "write 's' by 't' 0;");
    expect_waiting(KEY_PUT "Content-Length: 4096\r\n" END, "write 's' by '' 0;");
    expect_waiting(KEY_PUT "Content-Length: 4097\r\n" END, "write 's' by '' 4097;");
    expect_waiting(BATCH "read HTTP/1.1\r\n" HOST JSON_TYPE "Transfer-Encoding: chunked\r\n" END,
                   "batch_read 's' by '' 4097;");
    static const char *const framings[] = {"Content-Length: 1\r\n", "Content-Length: 4097\r\n",
                                           "Content-Length: 500001\r\n", "Transfer-Encoding: chunked\r\n",
                                           "Content-Length: 1\r\nExpect: 100-continue\r\n"};
    static const char *const asked[] = {"write 'other' by 't' 0;", "write 'other' by 't' 4097;",
                                        "write 'other' by 't' 0;", "write 'other' by 't' 0;",
                                        "write 'other' by 't' 0;"};
    for (size_t i = 0; i < sizeof framings / sizeof framings[0]; i++) {
        char head[512];
        snprintf(head, sizeof head, "PUT /v1/stores/%%6fther/keys/k HTTP/1.1\r\n" HOST WITH_TOKEN "%s" END,
                 framings[i]);
        expect_refused(head, asked[i]);
    }
}

/* Each of them is no more than a few bytes; all of them together are. */
static void test_small_chunks_are_asked_for_together(void **state)
{
    (void)state;
    struct rd_buffer message;
    rd_buffer_init(&message, 0);
    rd_buffer_append_string(&message,
                            BATCH "read HTTP/1.1\r\n" HOST JSON_TYPE "Transfer-Encoding: chunked\r\n" END);
    for (int i = 0; i < 20; i++)
        rd_buffer_printf(&message, "3e8\r\n%01000d\r\n", 0);
    rd_buffer_append_u8(&message, 0);
    assert_false(message.failed);
    expect_waiting((const char *)message.data,
                   "batch_read 's' by '' 4097;batch_read 's' by '' 4903;batch_read 's' by '' 5000;"
                   "batch_read 's' by '' 5000;");
    rd_buffer_deinit(&message);
}

/* It is not cut to one that is. */
static void test_a_name_that_no_store_has_is_not_asked_for(void **state)
{
    (void)state;
    char head[512];
    snprintf(head, sizeof head, "PUT /v1/stores/%065d/keys/k HTTP/1.1\r\n" HOST "Content-Length: 1\r\n" END, 0);
    expect_waiting(head, "write '?' by '' 0;");
}

/* However it comes: by its length, or in chunks. */
static void test_long_json_is_deferred(void **state)
{
    (void)state;
    static const char head[] = BATCH "read HTTP/1.1\r\n" HOST JSON_TYPE;
    static const char *const bodies[][2] = {
        {"Content-Length: 13\r\n\r\n{\"keys\":[\"\"]}", "Content-Length: 14\r\n\r\n{\"keys\":[\"k\"]}"},
        {"Transfer-Encoding: chunked\r\n\r\nd\r\n{\"keys\":[\"\"]}\r\n0\r\n\r\n",
         "Transfer-Encoding: chunked\r\n\r\ne\r\n{\"keys\":[\"k\"]}\r\n0\r\n\r\n"},
    };
    struct rd_limits limits = RD_LIMITS_DEFAULT;
    limits.json_len_max = 13;
    for (size_t i = 0; i < 4; i++) {
        struct rd_decoder *decoder = rd_http_codec.create(&limits);
        struct rd_request *request = NULL;
        char text[512];
        int len = snprintf(text, sizeof text, "%s%s", head, bodies[i / 2][i % 2]);
        struct rd_slice input = rd_slice(text, (size_t)len);
        assert_int_equal(rd_http_codec.decode(decoder, &input, &request), RD_DECODE_REQUEST);
        assert_int_equal(request->status, RD_OK);
        assert_int_equal(request->opcode, RD_OPCODE_BATCH_READ);
        assert_int_equal(request->deferred != NULL, i % 2);
        assert_int_equal(request->item_count, 1 - i % 2);
        assert_int_equal(input.len, 0);
        uint64_t bytes = 0;
        if (request->deferred != NULL) {
            assert_int_equal(rd_json_measure(request, &bytes), RD_OK);
            rd_json_parse_deferred(request);
        }
        assert_int_equal(request->item_count, 1);
        assert_true(rd_slice_equal(request->store, rd_slice_of_string("s")));
        rd_request_destroy(request);
        rd_http_codec.destroy(decoder);
    }
}

int main(void)
{
    seed_random();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_long_json_is_deferred),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_through_tls),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_large_body_through_fill_target),
        cmocka_unit_test(test_large_chunked_body),
        cmocka_unit_test(test_refused_body_is_discarded_in_full),
        cmocka_unit_test(test_pipeline_of_100),
        cmocka_unit_test(test_head_at_the_limit),
        cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_mutated_requests),
        cmocka_unit_test(test_mid_request),
        cmocka_unit_test(test_a_body_is_asked_for),
        cmocka_unit_test(test_small_chunks_are_asked_for_together),
        cmocka_unit_test(test_a_name_that_no_store_has_is_not_asked_for),
    };
    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
