"""Single values of the state file: names, MAC addresses, PCI addresses and ids, checked and normalised.

Each function reports what is wrong and then returns None (or False): the caller goes on without the value.
"""

from __future__ import annotations

import re

from reconciler.state.desired import ZERO_MAC
from reconciler.state.findings import Findings
from reconciler.state.positions import Path
from reconciler.state.refs import PF_NAME_PATTERN
from reconciler.state.shape import show
from reconciler.state.spec import (
    ARGUMENT_PATTERN,
    HOST_PATTERN,
    MAC_PATTERN,
    MODULE_PATTERN,
    PCI_ID_PATTERN,
    PCI_PATTERN,
    SERVICE_PATTERN,
)

_SEPARATORS = re.compile(r"[:.\-\s]")
_TWELVE = re.compile(r"[0-9A-Fa-f]{12}")
_MAX_LIBVIRT_NAME = 255
"""Bytes: libvirt makes a file of that name."""
_MAX_NETDEV_NAME = 127
"""ALTIFNAMSIZ - 1: alternative names are the long ones."""
_MAX_BRIDGE_NAME = 15
"""IFNAMSIZ - 1."""
_MAX_NIC_KEY = 64
_MAX_HOST_NAME = 253
_MAX_UNIT_NAME = 255
_OTHER_UNITS = ["socket", "timer", "path", "target", "mount", "automount", "swap", "slice", "scope", "device"]


def read_mac(findings: Findings, key: Path, text: str, *, none: bool = True) -> str | None:
    """A MAC address in lower case; ``none`` says whether the word "none" (the zero MAC) is allowed."""
    if none and text == "none":
        return ZERO_MAC
    if not re.fullmatch(MAC_PATTERN, text):
        findings.error(key, "invalid-mac", f"{show(text)} is not of the form 52:54:00:6d:90:00{_meant(text)}.")
        return None
    mac = text.lower()
    if mac == ZERO_MAC:
        hint = 'write "none" if the guest is to choose its own' if none else "no card has it"
        findings.error(key, "zero-mac", f"{text}: {hint}.")
        return None
    if int(mac[:2], 16) & 1:
        findings.error(key, "multicast-mac", f"{text}: the first byte, {mac[:2]}, has to be even.")
        return None
    return mac


def _meant(text: str) -> str:
    digits = _SEPARATORS.sub("", text)
    if text.strip().lower() == "none":
        return ': write "none"'
    if not _TWELVE.fullmatch(digits):
        return ""
    pairs = (digits[start : start + 2].lower() for start in range(0, 12, 2))
    return f': write "{":".join(pairs)}"'


def read_pci_address(findings: Findings, key: Path, text: str) -> str | None:
    """``0000:3b:00.0`` in lower case; the domain may be left out. ``netdevsim1`` is taken as it is."""
    if not re.fullmatch(PCI_PATTERN, text):
        findings.error(key, "invalid-id", f'{show(text)} is not of the form "0000:3b:00.0".')
        return None
    if text.startswith("netdevsim"):
        return text
    return (text if text.count(":") == 2 else f"0000:{text}").lower()


def read_pci_id(findings: Findings, key: Path, text: str) -> str | None:
    """A vendor or device id: four hex digits in lower case, without 0x."""
    if not re.fullmatch(PCI_ID_PATTERN, text):
        findings.error(key, "invalid-id", f'{show(text)} is not an id of four hex digits, such as "8086".')
        return None
    return text.lower().removeprefix("0x")


def check_pf_name(findings: Findings, key: Path, name: str) -> bool:
    """The logical name of a PF: it stands in references before a slash."""
    form = "letters, digits, - and _, at most 63, and begins with a letter or digit"
    return _check(findings, key, name, re.fullmatch(PF_NAME_PATTERN, name), f"a PF's name has {form}")


def check_module(findings: Findings, key: Path, name: str) -> bool:
    """The name of a kernel module."""
    return _check(
        findings,
        key,
        name,
        re.fullmatch(MODULE_PATTERN, name),
        "a module's name has letters, digits, - and _",
    )


def check_host_name(findings: Findings, key: Path, name: str) -> bool:
    """The name of a machine, short or with its domain."""
    fits = len(name) <= _MAX_HOST_NAME and re.fullmatch(HOST_PATTERN, name)
    return _check(findings, key, name, fits, "a host name has letters, digits, -, _ and dots")


def check_netdev(findings: Findings, key: Path, name: str) -> bool:
    """The name of a network interface, or an alternative name of one."""
    fits = (
        0 < len(name.encode()) <= _MAX_NETDEV_NAME
        and "/" not in name
        and not any(sign.isspace() for sign in name)
        and not _has_control(name)
        and name not in (".", "..")
    )
    form = f"an interface's name has 1 to {_MAX_NETDEV_NAME} bytes, no slash, space or control character"
    return _check(findings, key, name, fits, form)


def check_bridge(findings: Findings, key: Path, name: str) -> bool:
    """The name of a bridge: libvirt takes no alternative names, which are longer."""
    if not check_netdev(findings, key, name):
        return False
    form = f"a bridge's name has at most {_MAX_BRIDGE_NAME} bytes"
    return _check(findings, key, name, len(name.encode()) <= _MAX_BRIDGE_NAME, form)


def check_libvirt_name(findings: Findings, key: Path, name: str) -> bool:
    """The name of a domain or network, as libvirt takes it."""
    fits = (
        0 < len(name.encode()) <= _MAX_LIBVIRT_NAME
        and "/" not in name
        and name == name.strip()
        and not _has_control(name)
    )
    form = f"a libvirt name has 1 to {_MAX_LIBVIRT_NAME} bytes, no slash, no control character and no space at its ends"
    return _check(findings, key, name, fits, form)


def check_nic_key(findings: Findings, key: Path, name: str) -> bool:
    """The name of a NIC within its domain."""
    fits = 0 < len(name) <= _MAX_NIC_KEY and not _has_control(name)
    return _check(
        findings, key, name, fits, f"a NIC's name has 1 to {_MAX_NIC_KEY} characters and no control character"
    )


def check_service(findings: Findings, key: Path, name: str) -> bool:
    """The name of a service of systemd, without ``.service``."""
    if name.rpartition(".")[2] in _OTHER_UNITS:
        findings.error(key, "invalid-name", f"{show(name)} is no service, and only services can be declared here.")
        return False
    if name.endswith("@"):
        findings.error(key, "invalid-name", f'{show(name)} is a template: name an instance of it, such as "{name}1".')
        return False
    fits = re.fullmatch(SERVICE_PATTERN, name) and len(name) + len(".service") <= _MAX_UNIT_NAME
    fits = fits and not name.startswith("@")
    return _check(findings, key, name, fits, "a service's name has letters, digits, and : - _ . \\ @")


_SYSTEM = frozenset(
    {
        *("root", "rootflags", "rootfstype", "rootwait", "rootdelay", "ro", "rw", "resume", "resume_offset", "ostree"),
        *("init", "rdinit", "initrd", "noinitrd", "BOOT_IMAGE", "single", "emergency", "rescue", "mount.usr"),
        *("systemd.unit", "systemd.machine_id", "rd.break", "rd.luks.uuid", "rd.lvm.lv", "rd.md.uuid"),
    }
)
"""Kernel arguments that say which system is started, and how (Documentation/admin-guide/kernel-parameters.txt,
kernel-command-line(7), dracut.cmdline(7)): the installation's to say, and different on each host."""


def check_argument(findings: Findings, key: Path, argument: str) -> bool:
    """An argument of the kernel that this tool may have it started with."""
    detail = ""
    if re.search(r"\s", argument.strip()):
        detail = "write each argument as an entry of its own."
    elif not re.fullmatch(ARGUMENT_PATTERN, argument):
        detail = (
            "it begins with a letter, a digit or _, and goes on with these and . , : = + @ % / - (255 characters at "
            "most); anything else would mean something to the boot loader's shell."
        )
    elif argument.partition("=")[0].replace("-", "_") in _SYSTEM or argument in ("1", "2", "3", "4", "5"):
        detail = "it says which system is started, and how: leave it to the boot loader's own configuration."
    if detail:
        findings.error(key, "invalid-argument", f"{show(argument)}: {detail}")
    return not detail


def same_module(name: str) -> str:
    """The kernel takes ``-`` and ``_`` in a module's name for the same."""
    return name.replace("-", "_")


def _check(findings: Findings, key: Path, name: str, fits: object, form: str) -> bool:
    if not fits:
        findings.error(key, "invalid-name", f"{show(name)}: {form}.")
    return bool(fits)


def _has_control(text: str) -> bool:
    """C0, DEL, C1, and the two separators that some programs take for a line's end."""
    return any(sign < " " or "\x7f" <= sign <= "\x9f" or sign in "\u2028\u2029" for sign in text)
