"""What an operator or a fellow admin does to the host by hand: a command line, done to the twin as the command itself
does it. A subset, parsed strictly; the same lines can be run in a shell on a real host."""

from __future__ import annotations

import errno
import os
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from reconciler.host.model import Pf
from reconciler.host.protocol import HostError, NicMatch
from reconciler.host.twin import boot, hugepages, ip_link, kernel, libvirt, modules, networks, services
from reconciler.host.twin.clock import advance
from reconciler.host.twin.errors import CommandFailed, Hangs, LibvirtRefused, failed, invalid, kernel_error
from reconciler.host.twin.ip_link import Usage, netdev
from reconciler.host.twin.state import Twin
from reconciler.state.checks import is_netdev
from reconciler.state.refs import page_size

if TYPE_CHECKING:
    from reconciler.host.twin.host import TwinHost

KNOWN = (
    "ip link set DEV up|down|mtu N|name NAME",
    "ip link set DEV vf N [mac M] [vlan N [qos N] [proto P]] [max_tx_rate N] [min_tx_rate N] [spoofchk on|off] "
    "[trust on|off] [state auto|enable|disable] [query_rss on|off]",
    "ip link add DEV type bridge",
    "ip link delete DEV",
    "echo N > /sys/class/net/DEV/device/sriov_numvfs",
    "echo 0|1 > /sys/class/net/DEV/device/sriov_drivers_autoprobe",
    "echo N > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages",
    "modprobe [-r] MODULE",
    "virsh start|destroy|shutdown|undefine DOMAIN",
    "virsh domrename DOMAIN NAME",
    "virsh net-start|net-destroy|net-undefine NET",
    "virsh net-autostart NET [--disable]",
    "virsh detach-device-alias DOMAIN ALIAS [--live] [--config]",
    "systemctl start|stop|restart libvirtd",
    "systemctl start|stop|enable|disable SERVICE",
    "reboot",
    "pull DEV",
    "cable DEV in|out [SPEED]",
)
"""What can be done."""

_PATH = re.compile(
    r"/sys/(?:class/net/(?P<netdev>[^/]+)/device|bus/(?P<bus>[a-z]+)/devices/(?P<device>[^/]+))"
    r"/(?P<file>sriov_numvfs|sriov_drivers_autoprobe)"
)
_PAGES = re.compile(r"/sys/kernel/mm/hugepages/hugepages-([1-9][0-9]{0,9})kB/nr_hugepages")
_START = 2.0
"""Seconds that ``virsh start`` and ``destroy`` take."""
_PATIENCE = 60.0
"""Seconds after which somebody stops waiting for a command that hangs."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a command. ``errno``: of the kernel, 0 for others; ``message``: what it printed."""

    ok: bool
    errno: int = 0
    message: str = ""


def run(host: TwinHost, command: str | Sequence[str]) -> Result:
    """Does one command. Raises `Usage` (a ValueError) for one that isn't known."""
    words = split(command) if isinstance(command, str) else list(command)
    act = _parse(words)
    known = len(host.twin().log)
    try:
        with host.changing():
            host.do(act)
    except Hangs:
        host.sleep(_PATIENCE)
        return Result(False, errno.ETIMEDOUT, f"{words[0]}: it hangs in the kernel")
    except OSError as error:
        return Result(False, error.errno or 0, _kernel_said(words, error))
    except LibvirtRefused as error:
        return Result(False, 0, "\n".join(f"error: {line}" for line in (_virsh_failed(words), error) if line))
    except CommandFailed as error:
        return Result(False, 0, str(error))
    except HostError as error:
        return Result(False, error.errno, f"{error.summary} {error.detail}".strip())
    return Result(True, message="\n".join(host.twin().log[known:]))


def is_known(command: str) -> bool:
    """Whether it is a command that can be done."""
    try:
        _parse(split(command))
    except Usage:
        return False
    return True


def split(line: str) -> list[str]:
    """Words of a command line, ``>`` a word of its own."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=">")
    lexer.whitespace_split = True
    try:
        return list(lexer)
    except ValueError as error:
        raise Usage(f"{line}: {error}") from None


def _parse(words: list[str]) -> Callable[[Twin], float | None]:
    match words:
        case ["ip", "link", "set", *rest]:
            return ip_link.parse(rest)
        case ["ip", "link", "add", name, "type", "bridge"] if is_netdev(name):
            return partial(_add_bridge, name=name)
        case ["ip", "link", "delete", name] if is_netdev(name):
            return partial(_delete_bridge, name=name)
        case ["echo", value, ">", path] if (pages := _PAGES.fullmatch(path)) is not None and value.isdecimal():
            size = page_size(int(pages[1]))
            return lambda twin: hugepages.set_now(twin, size, int(value))
        case ["echo", value, ">", path]:
            return _echo(value, path)
        case ["modprobe", "-r", module]:
            return partial(_modprobe_remove, module=module)
        case ["modprobe", module] if not module.startswith("-"):
            return lambda twin: modules.load(twin, module)
        case ["virsh", *rest]:
            return _virsh(rest)
        case ["systemctl", ("start" | "stop" | "restart") as what, "libvirtd"]:
            return partial(libvirt.service, what=what)
        case ["systemctl", ("start" | "stop") as what, name] if not name.startswith("-"):
            return partial(services.start if what == "start" else services.stop, name=name)
        case ["systemctl", ("enable" | "disable") as what, name] if not name.startswith("-"):
            return lambda twin: services.set_at_boot(twin, name, what == "enable")
        case ["reboot"]:
            return boot.reboot
        case ["pull", name]:
            return lambda twin: kernel.pull(twin, netdev(twin, name))
        case ["cable", name, ("in" | "out") as where, *speed] if len(speed) < 2:
            rate = ip_link.number(speed[0]) if speed else None
            return lambda twin: kernel.set_cable(twin, netdev(twin, name), where == "in", rate)
    raise Usage(f"{' '.join(words) or 'nothing'}: not something that can be done to a simulated host.")


def _add_bridge(twin: Twin, name: str) -> None:
    if name in twin.bridges or any(name in (pf.netdev, *pf.altnames) for pf in twin.pfs.values()):
        raise kernel_error(errno.EEXIST)
    twin.bridges.append(name)


def _delete_bridge(twin: Twin, name: str) -> None:
    if name not in twin.bridges:
        raise kernel_error(errno.ENODEV)
    twin.bridges.remove(name)


def _modprobe_remove(twin: Twin, module: str) -> float:
    """A module that isn't loaded is fine for modprobe, which is not so for rmmod."""
    if modules.canonical(module) in twin.installed and not modules.is_loaded(twin, module):
        return 0.0
    try:
        return modules.unload(twin, module)
    except CommandFailed as error:
        raise CommandFailed(str(error).replace("rmmod: ERROR:", "modprobe: FATAL:")) from None


def _echo(value: str, path: str) -> Callable[[Twin], float]:
    match = _PATH.fullmatch(path)
    if match is None:
        raise Usage(f"{path}: only sriov_numvfs and sriov_drivers_autoprobe of a PF can be written.")

    def act(twin: Twin) -> float:
        pf = _pf_at(twin, match)
        if not re.fullmatch(r"[0-9]+", value):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if match["file"] == "sriov_numvfs":
            return kernel.set_numvfs(twin, pf.id, int(value))
        if pf.autoprobe is None:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))  # The shell would make the file.
        if value not in ("0", "1"):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return kernel.set_autoprobe(twin, pf.id, value == "1")

    return act


def _pf_at(twin: Twin, match: re.Match[str]) -> Pf:
    for pf in twin.pfs.values():
        if match["netdev"] in (pf.netdev, *pf.altnames) or (match["bus"], match["device"]) == (pf.bus, pf.device):
            return pf
    raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))


def _virsh(words: list[str]) -> Callable[[Twin], float | None]:
    act = _virsh_act(words)

    def asked(twin: Twin) -> float | None:
        if not twin.libvirt.available:
            raise LibvirtRefused(f"failed to connect to the hypervisor: {twin.libvirt.reason}")
        return act(twin)

    return asked


def _virsh_act(words: list[str]) -> Callable[[Twin], float | None]:
    match words:
        case ["start", name]:
            return _taking(_START, partial(libvirt.start, name=name))
        case ["destroy", name]:
            return _taking(_START, partial(libvirt.stop, name=name))
        case ["shutdown", name]:
            return lambda twin: libvirt.shutdown(twin, name)
        case ["undefine", name]:
            return lambda twin: libvirt.undefine(twin, name)
        case ["domrename", name, new]:
            return lambda twin: libvirt.rename(twin, name, new)
        case ["net-start", name]:
            return lambda twin: networks.start(twin, name)
        case ["net-destroy", name]:
            return lambda twin: networks.stop(twin, name)
        case ["net-undefine", name]:
            return lambda twin: networks.undefine(twin, name)
        case ["net-autostart", name, *option] if option in ([], ["--disable"]):
            return lambda twin: networks.set_autostart(twin, name, not option)
        case ["detach-device-alias", name, alias, *options] if set(options) <= {"--live", "--config"}:
            return partial(_detach, name=name, alias=alias, options=options)
    raise Usage(f"virsh {' '.join(words)}: not something that can be done to a simulated host.")


def _taking(seconds: float, act: Callable[[Twin], None]) -> Callable[[Twin], None]:
    """The effect is there when the command returns."""

    def done(twin: Twin) -> None:
        advance(twin, seconds)
        act(twin)

    return done


def _detach(twin: Twin, name: str, alias: str, options: list[str]) -> None:
    """As virDomainDetachDeviceAlias: without an option the running domain, or the definition when it is off."""
    domain = libvirt.domain_of(twin, name)
    live = "--live" in options or (not options and domain.running)
    config = "--config" in options or (not options and not domain.running)
    if live and not domain.running:
        raise invalid("domain is not running")
    for wanted, nics in ((live, domain.live), (config, domain.config)):
        if wanted and not any(nic.alias == alias for nic in nics):
            raise LibvirtRefused(f"device not found: no device found with alias {alias}")
    if live:
        nic = next(nic for nic in domain.live if nic.alias == alias)
        if not libvirt.ask_for(twin, name, nic):
            raise failed(f"device {alias} is already in the process of unplug")
    if config:
        libvirt.detach(twin, name, NicMatch(alias=alias), live=False, config=True)


def _kernel_said(words: list[str], error: OSError) -> str:
    text = os.strerror(error.errno or 0)
    if words[0] == "ip":
        return f"RTNETLINK answers: {text}" if error.errno != errno.ENODEV else f'Cannot find device "{words[3]}"'
    if words[0] == "echo":
        return f"sh: write error: {text}" if error.errno != errno.ENOENT else f"sh: {words[-1]}: {text}"
    return f"{words[0]}: {text}"


def _virsh_failed(words: list[str]) -> str:
    """virsh's first line of an error, where it has one of its own."""
    name = words[2] if len(words) > 2 else ""
    return {
        "start": f"Failed to start domain '{name}'",
        "destroy": f"Failed to destroy domain '{name}'",
        "shutdown": f"Failed to shutdown domain '{name}'",
        "undefine": f"Failed to undefine domain '{name}'",
        "domrename": "",
        "net-start": f"Failed to start network {name}",
        "net-destroy": f"Failed to destroy network {name}",
        "net-undefine": f"Failed to undefine network {name}",
        "net-autostart": f"failed to mark network {name} as autostarted",
        "detach-device-alias": f"Failed to detach device with alias {words[3] if len(words) > 3 else ''}",
    }[words[1]]
