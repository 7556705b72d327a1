# SPDX-License-Identifier: MIT
"""Both faces of the Python client over TLS, and what they say of servers that they should not believe."""
import random
import ssl

import pytest

import rdrive
from harness.certificates import Authority

MIB = 1 << 20


@pytest.fixture
def authority(folder):
    return Authority(folder)


@pytest.fixture
def start(launch, authority):
    def with_certificate(**options):
        return launch(certificate=authority.issue(**options), environment={"RDRIVE_DURABILITY": "none"})
    return with_certificate


def test_values_of_any_length(open_face, start, authority):
    face = open_face(start().binary, tls_ca=authority.cert)
    for length in (1, 100, 16383, 16384, 16385, 40 * MIB):
        value = random.Random(length).randbytes(length)
        face.write_stream("k", [value[at:at + 100_000] for at in range(0, length, 100_000)])
        assert face.download("k")[1] == value
        assert face.read("k") == value


def test_much_both_ways_at_once(open_face, start, authority):
    """A batch's answer is long while its request still leaves."""
    face = open_face(start().binary, tls_ca=authority.cert)
    entries = {f"k{i}": random.Random(i).randbytes(64 << 10) for i in range(200)}
    face.batch_write(entries)
    assert face.batch_read(list(entries)) == list(entries.values())


def test_by_name_and_by_context(open_face, start, authority):
    port = start().binary_address[1]
    context = ssl.create_default_context(cafile=authority.cert)
    assert open_face(f"localhost:{port}", tls=context).exists("k") is False
    assert open_face(("localhost", port), tls_ca=authority.cert).exists("k") is False


@pytest.mark.parametrize("options,words", [({"hosts": "DNS:elsewhere.example"}, "IP address mismatch"),
                                           ({"days": -1}, "certificate has expired")])
def test_certificates_that_are_not_believed(open_face, start, authority, options, words):
    daemon = start(**options)
    with pytest.raises(rdrive.ConnectFailed, match=words):
        open_face(daemon.binary, tls_ca=authority.cert).exists("k")


def test_another_name(open_face, start, authority):
    port = start(hosts="DNS:elsewhere.example").binary_address[1]
    with pytest.raises(rdrive.ConnectFailed, match="Hostname mismatch"):
        open_face(f"localhost:{port}", tls_ca=authority.cert).exists("k")


def test_authorities_that_do_not_know_it(open_face, start, folder):
    daemon = start()
    other = Authority(folder, "other")
    with pytest.raises(rdrive.ConnectFailed, match="certificate verify failed"):
        open_face(daemon.binary, tls_ca=other.cert).exists("k")
    with pytest.raises(rdrive.ConnectFailed, match="certificate verify failed"):
        open_face(daemon.binary, tls=True).exists("k")


def test_tls_where_there_is_none(open_face, launch, authority):
    with pytest.raises(rdrive.ConnectFailed, match="wrong version number|record layer failure"):
        open_face(launch().binary, tls_ca=authority.cert).exists("k")


def test_none_where_there_is_tls(open_face, start):
    with pytest.raises(rdrive.ConnectionLost):
        open_face(start().binary, connect_timeout=60).exists("k")


def test_a_connection_that_goes_is_made_anew(open_face, start, authority, launch):
    daemon = start()
    face = open_face(daemon.binary, tls_ca=authority.cert)
    face.write("k", b"v")
    daemon.kill()
    with pytest.raises((rdrive.ConnectionLost, rdrive.ConnectFailed)):  # the end may be seen before anything is sent
        face.read("k")
    again = launch("--listen", str(daemon.binary), certificate=daemon.certificate)
    assert again.binary == daemon.binary
    assert face.read("k") == b"v"


@pytest.mark.parametrize("arguments", [{"server": "/a/socket", "tls": True}, {"tls_ca": "/no/such/file"},
                                       {"tls": ssl.create_default_context(), "tls_ca": "/dev/null"}])
def test_what_makes_no_sense(open_face, arguments):
    with pytest.raises(rdrive.InvalidArgument):
        open_face(**{"server": "localhost:1", **arguments})
