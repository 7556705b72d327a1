# SPDX-License-Identifier: MIT
"""Authorities and certificates, made by openssl as an administrator would."""
import os
import subprocess

HOSTS = "DNS:localhost,IP:127.0.0.1"
KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], capture_output=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout


class Certificate:
    """PEM files: the certificate and its key, and whom to believe for it."""

    def __init__(self, cert, key, ca):
        self.cert = cert
        self.key = key
        self.ca = ca

    @property
    def flags(self):
        """What has rdrived speak TLS with it."""
        return ("--tls-cert", self.cert, "--tls-key", self.key)


class Authority:
    def __init__(self, folder, name="authority"):
        self.folder = folder
        self.cert = os.path.join(folder, f"{name}.pem")
        self.key = os.path.join(folder, f"{name}.key")
        openssl("req", "-x509", *KEY, "-keyout", self.key, "-out", self.cert, "-days", "2", "-subj", f"/CN={name}")

    def issue(self, name="server", hosts=HOSTS, days=2, key=None):
        """days below zero: one that has expired already. key: openssl's options for another kind."""
        cert, key_path, request, extensions = (os.path.join(self.folder, f"{name}.{kind}") for kind in ("pem", "key", "csr", "ext"))
        openssl("req", *(key or KEY), "-keyout", key_path, "-out", request, "-subj", f"/CN={name}")
        with open(extensions, "w", encoding="utf-8") as file:
            file.write(f"subjectAltName={hosts}\n")
        openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial", "-days", str(days),
                "-extfile", extensions, "-out", cert)
        return Certificate(cert, key_path, self.cert)
