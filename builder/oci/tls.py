"""Which certificates are believed of a server, and which of ours it is shown: one TLS context for each origin.

Believed are the system's CAs, and for a registry those of its own folder; a client certificate is shown to the server
whose folder holds it and to nobody else. Folders are laid out as docker and podman have them (containers-certs.d(5);
docker's "Verify repository client with certificates"): `*.crt` are CAs, `NAME.cert` with `NAME.key` a client
certificate.
"""

from __future__ import annotations

import functools
import os
import ssl
import threading
from pathlib import Path

from builder.declare import dataclass
from builder.errors import UsageError
from builder.oci.hosts import Origin, names_of
from builder.values.access import Trust


@dataclass(frozen=True, slots=True)
class Certificates:
    """What a folder holds: CAs, and pairs of a client certificate and its key."""

    authorities: tuple[Path, ...] = ()
    clients: tuple[tuple[Path, Path], ...] = ()


def certificates_in(folder: Path) -> Certificates:
    """The certificates of a folder. Raises UsageError when it cannot be read or a client certificate has no key."""
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(
            f"the certificates in {folder} cannot be read: {error.strerror}",
            hint="it is a directory with CAs (*.crt) and client certificates (*.cert with *.key)",
        ) from error
    clients = tuple(path for path in paths if path.suffix == ".cert")
    for path in (*clients, *(path for path in paths if path.suffix == ".key")):
        other = path.with_suffix(".key" if path.suffix == ".cert" else ".cert")
        if other not in paths:
            raise UsageError(
                f"{path} has no {other.name} beside it",
                hint="a client certificate is NAME.cert and NAME.key; CAs end in .crt",
            )
    pairs = tuple((path, path.with_suffix(".key")) for path in clients)
    return Certificates(tuple(path for path in paths if path.suffix == ".crt"), pairs)


def certificates_for(host: Origin, trust: Trust, registry: Origin | None) -> Certificates:
    """Those of a server. `trust.cert_dir` is only for `registry`, the one that is being talked to.

    Raises UsageError for a folder that cannot be used.
    """
    if trust.cert_dir is not None and host == registry:
        return certificates_in(trust.cert_dir)
    for folder in trust.cert_folders:
        for name in names_of(host):
            if (folder / name).is_dir():
                return certificates_in(folder / name)
    return Certificates()


class Contexts:
    """The TLS contexts of one registry and of the servers that it sends us to; the same for all threads."""

    def __init__(self, trust: Trust, registry: Origin | None) -> None:
        self._trust = trust
        self._registry = registry
        self._service: Origin | None = None
        self._made: dict[Origin, ssl.SSLContext] = {}
        self._lock = threading.Lock()

    def believe_service(self, service: Origin) -> None:
        """Believe the registry's CAs of its token service too, as docker does.

        Who can pass for the registry gets its logins anyway. Client certificates stay with the registry.
        """
        with self._lock:
            self._service = service

    def of(self, host: Origin) -> ssl.SSLContext:
        """The context for a server. Raises UsageError for certificates that cannot be used."""
        with self._lock:
            if host not in self._made:
                self._made[host] = self._context(host)
            return self._made[host]

    def verified(self, host: Origin) -> bool:
        """Whether a server must show a certificate that we believe."""
        return not set(names_of(host)) & set(self._trust.insecure)

    def _context(self, host: Origin) -> ssl.SSLContext:
        found = certificates_for(host, self._trust, self._registry)
        authorities = found.authorities
        if host == self._service and self._registry is not None:
            authorities += certificates_for(self._registry, self._trust, self._registry).authorities
        if not self.verified(host):
            context = unverified_context()
        elif not authorities and not found.clients:
            return _plain_context(self._trust.roots_file, self._trust.roots_dir)
        else:
            context = _rooted_context(self._trust.roots_file, self._trust.roots_dir)
            for path in authorities:
                _load_authority(context, path)
        for certificate, key in found.clients:
            _load_client(context, certificate, key)
        return context


def unverified_context() -> ssl.SSLContext:
    """A context that believes anybody and shows nothing."""
    context = _bare_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _bare_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificates and host names
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A name that stands in the subject alone is not one (RFC 9110, 4.3.4): no CA has to check that it is a host's.
    context.hostname_checks_common_name = False
    return context


@functools.cache
def _plain_context(roots_file: Path | None, roots_dir: Path | None) -> ssl.SSLContext:
    """The context for whoever has no certificates of its own. There is one: reading the roots takes 40 ms."""
    return _rooted_context(roots_file, roots_dir)


def _rooted_context(roots_file: Path | None, roots_dir: Path | None) -> ssl.SSLContext:
    """A context with the CAs of SSL_CERT_FILE and SSL_CERT_DIR, else the system's, else (where there are none, as in
    many images) those of certifi.
    """
    context = _bare_context()
    if roots_file is not None or roots_dir is not None:
        try:
            context.load_verify_locations(roots_file, roots_dir)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"the CAs in {roots_file or roots_dir} cannot be read: {_reason(error)}",
                hint="check SSL_CERT_FILE and SSL_CERT_DIR",
            ) from error
        return context
    paths = ssl.get_default_verify_paths()
    if paths.cafile or (paths.capath and any(os.scandir(paths.capath))):
        context.load_default_certs()
        return context
    import certifi

    context.load_verify_locations(certifi.where())
    return context


def _load_authority(context: ssl.SSLContext, path: Path) -> None:
    try:
        context.load_verify_locations(path)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"the CA {path} cannot be used: {_reason(error)}", hint="it is a file in PEM form") from error


def _load_client(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        # Without a password of ours OpenSSL would ask for one on the terminal.
        context.load_cert_chain(certificate, key, password=b"")
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"the client certificate {certificate} cannot be used: {_reason(error)}",
            hint="certificate and key are files in PEM form, the key without a passphrase",
        ) from error


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM").replace("_", " ").lower()
    return error.strerror or str(error)
