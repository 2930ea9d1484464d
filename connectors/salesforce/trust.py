"""Whom we talk to: TLS always verified, plain connections only to this machine, no redirects."""

from __future__ import annotations

import ssl
from pathlib import Path
from urllib.parse import urlsplit

from cdc.errors import SettingsError
from cdc.settings_values import is_loopback


def checked_url(url: str, key: str) -> str:
    """The address without a trailing slash. Errors: SettingsError unless https, or http to a loopback address."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))):
        return url.rstrip("/")
    raise SettingsError(
        "this address is not allowed",
        where=f"{key} = {url}",
        do="use an https:// address; http:// is only for a loopback address",
    )


def checked_endpoint(endpoint: str, *, tls: bool) -> str:
    """HOST:PORT of a gRPC service. Errors: SettingsError for a malformed one, or plain text off this machine."""
    host, _, port = endpoint.rpartition(":")
    if not host or not port.isdigit():
        raise SettingsError(
            "this address is not HOST:PORT",
            where=f"pubsub_endpoint = {endpoint}",
            do="write it like api.pubsub.salesforce.com:7443",
        )
    if not tls and not is_loopback(host.strip("[]")):
        raise SettingsError(
            "a plain-text connection is not allowed",
            where=f"pubsub_endpoint = {endpoint}",
            do="set pubsub_tls = true; without TLS only a loopback address is spoken to",
        )
    return endpoint


def tls_context(ca_file: str | Path = "") -> ssl.SSLContext:
    """Verifies against the system's roots and the extra one. Errors: SettingsError when the file is no PEM."""
    context = ssl.create_default_context()
    if not ca_file:
        return context
    try:
        context.load_verify_locations(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"the extra trust root cannot be used: {error.strerror or 'not a PEM certificate'}",
            where=f"ca_file = {ca_file}",
            do="name a file with PEM certificates",
        ) from None
    return context


def pem_roots(ca_file: str | Path = "") -> bytes | None:
    """Trust roots for gRPC, which replaces its own when given any: the system's and the extra one, or None."""
    if not ca_file:
        return None
    certificates = tls_context(ca_file).get_ca_certs(binary_form=True)
    return "".join(ssl.DER_cert_to_PEM_cert(der) for der in certificates).encode("ascii")
