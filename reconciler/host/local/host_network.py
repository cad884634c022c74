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
_WHAT = "host_network"

_NETWORKD, _MANAGER = "systemd-networkd", "NetworkManager"
_TAKEN = ("configuring", "configured", "failed", "linger")
"""ADMIN_STATE of networkd (sd_network_link_get_setup_state(3)) of what it manages."""
_STATE = re.compile(r"^GENERAL\.DEVICE:(?P<name>\S+)\s+GENERAL\.STATE:(?P<state>\d+)", re.MULTILINE)
_UNMANAGED = 10
"""NM_DEVICE_STATE_UNMANAGED; 0 is unknown."""
_SECONDS = 10.0
_MOMENT = 2.0
"""Seconds until networkd has read its files again."""


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
    if not (root / "run/NetworkManager").is_dir() or not _runs(root, _MANAGER):
        return {}
    done = run(["nmcli", "-t", "-f", "GENERAL.DEVICE,GENERAL.STATE", "device", "show"], _SECONDS)
    if done.returncode != 0:
        raise OSError(0, f"nmcli says {done.stderr.strip() or f'exit code {done.returncode}'}")
    return {match["name"]: _MANAGER for match in _STATE.finditer(done.stdout) if int(match["state"]) > _UNMANAGED}


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
    """Replaces both files, for the VFs of these PFs (identities); without any they are removed. Then udev, and networkd
    if it runs, read them, and netdevs that are there already are marked anew."""
    until = time.monotonic() + seconds
    addresses = [identity.partition("/")[2] for identity in sorted(set(pfs))]
    before = _ADDRESS.findall(_own_rules(root))
    rules = "".join(_RULE.format(address=address) for address in addresses)
    replace_own(root, RULES, _WHAT, rules if addresses else None)
    replace_own(root, NETWORK, _WHAT, _NETWORK_BODY if addresses else None)
    names = [name for _, name in _netdevs(root, sorted({*addresses, *before}))]
    if (root / "run/udev/control").exists():
        _command(["udevadm", "control", "--reload"], until)
        if names:
            paths = [f"/sys/class/net/{name}" for name in names]
            _command(["udevadm", "trigger", "--settle", "--action=change", "--", *paths], until)
    try:
        networkd, theirs = _runs(root, _NETWORKD), _by_networkmanager(root)
    except (OSError, NoAnswer) as error:
        why = error.strerror if isinstance(error, OSError) else "no answer in time"
        raise HostError("The host's network could not be told of the VFs.", f"Who manages them: {why}.") from error
    for _, name in _netdevs(root, addresses):
        if name in theirs:  # NetworkManager goes by the mark when an interface appears (seen with 1.52).
            by_keyword = ["ifname", name]  # nmcli knows no ``--``.
            _command(["nmcli", "device", "set", *by_keyword, "managed", "no"], until)
    if networkd:
        _command(["networkctl", "reload"], until)
        _again(root, [name for vf, name in _netdevs(root, addresses)], until)


def _own_rules(root: Path) -> str:
    try:
        return read_own(root, RULES) or ""
    except OSError:
        return ""  # Replacing it says what is wrong with it.


def _again(root: Path, names: Sequence[str], until: float) -> None:
    """networkd may have read its files before udev's mark reached it: then it is asked once more."""
    end = min(until, time.monotonic() + _MOMENT)
    while time.monotonic() < end:
        if not any(_admin_state(root, name) in _TAKEN for name in names):
            return
        time.sleep(0.1)
    left = [name for name in names if _admin_state(root, name) in _TAKEN]
    if left:
        _command(["networkctl", "reconfigure", "--", *left], until)


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
