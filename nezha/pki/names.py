"""Names in certificates: the one spelling of each, and what a CA may sign for.

What limits a CA (RFC 5280 4.2.1.10, critical): a kind of name without any constraint is *allowed*, therefore each
kind gets one. Names and addresses: exactly those configured. E-mail and URI: excluding the empty name, the obvious
way, excludes nothing in OpenSSL (its empty constraint matches no name), and Java cannot even read it; permitting only
a name that cannot exist refuses all others in OpenSSL, Go and webpki. `tests/real/test_name_constraints.py` asks each.
GnuTLS leaves URI names unchecked, BoringSSL refuses addresses even where they are permitted, and Java does not apply
the constraints of a trust anchor at all.
"""

from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from cryptography import x509

from nezha.errors import SettingsError

NOBODY = "nezha.invalid"
"""Permitted where nothing is to be: no host can have it (RFC 6761 6.4)."""


def normalize(name: str) -> str:
    """The one spelling of a host: lower case, no trailing dot, IP literals in their canonical form."""
    name = name.lower().removesuffix(".")
    return str(as_address(name) or name)


def as_address(name: str) -> IPv4Address | IPv6Address | None:
    """`name` as an IP literal, or None where it is a DNS name."""
    try:
        return ip_address(name)
    except ValueError:
        return None


def general_name(name: str) -> x509.GeneralName:
    """A host as certificates write it. Raises SettingsError where none can hold it."""
    name = normalize(name)
    address = as_address(name)
    if address is not None:
        return x509.IPAddress(address)
    try:
        return x509.DNSName(name)
    except ValueError as error:
        raise SettingsError(f"origins: {name!r} is no name for a certificate: write it in its ASCII form") from error


def constraints(names: Collection[str]) -> x509.NameConstraints:
    """What a CA for `names` may sign for; in one order, so that equal names give equal constraints."""
    hosts = sorted({normalize(name) for name in names})
    addresses = [address for address in map(as_address, hosts) if address is not None]
    dns = [general_name(host) for host in hosts if as_address(host) is None]
    permitted: list[x509.GeneralName] = [
        *(dns or [x509.DNSName(NOBODY)]),
        *(x509.IPAddress(ip_network(address)) for address in addresses),
        x509.RFC822Name(NOBODY),
        x509.UniformResourceIdentifier(NOBODY),
    ]
    everywhere = [x509.IPAddress(ip_network(network)) for network in ("0.0.0.0/0", "::/0")]
    return x509.NameConstraints(permitted, None if addresses else everywhere)
