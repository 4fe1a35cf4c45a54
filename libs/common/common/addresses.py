"""Network addresses in one form, so that rules about them compare equal things."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address


@lru_cache(maxsize=1024)
def normalize_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address that `text` names, None for an unreadable one.

    IPv4 mapped into IPv6, as dual-stack sockets show it, becomes IPv4; a zone of IPv6 is left out.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))
    return address
