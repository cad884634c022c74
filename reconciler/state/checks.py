"""What values in documents look like that name parts of a host: so that a document written by hand can say no more than
one that this tool wrote.

A check says what is wrong with a value, and where below it; what it doesn't complain of may be handed to the host. It
takes what a host may have as well as what may be declared: taking a change back brings the former back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from reconciler.state.refs import MAX_INDEX, page_size, page_size_kib
from reconciler.state.spec import ARGUMENT_PATTERN, MAX_PAGES, MAX_RATE, NODE_PATTERN

Problem = tuple[str, str]
"""Where (``.nic.mac``; "" for the value itself), and what is wrong there."""
Check = Callable[[Any], Iterator[Problem]]

_MODULE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,54}")
"""MODULE_NAME_LEN of the kernel is 56 with the final zero (include/linux/module.h)."""
_PCI = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]")
_SERVICE = re.compile(r"[A-Za-z0-9:_.\\-][A-Za-z0-9:_.\\@-]{0,246}")
"""Of a service of systemd without ``.service``: 255 with it (UNIT_NAME_MAX)."""
_PF = re.compile(rf"pci/{_PCI.pattern}|netdevsim/netdevsim[0-9]{{1,10}}")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_ALIAS = re.compile(r"ua-[A-Za-z0-9_-]+")
"""What libvirt takes as a user's alias (src/conf/domain_conf.c, virDomainDeviceAliasIsUserAlias)."""
_NO_NAME = re.compile(r"[\x00-\x1f\x7f/\ud800-\udfff\ufffe\uffff]")
"""No part of a name that libvirt takes: it makes a file of that name, and it stands in XML."""
_NO_NETDEV = re.compile(r"[\x00-\x20\x7f/:]")
"""No part of a netdev's name (net/core/dev.c, dev_valid_name)."""
_MAX_LIBVIRT_NAME = 255
_MAX_NETDEV_NAME = 127
"""ALTIFNAMSIZ - 1: alternative names are the long ones."""
_MAX_BRIDGE_NAME = 15
"""IFNAMSIZ - 1."""
_MAX_MTU = 2**31 - 1
"""The kernel's field is an int; what a card takes is for its driver to say."""
_MAX_VLAN = 4095
"""Declared are 4094 at most; a VF may have been given one more by hand."""


def is_pf(text: str) -> bool:
    """``pci/0000:01:00.0`` or ``netdevsim/netdevsim1``: a bus and a device on it, and no other path."""
    return _PF.fullmatch(text) is not None


def is_pci_address(text: str) -> bool:
    """``0000:01:00.0``."""
    return _PCI.fullmatch(text) is not None


def is_mac(text: str) -> bool:
    """A MAC that a NIC can have, in lower case; the zero one among them."""
    return _MAC.fullmatch(text) is not None and not int(text[:2], 16) & 1


def is_module(text: str) -> bool:
    """A kernel module's name."""
    return _MODULE.fullmatch(text) is not None


def is_argument(text: str) -> bool:
    """An argument of the kernel that can be written to a boot loader's configuration."""
    return re.fullmatch(ARGUMENT_PATTERN, text) is not None


def is_service(text: str) -> bool:
    """The name of a service of systemd, without ``.service``."""
    return _SERVICE.fullmatch(text) is not None and not text.endswith("@")


def is_page_size(text: str) -> bool:
    """A size of huge pages, as it is always written: ``1G`` and not ``1024M``."""
    kib = page_size_kib(text)
    return kib is not None and page_size(kib) == text


def is_libvirt_name(text: str) -> bool:
    """The name of a domain or network."""
    return _NO_NAME.search(text) is None and 0 < len(text.encode()) <= _MAX_LIBVIRT_NAME


def is_netdev(text: str) -> bool:
    """The name, or an alternative name, of a network interface."""
    fits = _NO_NETDEV.search(text) is None and _NO_NAME.search(text) is None and text not in (".", "..")
    return fits and 0 < len(text.encode()) <= _MAX_NETDEV_NAME


# ---------------------------------------------------------------------------- single values


def _text(what: str, fits: Callable[[str], bool]) -> Check:
    def check(value: Any) -> Iterator[Problem]:
        if not isinstance(value, str) or not fits(value):
            yield "", f"{shown(value)} is not {what}"

    return check


def number(what: str, most: int) -> Check:
    """A whole number from 0 on."""

    def check(value: Any) -> Iterator[Problem]:
        if type(value) is not int or not 0 <= value <= most:
            yield "", f"{shown(value)} is not {what}, 0 to {most}"

    return check


def word(*words: str) -> Check:
    """One of a few words."""
    return _text(f"one of {', '.join(words)}", words.__contains__)


def flag(value: Any) -> Iterator[Problem]:
    """True or false."""
    if type(value) is not bool:
        yield "", f"{shown(value)} is not true or false"


PF = _text("a PF such as pci/0000:01:00.0", is_pf)
PCI_ADDRESS = _text("a PCI address such as 0000:01:00.0", is_pci_address)
MAC = _text("a MAC address in lower case that a NIC can have", is_mac)
MODULE = _text("the name of a kernel module", is_module)
ARGUMENT = _text("an argument of the kernel", is_argument)
SERVICE = _text("the name of a service of systemd", is_service)
PAGE_SIZE = _text("a size of huge pages such as 2M", is_page_size)
PAGES = number("a number of huge pages", MAX_PAGES)
DOMAIN = _text("the name of a domain", is_libvirt_name)
NETDEV = _text("the name of a network interface", is_netdev)
BRIDGE = _text("the name of a bridge", lambda text: is_netdev(text) and len(text.encode()) <= _MAX_BRIDGE_NAME)
POOL = _text("the name of a network of libvirt", is_libvirt_name)
ALIAS = _text("a user's alias of libvirt such as ua-rec-data", lambda text: _ALIAS.fullmatch(text) is not None)
INDEX = number("the index of a VF", MAX_INDEX)
COUNT = number("a number of VFs", MAX_INDEX)
MTU = number("an MTU", _MAX_MTU)
VLAN = number("a VLAN", _MAX_VLAN)
ROOT_PORTS = number("a number of PCIe root ports", 255)
BUS = number("the index of a PCI controller", 255)
DRIVER = word("none", "vfio-pci", "kernel")


def shown(value: Any) -> str:
    """A value on a line, shortened."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**20:
        return "a huge number"
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    text = repr(value[:80]) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:59] + "…"


# ---------------------------------------------------------------------------- what is made of them


def nothing_or(check: Check) -> Check:
    """The same, or null."""
    return lambda value: iter(()) if value is None else check(value)


def each(check: Check) -> Check:
    """A list of such values."""

    def check_each(value: Any) -> Iterator[Problem]:
        if not isinstance(value, list):
            yield "", f"{shown(value)} is not a list"
            return
        for place, item in enumerate(value):
            yield from _below(f".{place}", check(item))

    return check_each


def pages(value: Any) -> Iterator[Problem]:
    """Huge pages of the host, or by NUMA node."""
    if not isinstance(value, dict):
        yield from PAGES(value)
        return
    for node, count in value.items():
        if not re.fullmatch(NODE_PATTERN, node):
            yield f".{shown(node)}", "this is no NUMA node"
        yield from _below(f".{node}", PAGES(count))


def vf(value: Any) -> Iterator[Problem]:
    """``[PF identity, index]``."""
    if not isinstance(value, list) or len(value) != 2:
        yield "", f"{shown(value)} is not a PF and an index"
        return
    yield from _below(".0", PF(value[0]))
    yield from _below(".1", INDEX(value[1]))


def table(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None, *, least: int = 0) -> Check:
    """A table with these keys and no others, and at least so many of the optional ones."""
    known = {**required, **(optional or {})}

    def check(value: Any) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield "", f"{shown(value)} is not a table"
            return
        for name in required:
            if name not in value:
                yield f".{name}", "it is missing"
        if len(value) < len(required) + least:
            yield "", f"it has none of {', '.join(optional or {})}"
        for name, item in value.items():
            if name in known:
                yield from _below(f".{name}", known[name](item))
            else:
                yield f".{shown(name)}", "there is no such argument"

    return check


def either(**tables: Check) -> Check:
    """One of several tables, told apart by a key that only it has."""

    def check(value: Any) -> Iterator[Problem]:
        found = [name for name in tables if isinstance(value, dict) and name in value]
        if len(found) == 1:
            yield from tables[found[0]](value)
        else:
            yield "", f"it has not exactly one of {', '.join(tables)}"

    return check


def _below(place: str, problems: Iterator[Problem]) -> Iterator[Problem]:
    return ((f"{place}{rest}", text) for rest, text in problems)


# ---------------------------------------------------------------------------- attributes of a VF


_ATTRIBUTES: dict[str, Check] = {
    "mac": MAC,
    "vlan": VLAN,
    "qos": number("a priority", 7),
    "vlan_proto": word("802.1Q", "802.1ad"),
    "spoofchk": flag,
    "trust": flag,
    "link_state": word("auto", "enable", "disable"),
    "min_tx_rate": number("a rate in Mbit/s", MAX_RATE),
    "max_tx_rate": number("a rate in Mbit/s", MAX_RATE),
    "query_rss": flag,
}
ATTRIBUTES = table({}, _ATTRIBUTES)
"""Attributes that a VF has."""
SOME_ATTRIBUTES = table({}, _ATTRIBUTES, least=1)
"""Attributes to be written."""
