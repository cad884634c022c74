"""Keeps NetworkManager and systemd-networkd off the netdevs of VFs, by two files of our own.

A udev rule marks every netdev whose device is a VF of a listed PF, whatever its name and whenever it appears:
NetworkManager leaves alone what has ``NM_UNMANAGED`` (its own 85-nm-unmanaged.rules use it), and networkd, to which a
.network file says so, what has a property of ours (``Property=`` of systemd.network(5), since 243). A list of names or
of drivers would miss VFs that are renamed, or take those of other PFs along. The rule holds for each action but
``remove``: a VF that comes back from another network namespace is a ``move``.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from reconciler.host.local.child import NoAnswer, run
from reconciler.host.local.own_files import read_own, replace_own
from reconciler.host.local.systemd import booted
from reconciler.host.model import HostNetwork, Pf
from reconciler.host.protocol import HostError

RULES = "etc/udev/rules.d/60-reconciler.rules"
NETWORK = "etc/systemd/network/00-reconciler.network"
"""Of the .network files that match, the first by name counts."""
_PROPERTY = "RECONCILER_HOST_NETWORK"
_RULE = (
    'ACTION!="remove", SUBSYSTEM=="net", ATTR{{device/physfn/uevent}}=="*PCI_SLOT_NAME={address}*", '
    f'ENV{{{{{_PROPERTY}}}}}="ignore", ENV{{{{NM_UNMANAGED}}}}="1"\n'
)
_NETWORK_BODY = f"[Match]\nProperty={_PROPERTY}=ignore\n\n[Link]\nUnmanaged=yes\n"
_ADDRESS = re.compile(r'PCI_SLOT_NAME=([0-9a-f:.]+)\*"')
_HAD = "# NetworkManager had these VFs of {address}: {vfs}\n"
_HAD_LINE = re.compile(r"^# NetworkManager had these VFs of (?P<pf>[0-9a-f:.]+): (?P<vfs>[0-9a-f:. ]+)$", re.MULTILINE)
"""Who has to get them back; in the file of rules, where a killed run or a new boot doesn't lose it."""
_WHAT = "host_network"

_NETWORKD, _MANAGER = "systemd-networkd", "NetworkManager"
_TAKEN = ("configuring", "configured", "failed", "linger")
"""ADMIN_STATE of networkd (sd_network_link_get_setup_state(3)) of what it manages."""
_STATE = re.compile(r"^GENERAL\.DEVICE:(?P<name>\S+)\s+GENERAL\.STATE:(?P<state>\d+)", re.MULTILINE)
_UNMANAGED = 10
"""NM_DEVICE_STATE_UNMANAGED; 0 is unknown."""
_SECONDS = 10.0
_MOMENT = 2.0
"""Seconds until networkd has heard of a mark, or has read its files."""


def read_host_network(root: Path, pfs: Mapping[str, Pf], notes: list[str]) -> HostNetwork:
    """Which PFs our own files are about, and who manages netdevs of VFs all the same."""
    found = HostNetwork()
    try:
        rules, network = read_own(root, RULES), read_own(root, NETWORK)
    except OSError as error:
        notes.append(f"Our own files for the host's network can't be read: {error.filename}: {error.strerror}.")
        return found
    whole = network is not None and network.endswith(_NETWORK_BODY)
    listed = _ADDRESS.findall(rules or "") if whole else []
    found.ignored = sorted({f"pci/{address}" for address in listed})
    netdevs = dict(_netdevs(root, [pf.device for pf in pfs.values() if pf.bus == "pci"]))
    if netdevs:
        try:
            managers = {**_by_networkd(root, netdevs.values()), **_by_networkmanager(root)}
        except (OSError, NoAnswer) as error:
            why = error.strerror if isinstance(error, OSError) else "no answer in time"
            notes.append(f"Who manages the interfaces of VFs is not known: {why}.")
            return HostNetwork()
        found.managed = {vf: managers[name] for vf, name in netdevs.items() if name in managers}
    return found


def _netdevs(root: Path, pfs: Sequence[str]) -> Iterator[tuple[str, str]]:
    """PCI address and netdev of each VF of these PFs that has one."""
    devices = root / "sys/bus/pci/devices"
    for pf in pfs:
        with contextlib.suppress(OSError):  # A PF that is just gone has none.
            for link in sorted(name for name in os.listdir(devices / pf) if name.startswith("virtfn")):
                with contextlib.suppress(OSError):  # Nor a VF without a driver.
                    names = os.listdir(devices / pf / link / "net")
                    address = os.path.basename(os.readlink(devices / pf / link))
                    yield from ((address, name) for name in sorted(names)[:1])


def _by_networkd(root: Path, names: Iterable[str]) -> dict[str, str]:
    """Netdevs that networkd has configured, or is about to; its files stay when it is stopped."""
    taken = {name: _NETWORKD for name in names if _admin_state(root, name) in _TAKEN}
    return taken if taken and _runs(root, _NETWORKD) else {}


def _admin_state(root: Path, name: str) -> str:
    try:
        index = (root / "sys/class/net" / name / "ifindex").read_text().strip()
        lines = (root / "run/systemd/netif/links" / index).read_text(errors="replace").splitlines()
    except OSError:
        return ""  # It doesn't run, or has not seen it yet.
    return next((line.partition("=")[2] for line in lines if line.startswith("ADMIN_STATE=")), "")


def _by_networkmanager(root: Path) -> dict[str, str]:
    return {name: _MANAGER for name, state in _networkmanager_states(root).items() if state > _UNMANAGED}


def _networkmanager_states(root: Path) -> dict[str, int]:
    """Of each interface that it knows; none when it doesn't run."""
    if not (root / "run/NetworkManager").is_dir() or not _runs(root, _MANAGER):
        return {}
    done = run(["nmcli", "-t", "-f", "GENERAL.DEVICE,GENERAL.STATE", "device", "show"], _SECONDS)
    if done.returncode != 0:
        raise OSError(0, f"nmcli says {done.stderr.strip() or f'exit code {done.returncode}'}")
    return {match["name"]: int(match["state"]) for match in _STATE.finditer(done.stdout)}


def _runs(root: Path, service: str) -> bool:
    """Raises OSError, NoAnswer when systemd doesn't say."""
    if not booted(root):
        return False
    done = run(["systemctl", "is-active", "--", f"{service}.service"], _SECONDS)
    if not done.stdout.strip():
        raise OSError(0, f"systemctl says {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout.strip() in ("active", "reloading", "refreshing")


# ---------------------------------------------------------------------------- writing


def write_host_network(root: Path, pfs: Sequence[str], seconds: float) -> None:
    """Replaces both files, for the VFs of these PFs (identities); without any they are removed. Then udev reads them,
    and netdevs that are there already are marked anew; NetworkManager and networkd let go of those that they have, and
    get back those of PFs that are not listed any more."""
    until = time.monotonic() + seconds
    listed = [identity.partition("/")[2] for identity in sorted(set(pfs))]
    rules, is_known = _own(root, RULES), _own(root, NETWORK).endswith(_NETWORK_BODY)
    dropped = sorted({*_ADDRESS.findall(rules)} - {*listed})
    networkd, states = _who_runs(root)
    had = {match["pf"]: set(match["vfs"].split()) for match in _HAD_LINE.finditer(rules)}
    for pf in listed:
        vfs = {vf for vf, name in _netdevs(root, [pf]) if states.get(name, 0) > _UNMANAGED}
        had[pf] = had.get(pf, set()) | vfs
    replace_own(root, RULES, _WHAT, "".join(_rules_of(pf, had[pf]) for pf in listed) if listed else None)
    replace_own(root, NETWORK, _WHAT, _NETWORK_BODY if listed else None)
    _mark_anew(root, [*listed, *dropped], until)
    for _, name in _netdevs(root, listed):
        if states.get(name, 0) > _UNMANAGED:  # It goes by the mark when an interface appears (seen with 1.52).
            _set_managed(name, "no", until)
    for pf in dropped:
        for vf, name in _netdevs(root, [pf]):
            if vf in had.get(pf, ()) and states.get(name) == _UNMANAGED:
                _set_managed(name, "yes", until)
    if networkd:
        _tell_networkd(root, listed, dropped, is_known, until)


def _own(root: Path, path: str) -> str:
    try:
        return read_own(root, path) or ""
    except OSError:
        return ""  # Replacing it says what is wrong with it.


def _who_runs(root: Path) -> tuple[bool, dict[str, int]]:
    """Whether networkd does, and the states of NetworkManager's interfaces. Asked before anything is written."""
    try:
        return _runs(root, _NETWORKD), _networkmanager_states(root)
    except (OSError, NoAnswer) as error:
        why = error.strerror if isinstance(error, OSError) else "no answer in time"
        raise HostError("The host's network could not be told of the VFs.", f"Who manages them: {why}.") from error


def _rules_of(pf: str, had: set[str]) -> str:
    return (_HAD.format(address=pf, vfs=" ".join(sorted(had))) if had else "") + _RULE.format(address=pf)


def _mark_anew(root: Path, pfs: Sequence[str], until: float) -> None:
    if not (root / "run/udev/control").exists():
        return
    _command(["udevadm", "control", "--reload"], until)
    paths = [f"/sys/class/net/{name}" for _, name in _netdevs(root, pfs)]
    if paths:
        _command(["udevadm", "trigger", "--settle", "--action=change", "--", *paths], until)


def _set_managed(name: str, managed: str, until: float) -> None:
    """nmcli knows no ``--``, and takes what stands behind a keyword for its value."""
    by_keyword = ["ifname", name, "managed", managed]
    _command(["nmcli", "device", "set", *by_keyword], until)


def _tell_networkd(root: Path, listed: Sequence[str], dropped: Sequence[str], is_known: bool, until: float) -> None:
    """networkd reads one file only with all others, also what an administrator has written and not put into force yet.
    So it is told to only when our file, which is the same for any PFs, is new to it; else it is asked about VFs alone.
    udev's mark may reach it a moment later: who it still has then, or has not taken back, is asked about once more."""
    names, back = ([name for _, name in _netdevs(root, pfs)] for pfs in (listed, dropped))
    if listed and not is_known:
        _command(["networkctl", "reload"], until)
    if back:
        _command(["networkctl", "reconfigure", "--", *back], until)
    end = min(until, time.monotonic() + _MOMENT)
    while (names or back) and time.monotonic() < end:
        left, out = _taken(root, names), [name for name in back if name not in _taken(root, back)]
        if not left and not out:
            return
        time.sleep(0.1)
    left, out = _taken(root, names), [name for name in back if name not in _taken(root, back)]
    if left and is_known:  # It was there, and networkd has not read it all the same.
        _command(["networkctl", "reload"], until)
    if left or out:
        _command(["networkctl", "reconfigure", "--", *left, *out], until)


def _taken(root: Path, names: Sequence[str]) -> list[str]:
    return [name for name in names if _admin_state(root, name) in _TAKEN]


def _command(argv: Sequence[str], until: float) -> None:
    shown = " ".join(argv[:3])
    try:
        done = run(argv, max(0.1, until - time.monotonic()))
    except FileNotFoundError as error:
        raise HostError("A command is missing.", f"{argv[0]} is not installed (package systemd or udev).") from error
    except NoAnswer as error:
        raise HostError(
            "A command did not end in time.", f"{shown} did not end in time. It may still be at it."
        ) from error
    if done.returncode != 0:
        said = done.stderr.strip().replace("\n", "; ") or f"exit code {done.returncode}"
        denied = "denied" in said or "not permitted" in said
        raise HostError(
            "The host's network could not be told of the VFs.", f"{shown}: {said}.", code=77 if denied else 1
        )
