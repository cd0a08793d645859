"""A private CA for tests, made with the openssl program: certificates of servers on loopback and of clients."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

_NAMES = "subjectAltName=IP:127.0.0.1,DNS:localhost"


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA in a directory: `ca.crt` is its certificate. What it signs is kept there too."""

    directory: Path

    @property
    def certificate(self) -> Path:
        """The CA's own certificate."""
        return self.directory / "ca.crt"

    def server(self, name: str = "server") -> tuple[Path, Path]:
        """A certificate and its key for 127.0.0.1 and localhost."""
        return self._signed(name, f"{_NAMES}\nextendedKeyUsage=serverAuth\n")

    def odd_server(self, name: str, names: str, days: int = 2) -> tuple[Path, Path]:
        """A server's certificate for these names (of a subjectAltName), localhost in its subject, valid for so long."""
        more = f"subjectAltName={names}\n" if names else ""
        return self._signed(name, f"{more}extendedKeyUsage=serverAuth\n", "localhost", days)

    def client(self, name: str = "client") -> tuple[Path, Path]:
        """A client's certificate and its key."""
        return self._signed(name, "extendedKeyUsage=clientAuth\n")

    def trusted_in(self, folder: Path, *, client: bool = False) -> Path:
        """Lay out a folder as docker and podman have it: the CA, and if wanted a client certificate."""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.certificate, folder / "ca.crt")
        if client:
            certificate, key = self.client()
            shutil.copy(certificate, folder / "client.cert")
            shutil.copy(key, folder / "client.key")
        return folder

    def server_context(self) -> ssl.SSLContext:
        """A server of this process with a certificate of this CA."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.server())
        return context

    def _signed(self, name: str, extensions: str, subject: str = "", days: int = 2) -> tuple[Path, Path]:
        certificate, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        if certificate.exists():
            return certificate, key
        request, more = self.directory / f"{name}.csr", self.directory / f"{name}.ext"
        more.write_text(extensions)
        _openssl("req", *_new_key(key), "-subj", f"/CN={subject or f'test {name}'}", "-out", request)
        signer = ("-CA", self.certificate, "-CAkey", self.directory / "ca.key", "-CAcreateserial")
        _openssl("x509", "-req", "-in", request, *signer, "-days", str(days), "-extfile", more, "-out", certificate)
        return certificate, key


def new_authority(directory: Path) -> Authority:
    """Make a CA in a directory. Skips the test where there is no openssl."""
    directory.mkdir(parents=True, exist_ok=True)
    made = Authority(directory)
    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    key = directory / "ca.key"
    _openssl(
        "req", "-x509", *_new_key(key), "-subj", "/CN=test CA", "-days", "2", *usage, "-out", made.certificate
    )  # fmt: skip
    return made


def _new_key(path: Path) -> tuple[str | Path, ...]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path)


def _openssl(*words: str | Path) -> None:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
