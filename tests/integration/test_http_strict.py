# SPDX-License-Identifier: MIT
"""HTTP messages that two parsers might read differently, or that no decent client sends, against the daemon.

Each is refused with its status. Where its end cannot be trusted the connection ends, and what was sent behind it, a write
that must not happen, is never read as a request; else the connection is still in step, and the next request is answered.
"""
import pytest

from harness.curl import Curl
from harness.rawhttp import RawHttp, request

HOST = b"Host: localhost\r\n"
END = b"\r\n"
GET = b"GET /healthz HTTP/1.1\r\n"
KEY = b"/v1/stores/%s/keys/strict"
PUT = b"PUT " + KEY + b" HTTP/1.1\r\n" + HOST
READ = b"GET " + KEY + b" HTTP/1.1\r\n" + HOST
CHUNKED = PUT + b"Transfer-Encoding: chunked\r\n\r\n"
BATCH = b"POST /v1/stores/%s/batch/read HTTP/1.1\r\n" + HOST
JSON = b"Content-Type: application/json\r\n"
LONG = 70 << 10

# `%s` stands for the store. Behind each follows a whole request that writes.
CLOSING = {
    "two lengths": {
        "length and chunked": (PUT + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        "chunked and length": (PUT + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
        "chunked and length 0": (PUT + b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n", 400),
        "of a read": (GET + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        "equal": (PUT + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
        "different": (PUT + b"Content-Length: 3\r\nContent-Length: 0\r\n\r\nabc", 400),
        "in another case": (PUT + b"Content-Length: 0\r\nCONTENT-LENGTH: 3\r\n\r\nabc", 400),
        "a list": (PUT + b"Content-Length: 3, 3\r\n\r\nabc", 400),
        "a list of one": (PUT + b"Content-Length: 3,\r\n\r\nabc", 400),
    },
    "a length that is no number": {
        "plus": (PUT + b"Content-Length: +3\r\n\r\nabc", 400),
        "minus": (PUT + b"Content-Length: -3\r\n\r\nabc", 400),
        "minus 0": (PUT + b"Content-Length: -0\r\n\r\n", 400),
        "hex": (PUT + b"Content-Length: 0x3\r\n\r\nabc", 400),
        "exponent": (PUT + b"Content-Length: 3e0\r\n\r\nabc", 400),
        "fraction": (PUT + b"Content-Length: 3.0\r\n\r\nabc", 400),
        "space inside": (PUT + b"Content-Length: 1 0\r\n\r\nabc", 400),
        "empty": (PUT + b"Content-Length:\r\n\r\n", 400),
        "quoted": (PUT + b"Content-Length: \"3\"\r\n\r\nabc", 400),
        "2^64": (PUT + b"Content-Length: 18446744073709551616\r\n\r\n", 400),
        "2^64 + 3": (PUT + b"Content-Length: 18446744073709551619\r\n\r\nabc", 400),
        "30 digits": (PUT + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", 400),
        "digits of another script": (PUT + b"Content-Length: \xd9\xa3\r\n\r\nabc", 400),
        "NUL behind": (PUT + b"Content-Length: 3\0\r\n\r\nabc", 400),
        "vertical tab before": (PUT + b"Content-Length: \x0b3\r\n\r\nabc", 400),
        "folded": (PUT + b"Content-Length:\r\n 3\r\n\r\nabc", 400),
        "more than a store has": (PUT + b"Content-Length: 281474976710656\r\n\r\n", 413),
        "2^64 - 1": (PUT + b"Content-Length: 18446744073709551615\r\n\r\n", 413),
    },
    "a transfer coding in disguise": {
        "twice": (PUT + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        "chunked, then identity": (PUT + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400),
        "identity, then chunked": (PUT + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        "a list": (PUT + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
        "a list, chunked first": (PUT + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
        "a list of chunked": (PUT + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
        "comma behind": (PUT + b"Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", 400),
        "comma before": (PUT + b"Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n", 400),
        "identity": (PUT + b"Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n", 400),
        "another word": (PUT + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
        "a word behind": (PUT + b"Transfer-Encoding: chunked x\r\n\r\n0\r\n\r\n", 400),
        "a parameter": (PUT + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", 400),
        "quoted": (PUT + b"Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 400),
        "empty": (PUT + b"Transfer-Encoding:\r\n\r\n", 400),
        "vertical tab before": (PUT + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
        "form feed behind": (PUT + b"Transfer-Encoding: chunked\x0c\r\n\r\n0\r\n\r\n", 400),
        "NUL behind": (PUT + b"Transfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n", 400),
        "a byte of Latin-1 behind": (PUT + b"Transfer-Encoding: chunked\xa0\r\n\r\n0\r\n\r\n", 400),
        "space before the colon": (PUT + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
        "tab before the colon": (PUT + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", 400),
        "space before the name": (PUT + b" Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        "folded": (PUT + b"Transfer-Encoding:\r\n\tchunked\r\n\r\n0\r\n\r\n", 400),
        "behind a bare LF": (PUT + b"X: x\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        "behind a bare CR": (PUT + b"X: x\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        "of HTTP/1.0": (b"PUT " + KEY + b" HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    },
    "chunks": {
        "size of 16 digits": (CHUNKED + b"fffffffffffffff0\r\n", 400),
        "size of 17 digits that is 3": (CHUNKED + b"10000000000000003\r\nabc\r\n0\r\n\r\n", 400),
        "size with many zeros": (CHUNKED + b"0" * 20 + b"3\r\nabc\r\n0\r\n\r\n", 400),
        "size of more than a store has": (CHUNKED + b"1000000000000\r\n", 413),
        "0x": (CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n", 400),
        "plus": (CHUNKED + b"+3\r\nabc\r\n0\r\n\r\n", 400),
        "minus": (CHUNKED + b"-1\r\n", 400),
        "no digit": (CHUNKED + b"\r\nabc\r\n0\r\n\r\n", 400),
        "g": (CHUNKED + b"g\r\n", 400),
        "space before the size": (CHUNKED + b" 3\r\nabc\r\n0\r\n\r\n", 400),
        "space behind the size": (CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n", 400),
        "tab behind the size": (CHUNKED + b"3\t\r\nabc\r\n0\r\n\r\n", 400),
        "NUL behind the size": (CHUNKED + b"3\0\r\nabc\r\n0\r\n\r\n", 400),
        "size line ends in LF": (CHUNKED + b"3\nabc\r\n0\r\n\r\n", 400),
        "size line ends in CR": (CHUNKED + b"3\rabc\r\n0\r\n\r\n", 400),
        "size line ends in CR CR LF": (CHUNKED + b"3\r\r\nabc\r\n0\r\n\r\n", 400),
        "an extension with LF": (CHUNKED + b"3;a\nb\r\nabc\r\n0\r\n\r\n", 400),
        "an extension with CR": (CHUNKED + b"3;a\rb\r\nabc\r\n0\r\n\r\n", 400),
        "an extension with NUL": (CHUNKED + b"3;\0\r\nabc\r\n0\r\n\r\n", 400),
        "no size but an extension": (CHUNKED + b";x\r\n", 400),
        "an endless extension": (CHUNKED + b"3;" + b"x" * LONG + b"\r\nabc\r\n0\r\n\r\n", 431),
        "data longer than said": (CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n", 400),
        "data shorter than said": (CHUNKED + b"3\r\nab\r\n0\r\n\r\n", 400),
        "data without its end": (CHUNKED + b"3\r\nabc0\r\n\r\n", 400),
        "data that ends in LF": (CHUNKED + b"3\r\nabc\n0\r\n\r\n", 400),
        "data that ends in CR": (CHUNKED + b"3\r\nabc\r0\r\n\r\n", 400),
        "the last chunk ends in LF": (CHUNKED + b"0\n\r\n", 400),
        "the body ends in LF": (CHUNKED + b"0\r\n\n", 400),
        "a trailer without a colon": (CHUNKED + b"0\r\ntrailer\r\n\r\n", 400),
        "a trailer with a space before its colon": (CHUNKED + b"0\r\nA : b\r\n\r\n", 400),
        "a trailer with a control byte": (CHUNKED + b"0\r\nA: \x01\r\n\r\n", 400),
        "a trailer that ends in LF": (CHUNKED + b"0\r\nA: b\n\r\n", 400),
        "a folded trailer": (CHUNKED + b"0\r\nA: b\r\n c\r\n\r\n", 400),
        "endless trailers": (CHUNKED + b"0\r\n" + b"A: b\r\n" * (LONG // 4) + b"\r\n", 431),
        "of JSON": (BATCH + JSON + b"Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n", 400),
        "of JSON that is too long": (BATCH + JSON + b"Transfer-Encoding: chunked\r\n\r\n10000000000\r\n", 413),
        "of a request that takes no body": (GET + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        "of a request that is not found": (b"PUT /nowhere HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 404),
    },
    "line ends": {
        "LF behind the request line": (b"GET /healthz HTTP/1.1\n" + HOST + END, 400),
        "LF behind a header": (GET + b"Host: localhost\n" + END, 400),
        "LF at the head's end": (GET + HOST + b"\n", 400),
        "LF alone": (b"GET /healthz HTTP/1.1\nHost: localhost\n\n", 400),
        "LF before the request": (b"\n" + GET + HOST + END, 400),
        "CR behind the request line": (b"GET /healthz HTTP/1.1\rHost: localhost\r\n" + END, 400),
        "CR CR LF behind the request line": (b"GET /healthz HTTP/1.1\r\r\n" + HOST + END, 400),
        "CR CR LF behind a header": (GET + HOST + b"A: b\r\r\n" + END, 400),
        "CR in a value": (GET + HOST + b"A: b\rc\r\n" + END, 400),
        "LF CR": (GET + b"Host: localhost\n\rA: b\r\n" + END, 400),
        "folded by a space": (GET + HOST + b"A: b\r\n c\r\n" + END, 400),
        "folded by a tab": (GET + HOST + b"A: b\r\n\tc\r\n" + END, 400),
        "a fold before the first header": (GET + b" " + HOST + END, 400),
        "an empty fold": (GET + HOST + b"A: b\r\n \r\n" + END, 400),
        "the host folded": (GET + b"Host:\r\n localhost\r\n" + END, 400),
    },
    "header names and values": {
        "space before the colon": (GET + HOST + b"A : b\r\n" + END, 400),
        "tab before the colon": (GET + HOST + b"A\t: b\r\n" + END, 400),
        "space in the name": (PUT + b"Content Length: 3\r\n" + END, 400),
        "no name": (GET + HOST + b": b\r\n" + END, 400),
        "no colon": (GET + HOST + b"AB\r\n" + END, 400),
        "NUL in the name": (PUT + b"Content-Length\0: 3\r\n" + END, 400),
        "vertical tab in the name": (PUT + b"Content-Length\x0b: 3\r\n" + END, 400),
        "a byte of Latin-1 in the name": (PUT + b"Content-Length\xa0: 3\r\n" + END, 400),
        "a parenthesis in the name": (GET + HOST + b"A(: b\r\n" + END, 400),
        "a slash in the name": (GET + HOST + b"A/b: c\r\n" + END, 400),
        "NUL in a value": (GET + HOST + b"A: b\0c\r\n" + END, 400),
        "an escape in a value": (GET + HOST + b"A: \x1b[2J\r\n" + END, 400),
        "DEL in a value": (GET + HOST + b"A: \x7f\r\n" + END, 400),
    },
    "hosts": {
        "none": (GET + END, 400),
        "twice": (GET + HOST + HOST + END, 400),
        "two": (GET + HOST + b"host: elsewhere\r\n" + END, 400),
        "a space": (GET + b"Host: a b\r\n" + END, 400),
        "a list": (GET + b"Host: a, b\r\n" + END, 400),
        "a user": (GET + b"Host: user@a\r\n" + END, 400),
        "a path": (GET + b"Host: a/b\r\n" + END, 400),
        "a query": (GET + b"Host: a?b\r\n" + END, 400),
        "a fragment": (GET + b"Host: a#b\r\n" + END, 400),
        "a backslash": (GET + b"Host: a\\b\r\n" + END, 400),
        "NUL": (GET + b"Host: a\0b\r\n" + END, 400),
        "empty, and another": (GET + b"Host:\r\n" + HOST + END, 400),
    },
    "request lines": {
        "HTTP/0.9": (b"GET /healthz\r\n" + END, 400),
        "HTTP/0.9 by name": (b"GET /healthz HTTP/0.9\r\n" + HOST + END, 400),
        "HTTP/1.2": (b"GET /healthz HTTP/1.2\r\n" + HOST + END, 400),
        "HTTP/1.10": (b"GET /healthz HTTP/1.10\r\n" + HOST + END, 400),
        "HTTP/01.1": (b"GET /healthz HTTP/01.1\r\n" + HOST + END, 400),
        "HTTP/2.0": (b"GET /healthz HTTP/2.0\r\n" + HOST + END, 400),
        "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        "http/1.1": (b"GET /healthz http/1.1\r\n" + HOST + END, 400),
        "RTSP": (b"SETUP /healthz RTSP/1.0\r\n" + HOST + END, 400),
        "a byte order mark": (b"\xef\xbb\xbfGET /healthz HTTP/1.1\r\n" + HOST + END, 400),
        "NUL before the method": (b"\0GET /healthz HTTP/1.1\r\n" + HOST + END, 400),
        "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64), 400),
        "a blank behind the version": (b"GET /healthz HTTP/1.1 \r\n" + HOST + END, 400),
        "two blanks behind the method": (b"GET  /healthz HTTP/1.1\r\n" + HOST + END, 400),
        "two blanks before the version": (b"GET /healthz  HTTP/1.1\r\n" + HOST + END, 400),
        "a tab behind the method": (b"GET\t/healthz HTTP/1.1\r\n" + HOST + END, 400),
        "a blank before the method": (b" GET /healthz HTTP/1.1\r\n" + HOST + END, 400),
        "no target": (b"GET HTTP/1.1\r\n" + HOST + END, 400),
        "an empty target": (b"GET  HTTP/1.1\r\n" + HOST + END, 400),
        "a blank in the target": (b"GET /health z HTTP/1.1\r\n" + HOST + END, 400),
        "a request in the target": (b"GET /healthz HTTP/1.1 GET /healthz HTTP/1.1\r\n" + HOST + END, 400),
        "NUL in the target": (b"GET /healthz\0 HTTP/1.1\r\n" + HOST + END, 400),
        "DEL in the target": (b"GET /healthz\x7f HTTP/1.1\r\n" + HOST + END, 400),
        "a fragment": (b"GET /healthz#a HTTP/1.1\r\n" + HOST + END, 400),
        "no slash": (b"GET healthz HTTP/1.1\r\n" + HOST + END, 400),
        "a backslash": (b"GET \\healthz HTTP/1.1\r\n" + HOST + END, 400),
        "an asterisk": (b"GET * HTTP/1.1\r\n" + HOST + END, 400),
        "of another host": (b"GET http://elsewhere/healthz HTTP/1.1\r\n" + HOST + END, 400),
        "of another port": (b"GET http://localhost:81/healthz HTTP/1.1\r\n" + HOST + END, 400),
        "of no host": (b"GET http:///healthz HTTP/1.1\r\n" + HOST + END, 400),
        "of a host with a user": (b"GET http://u@localhost/healthz HTTP/1.1\r\n" + HOST + END, 400),
        "https": (b"GET https://localhost/healthz HTTP/1.1\r\n" + HOST + END, 400),
        "an authority": (b"GET localhost:80 HTTP/1.1\r\n" + HOST + END, 400),
        "CONNECT": (b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + END, 400),
        "a method in lower case": (b"get /healthz HTTP/1.1\r\n" + HOST + END, 501),
        "an unknown method": (b"BREW /healthz HTTP/1.1\r\n" + HOST + END, 501),
        "a method with more behind": (b"GETX /healthz HTTP/1.1\r\n" + HOST + END, 501),
        "NUL in the method": (b"G\0ET /healthz HTTP/1.1\r\n" + HOST + END, 400),
        "a quote in the method": (b"\"GET\" /healthz HTTP/1.1\r\n" + HOST + END, 400),
    },
    "sizes": {
        "a long target": (b"GET /" + b"a" * LONG + b" HTTP/1.1\r\n" + HOST + END, 431),
        "a long method": (b"A" * LONG + b" / HTTP/1.1\r\n" + HOST + END, 431),
        "a long name": (GET + HOST + b"A" * LONG + b": b\r\n" + END, 431),
        "a long value": (GET + HOST + b"A: " + b"b" * LONG + b"\r\n" + END, 431),
        "many headers": (GET + HOST + b"A:\r\n" * (LONG // 4) + END, 431),
    },
    "expectations": {
        "unknown": (PUT + b"Expect: miracles\r\nContent-Length: 3\r\n\r\nabc", 417),
        "a list": (PUT + b"Expect: 100-continue, miracles\r\nContent-Length: 3\r\n\r\nabc", 417),
        "one of two": (PUT + b"Expect: 100-continue\r\nExpect: miracles\r\nContent-Length: 3\r\n\r\nabc", 417),
        "quoted": (PUT + b"Expect: \"100-continue\"\r\nContent-Length: 3\r\n\r\nabc", 417),
        "of a request that is refused": (b"PUT /nowhere HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n", 404),
    },
    "conditions given twice": {
        "If-Match": (PUT + b"If-Match: *\r\nIf-Match: *\r\n" + END, 400),
        "If-None-Match": (PUT + b"If-None-Match: *\r\nif-none-match: *\r\n" + END, 400),
        "If-Range": (READ + b"If-Range: \"a\"\r\nIf-Range: \"a\"\r\n" + END, 400),
    },
    "a body that is not waited for": {
        "longer than is thrown away": (b"POST /healthz HTTP/1.1\r\n" + HOST + b"Content-Length: 65537\r\n" + END, 405),
        "of the last request": (b"POST /healthz HTTP/1.1\r\n" + HOST + b"Connection: close\r\nContent-Length: 3\r\n\r\nabc", 405),
        "of HTTP/1.0": (b"POST /healthz HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc", 405),
        "of JSON that is too long": (BATCH + JSON + b"Content-Length: 1099511627776\r\n" + END, 413),
    },
}

# A `{body}` is a whole request that writes; what is refused takes it for a body and throws it away.
IN_STEP = {
    "bodies where there is none": {
        "GET": (b"GET /healthz HTTP/1.1\r\n" + HOST + b"{body}", 400),
        "GET of a key": (READ + b"{body}", 400),
        "DELETE": (b"DELETE " + KEY + b" HTTP/1.1\r\n" + HOST + b"{body}", 400),
        "HEAD": (b"HEAD " + KEY + b" HTTP/1.1\r\n" + HOST + b"{body}", 400),
        "a drop": (b"DELETE /v1/stores/%s HTTP/1.1\r\n" + HOST + b"{body}", 400),
    },
    "paths and methods": {
        "not found": (b"PUT /nowhere HTTP/1.1\r\n" + HOST + b"{body}", 404),
        "a slash too many": (b"GET //healthz HTTP/1.1\r\n" + HOST + END, 404),
        "dots": (b"GET /v1/stores/../../healthz HTTP/1.1\r\n" + HOST + END, 404),
        "encoded": (b"GET /%%68ealthz HTTP/1.1\r\n" + HOST + END, 404),
        "a host alone": (b"GET http://localhost HTTP/1.1\r\n" + HOST + END, 200),
        "a host and an empty query": (b"GET http://localhost? HTTP/1.1\r\n" + HOST + END, 200),
        "a host and a query": (b"GET http://localhost?x=1 HTTP/1.1\r\n" + HOST + END, 400),
        "a host, a path and a query": (b"GET http://localhost/readyz?store=%s HTTP/1.1\r\n" + HOST + END, 200),
        "another method": (b"POST /healthz HTTP/1.1\r\n" + HOST + b"{body}", 405),
        "PATCH": (b"PATCH " + KEY + b" HTTP/1.1\r\n" + HOST + b"{body}", 405),
        "TRACE": (b"TRACE /healthz HTTP/1.1\r\n" + HOST + END, 405),
        "OPTIONS": (b"OPTIONS * HTTP/1.1\r\n" + HOST + END, 405),
    },
    "escapes and parameters": {
        "cut off": (b"GET /v1/stores/%s/keys/a%% HTTP/1.1\r\n" + HOST + END, 400),
        "cut in the middle": (b"GET /v1/stores/%s/keys/a%%4 HTTP/1.1\r\n" + HOST + END, 400),
        "not hex": (b"GET /v1/stores/%s/keys/%%zz HTTP/1.1\r\n" + HOST + END, 400),
        "of another kind": (b"GET /v1/stores/%s/keys/%%u0041 HTTP/1.1\r\n" + HOST + END, 400),
        "doubled": (b"GET /v1/stores/%s/keys/%%%%41 HTTP/1.1\r\n" + HOST + END, 400),
        "in the store": (b"GET /v1/stores/%%x/keys/a HTTP/1.1\r\n" + HOST + END, 400),
        "in a parameter": (b"DELETE /v1/stores/%s?confirm=%%g0 HTTP/1.1\r\n" + HOST + END, 400),
        "a hash that is none": (b"GET /v1/stores/%s/hashes/0123456789abcdeg HTTP/1.1\r\n" + HOST + END, 400),
        "an unknown parameter": (b"PUT " + KEY + b"?durabilit=none HTTP/1.1\r\n" + HOST + b"{body}", 400),
        "a parameter twice": (b"PUT " + KEY + b"?durability=none&durability=sync HTTP/1.1\r\n" + HOST + b"{body}", 400),
        "a limit of 0": (b"GET /v1/stores/%s/entries?limit=0 HTTP/1.1\r\n" + HOST + END, 400),
        "an offset beyond 2^64": (b"GET /v1/stores/%s/entries?after=18446744073709551616 HTTP/1.1\r\n" + HOST + END, 400),
        "a long key": (b"PUT /v1/stores/%s/keys/" + b"k" * (33 << 10) + b" HTTP/1.1\r\n" + HOST + b"{body}", 413),
    },
    "conditions": {
        "If-Match without quotes": (PUT + b"If-Match: 0-00000000\r\n{body}", 400),
        "If-Match that is not closed": (PUT + b"If-Match: \"0-00000000\r\n{body}", 400),
        "If-Match of nothing": (PUT + b"If-Match:\r\n{body}", 400),
        "If-Match of commas": (PUT + b"If-Match: ,,\r\n{body}", 400),
        "If-Match of * and more": (PUT + b"If-Match: *, \"0-00000000\"\r\n{body}", 400),
        "If-Match of two": (PUT + b"If-Match: \"0-00000000\", \"40-00000000\"\r\n{body}", 400),
        "If-Match without a comma": (PUT + b"If-Match: \"a\" \"b\"\r\n{body}", 400),
        "If-Match that is weak": (PUT + b"If-Match: W/\"0-00000000\"\r\n{body}", 412),
        "If-Match of another server": (PUT + b"If-Match: \"abc\"\r\n{body}", 412),
        "If-None-Match of a version": (PUT + b"If-None-Match: \"0-00000000\"\r\n{body}", 400),
        "both": (PUT + b"If-Match: *\r\nIf-None-Match: *\r\n{body}", 400),
        "of a read": (READ + b"If-None-Match: w/\"a\"\r\n" + END, 400),
        "of a batch": (BATCH + JSON + b"If-Match: *\r\n{body}", 400),
    },
    "origins and types": {
        "of another site": (PUT + b"Origin: http://elsewhere\r\n{body}", 403),
        "null": (PUT + b"Origin: null\r\n{body}", 403),
        "twice": (PUT + b"Origin: http://localhost\r\nOrigin: http://localhost\r\n{body}", 403),
        "of another port": (PUT + b"Origin: http://localhost:81\r\n{body}", 403),
        "JSON that does not say so": (BATCH + b"{body}", 415),
        "a form": (BATCH + b"Content-Type: application/x-www-form-urlencoded\r\n{body}", 415),
        "two types": (BATCH + JSON + b"Content-Type: text/plain\r\n{body}", 415),
        "not JSON": (BATCH + JSON + b"{body}", 400),
    },
}


@pytest.fixture(scope="module")
def quiet_store(module_daemon):
    """One store for all that is refused: none of it may change anything there."""
    curl = Curl(module_daemon.http, "quiet")
    assert curl.create().status == 201
    yield curl.store
    info = curl.info()
    assert (info["entries"], info["tail"]) == (0, 0), info
    assert curl.drop().status == 200


def cases(table):
    return {f"{group}: {name}": case for group, rows in table.items() for name, case in rows.items()}


CLOSING_CASES = cases(CLOSING)
IN_STEP_CASES = cases(IN_STEP)


def smuggled(store):
    return request("PUT", f"/v1/stores/{store}/keys/smuggled", b"it went through")


def fill(template, store):
    """The message's bytes. Only those with a `%s` have their percent signs doubled."""
    data = template.replace(b"%%", b"\0escaped\0").replace(b"%s", store.encode()).replace(b"\0escaped\0", b"%")
    body = smuggled(store)
    return data.replace(b"{body}", b"Content-Length: %d\r\n\r\n" % len(body) + body)


def send(connection, data, cut):
    try:
        if cut == "split":
            connection.send(data[:len(data) // 2])
            connection.send(data[len(data) // 2:])
        else:
            connection.send(data)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the server has seen enough, and its answer may still be read


def assert_nothing_went_through(daemon, store):
    with RawHttp(daemon.http_address) as connection:
        connection.send(request("GET", "/healthz") + request("GET", f"/v1/stores/{store}/keys/smuggled") +
                        request("GET", f"/v1/stores/{store}/keys/strict"))
        assert connection.answer().status == 200
        assert connection.answer().error == "key_not_found"
        assert connection.answer().error == "key_not_found"


def test_there_are_many():
    assert len(CLOSING_CASES) >= 60 and len(IN_STEP_CASES) >= 40


@pytest.mark.parametrize("cut", ["whole", "split"])
@pytest.mark.parametrize("name", CLOSING_CASES)
def test_the_connection_ends(daemon, quiet_store, name, cut):
    template, status = CLOSING_CASES[name]
    with RawHttp(daemon.http_address) as connection:
        send(connection, fill(template, quiet_store) + smuggled(quiet_store), cut)
        answer = connection.answer()
        assert answer is not None, "closed without an answer"
        assert answer.status == status, answer
        assert answer.error
        assert answer.headers["connection"] == "close"
        assert connection.closed()
    assert_nothing_went_through(daemon, quiet_store)


@pytest.mark.parametrize("cut", ["whole", "split"])
@pytest.mark.parametrize("name", IN_STEP_CASES)
def test_the_connection_stays_in_step(daemon, quiet_store, name, cut):
    template, status = IN_STEP_CASES[name]
    with RawHttp(daemon.http_address) as connection:
        send(connection, fill(template, quiet_store) + request("GET", "/readyz"), cut)
        answer = connection.answer(to_head=template.startswith(b"HEAD "))
        assert answer is not None, "closed without an answer"
        assert answer.status == status, answer
        assert "connection" not in answer.headers
        assert connection.answer().json() == {"status": "ok"}
        connection.send(request("GET", "/nowhere"))
        assert connection.answer().status == 404
    assert_nothing_went_through(daemon, quiet_store)


# ---- a body behind an answer that came early -------------------------------------------------------------------------

@pytest.mark.parametrize("headers", [["Transfer-Encoding: chunked"], ["Content-Length: 2000000"], ["Content-Length: 2000000", "Expect: 100-continue"]], ids=str)
def test_a_body_that_nobody_wants_is_no_request(daemon, quiet_store, headers):
    """A streamed write that cannot succeed is answered before its end; the rest of it is not read as requests."""
    with RawHttp(daemon.http_address) as connection:
        connection.send(request("PUT", "/v1/stores/no-such-store/keys/k", headers=headers))
        chunked = headers[0].startswith("Transfer")
        body = smuggled(quiet_store)
        send(connection, (b"%x\r\n" % len(body) if chunked else b"") + body + smuggled(quiet_store), "whole")
        answer = connection.answer()
        assert answer.status == 404 and answer.error == "store_not_found"
        assert answer.headers["connection"] == "close"
        send(connection, smuggled(quiet_store) * 3, "whole")
        assert connection.closed()
    assert_nothing_went_through(daemon, quiet_store)


@pytest.mark.parametrize("length", [1, 100, 2000000])
def test_a_value_that_looks_like_a_request_is_a_value(daemon, store, curl, length):
    body = (smuggled(store) * (length // len(smuggled(store)) + 1))[:max(length, len(smuggled(store)))]
    with RawHttp(daemon.http_address) as connection:
        connection.send(request("PUT", f"/v1/stores/{store}/keys/value", body) + request("GET", "/nowhere"))
        assert connection.answer().status == 201
        assert connection.answer().status == 404
    assert curl.get("value").body == body
    assert_nothing_went_through(daemon, store)


# ---- what may be asked for, and gets less than it wants -----------------------------------------------------------------

VALUE = bytes(range(100))


@pytest.mark.parametrize("header", [
    "Range: bytes=" + ",".join(f"{first}-{first}" for first in range(100)), "Range: bytes=0-,0-,0-,0-", "Range: bytes=0-18446744073709551616,1-2",
    "Range: bytes=-", "Range: bytes=5-3", "Range: bytes=0x0-0x1", "Range: bytes = 0-1", "Range: lines=0-1", "Range: bytes=0-1\r\nRange: bytes=2-3",
    "Range: bytes=+1-2", "Range: bytes=1-2\r\nIf-Range: W/\"0-00000000\"", "Upgrade: websocket\r\nConnection: Upgrade", "Upgrade: h2c, HTTP/2.0\r\nConnection: Upgrade, HTTP2-Settings",
    "TE: trailers, deflate", "X-HTTP-Method-Override: DELETE", "Connection: Content-Length, Host", "Content-Encoding: gzip", "Via: 1.0 proxy",
    "Transfer_Encoding: chunked", "X-Content-Length: 5",
], ids=lambda text: text[:40])
def test_headers_that_change_nothing(daemon, store, curl, header):
    assert curl.put("served", VALUE).status == 201
    with RawHttp(daemon.http_address) as connection:
        for _ in range(2):
            connection.send(request("GET", f"/v1/stores/{store}/keys/served", headers=[header]))
            answer = connection.answer()
            assert answer.status == 200 and answer.body == VALUE
            assert "content-range" not in answer.headers and "upgrade" not in answer.headers


@pytest.mark.parametrize("text, expected", [("0-18446744073709551615", (206, VALUE)), ("99-99999999999999999999999", (206, VALUE[99:])),
                                            ("-18446744073709551616", (206, VALUE)), ("100-", (416, None)), ("18446744073709551615-", (416, None)),
                                            ("18446744073709551616-18446744073709551617", (416, None)), ("-0", (416, None))])
def test_ranges_at_the_end_of_numbers(daemon, store, curl, text, expected):
    assert curl.put("served", VALUE).status == 201
    with RawHttp(daemon.http_address) as connection:
        connection.send(request("GET", f"/v1/stores/{store}/keys/served", headers=[f"Range: bytes={text}"]) + request("GET", "/nowhere"))
        answer = connection.answer()
        assert answer.status == expected[0], answer
        if expected[1] is not None:
            assert answer.body == expected[1]
        assert connection.answer().status == 404


@pytest.mark.parametrize("trailers", [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: elsewhere\r\n", b"A: b\r\nC:\r\n"])
def test_trailers_say_nothing(daemon, store, curl, trailers):
    with RawHttp(daemon.http_address) as connection:
        connection.send(request("PUT", f"/v1/stores/{store}/keys/k", headers=["Transfer-Encoding: chunked"]) +
                        b"3;a=\"b c\"\r\nabc\r\n0;x\r\n" + trailers + b"\r\n" + request("GET", "/nowhere"))
        assert connection.answer().status == 201
        assert connection.answer().status == 404
    assert curl.get("k").body == b"abc"
