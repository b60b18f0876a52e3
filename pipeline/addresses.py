"""Which addresses a link may lead to: `check_address` refuses what is not the open web, and a `Guard`
holds every connection of a thread to that, redirects and names that change their address included.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pipeline.errors import SourceRefused, SourceUnavailable

Resolver = Callable[..., Any]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")


def check_address(url: str, resolver: Resolver = socket.getaddrinfo, allow_private: bool = False) -> None:
    """Return when the link leads to the open web, by http or https; `SourceRefused` otherwise.

    Every address that the host's name stands for has to be public. A name without an address is
    `SourceUnavailable`.
    """
    host, port = _host_and_port(url)
    if allow_private:
        return
    try:
        found = resolver(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SourceUnavailable(
            f"No server is known as “{host}”. Check the link and the internet connection."
        ) from error
    for *_, address in found:
        if not is_public(address[0]):
            raise _refused(host)


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the open internet, also when it is wrapped in another.

    >>> is_public("93.184.216.34"), is_public("10.0.0.1"), is_public("::ffff:169.254.169.254")
    (True, False, False)
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return all(
        one.is_global and not (one.is_multicast or one.is_reserved or one.is_unspecified)
        for one in _unwrapped(ip)
    )


def _unwrapped(ip: Address) -> Iterator[Address]:
    """The address itself and every IPv4 address that it carries within."""
    if isinstance(ip, ipaddress.IPv4Address):
        yield ip
        return
    carried = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
    if ip in _NAT64 or ip in _COMPATIBLE:
        carried.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    found = [one for one in carried if one is not None]
    yield from found
    if ip.ipv4_mapped is None and ip not in _NAT64:
        yield ip


def _host_and_port(url: str) -> tuple[str, int]:
    try:
        parts = urllib.parse.urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise SourceRefused("This is not a link. Copy the whole address from the browser.") from error
    if parts.scheme.lower() not in ("http", "https"):
        raise SourceRefused("Only links that begin with http:// or https:// can be added.")
    if not host or any(ord(letter) <= 32 for letter in url.strip()):
        raise SourceRefused("This is not a link. Copy the whole address from the browser.")
    return host, port or (443 if parts.scheme.lower() == "https" else 80)


def _refused(host: str) -> SourceRefused:
    return SourceRefused(
        f"The link leads to “{host}”, an address inside a private network, which is not allowed. "
        "Add the file itself instead."
    )


class Guard:
    """What the connections of one thread may reach. `refusal` keeps the first refused one.

    `exempt` are `(address, port)` pairs that may be reached in any case: the proxies of this machine.
    """

    def __init__(
        self,
        allow_private: bool = False,
        resolver: Resolver = socket.getaddrinfo,
        exempt: frozenset[tuple[str, int]] = frozenset(),
    ) -> None:
        self.refusal: SourceRefused | None = None
        self._allow_private = allow_private
        self._resolver = resolver
        self._exempt = exempt

    def check(self, url: str) -> None:
        """As `check_address`."""
        host, port = self._noted(lambda: _host_and_port(url))
        if (host, port) not in self._exempt:
            self._noted(lambda: check_address(url, self._resolver, self._allow_private))

    def check_connection(self, address: Any) -> None:
        """Refuse the connection that a socket of this thread is about to make."""
        if self._allow_private or not isinstance(address, tuple) or tuple(address[:2]) in self._exempt:
            return
        if not is_public(str(address[0])):
            self.refusal = self.refusal or _refused(str(address[0]))
            raise self.refusal

    def _noted(self, check: Callable[[], Any]) -> Any:
        try:
            return check()
        except SourceRefused as error:
            self.refusal = self.refusal or error
            raise

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Hold every connection that this thread makes within the block to the rules."""
        _install_hook()
        before = getattr(_here, "guard", None)
        _here.guard = self
        try:
            yield
        finally:
            _here.guard = before


_here = threading.local()
_installing = threading.Lock()
_installed = False


def _install_hook() -> None:
    """Python tells its audit hooks each connection with the address itself, after the name was looked
    up: a name cannot change its meaning in between, and no library can go around it."""
    global _installed
    with _installing:
        if not _installed:
            sys.addaudithook(_on_event)
            _installed = True


def _on_event(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and (guard := getattr(_here, "guard", None)) is not None:
        guard.check_connection(arguments[1])


def proxy_addresses() -> frozenset[tuple[str, int]]:
    """The proxies that this machine is set to use, by every address that they have."""
    found = set()
    for proxy in urllib.request.getproxies().values():
        with suppress(OSError, ValueError):
            parts = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
            if parts.hostname:
                port = parts.port or (443 if parts.scheme == "https" else 80)
                found.add((parts.hostname, port))
                for *_, address in socket.getaddrinfo(parts.hostname, port):
                    found.add((str(address[0]), port))
    return frozenset(found)
