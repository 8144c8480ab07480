"""By which authorities the certificates of origins are judged."""

import ssl
from collections.abc import Iterable
from pathlib import Path

import certifi

from nezha.errors import SettingsError
from nezha.settings import OriginSettings


def contexts(origins: Iterable[OriginSettings]) -> dict[Path | None, ssl.SSLContext]:
    """A context for each `ca_file`; None stands for the system's authorities. Raises SettingsError."""
    return {origin.ca_file: _context(origin.ca_file, origin.name) for origin in origins}


def _context(ca_file: Path | None, name: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        if ca_file is None and not context.cert_store_stats()["x509_ca"]:
            context.load_verify_locations(certifi.where())  # a slim image without the system's roots
    except OSError as error:
        raise SettingsError(f"origins.{name}.ca_file: {ca_file}: {error.strerror or error}") from error
    context.set_alpn_protocols(["http/1.1"])
    return context
