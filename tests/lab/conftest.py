"""Fixtures of the lab's tests: one lab for the whole run, and a clean host for each module that asks for it.

What a test checks, it reads here from the kernel with `ip` and /sys and from libvirt with `virsh`, never with
the tool's own code.
"""

import difflib
import json
import os
import re
import shlex
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab.machinery.core import Lab
from tests.lab.machinery.errors import LabError

HERE = Path(__file__).resolve().parent
FILES = HERE / "files"
WORK = "/root/files"
"""Where tests put their files in the lab."""

READY = "ready"
"""The snapshot that tests start from: the lab's clean host, with the checkout's code in it and in its page cache."""

OBSERVED = r"""
cat /proc/modules | cut -d' ' -f1 | sort
for file in /etc/modprobe.d/*; do [ ! -e "$file" ] || { echo "$file"; cat "$file"; }; done
ip -d -j link
for device in /sys/bus/pci/devices/*/sriov_numvfs; do
    echo "$device $(cat "$device") $(cat "${device%numvfs}drivers_autoprobe")"
done
for device in /sys/bus/pci/devices/*; do
    echo "$device $(readlink "$device/driver") $(cat "$device/driver_override")"
done
virsh net-list --all; virsh list --all
for net in $(virsh net-list --all --name); do virsh net-dumpxml "$net"; virsh net-info "$net"; done
for guest in $(virsh list --all --name); do virsh dumpxml "$guest"; virsh dumpxml --inactive "$guest"; done
"""


@dataclass(frozen=True)
class Ran:
    """What a run of the tool came to."""

    command: str
    code: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        """Everything that it said."""
        return self.stdout + self.stderr

    @property
    def json(self) -> Any:
        """Its result as JSON."""
        return json.loads(self.stdout)

    def expect(self, code: int) -> "Ran":
        """Itself, if it ended with this exit code and without a traceback."""
        assert self.code == code, f"{self.command}: exit code {self.code}, expected {code}\n{self.text}"
        assert "Traceback" not in self.text, f"{self.command}:\n{self.text}"
        return self

    def says(self, *parts: str) -> "Ran":
        """Itself, if each of these stands somewhere in what it said; line breaks count as blanks."""
        text = " ".join(self.text.split())
        for part in parts:
            assert part in text, f"{self.command}: it should say {part!r}, and says:\n{self.text}"
        return self


class Host:
    """The host in the lab, as an operator at its shell sees it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def sh(self, command: str, *, check: bool = True, timeout: float = 180, input: str | None = None) -> str:
        """What a command of the lab's shell says on stdout."""
        return self.lab.run(command, timeout, check, input).stdout

    def put(self, name: str, content: str | None = None) -> str:
        """Puts a file into the lab, by default the one of that name from tests/lab/files; returns its path."""
        text = (FILES / name).read_text() if content is None else content
        path = f"{WORK}/{name}"
        self.sh(f"cat >{shlex.quote(path)}", input=text)
        return path

    def reconciler(self, arguments: str, *, prefix: str = "", timeout: float = 240, input: str | None = None) -> Ran:
        """Runs the tool in the folder of the tests' files, without a terminal. `prefix` is a command that runs it."""
        command = f"{prefix} reconciler {arguments}".strip()
        done = self.lab.run(f"cd {WORK} && {command}", timeout, check=False, input=input)
        return Ran(command, done.returncode, done.stdout, done.stderr)

    def observed(self) -> str:
        """Everything about this host that the tool may change, as one text to compare."""
        text = self.sh(f"export LC_ALL=C; {OBSERVED}")
        # libvirt counts the holders of a running network anew, and a guest's console has no part in this.
        return re.sub(r" connections='\d+'", "", text)

    def changes_since(self, before: str) -> list[str]:
        """The lines in which `observed` differs from an earlier one."""
        lines = difflib.unified_diff(before.splitlines(), self.observed().splitlines(), lineterm="", n=0)
        return list(lines)

    def link(self, netdev: str) -> dict[str, Any]:
        """One interface as `ip` shows it."""
        found: list[dict[str, Any]] = json.loads(self.sh(f"ip -d -j link show dev {netdev}"))
        return found[0]

    def vfs(self, netdev: str) -> dict[int, dict[str, Any]]:
        """The attributes of a PF's VFs as `ip` shows them, in the names of the state file."""
        return {vf["vf"]: _attributes(vf) for vf in self.link(netdev).get("vfinfo_list", [])}

    def numvfs(self, netdev: str) -> int:
        """How many VFs a PF has."""
        return int(self.sh(f"cat /sys/class/net/{netdev}/device/sriov_numvfs"))

    def vf_drivers(self, netdev: str) -> dict[int, str]:
        """The driver of each VF of a PF; "" if it has none."""
        lines = self.sh(
            f"cd /sys/class/net/{netdev}/device && for vf in virtfn*; do "
            'echo "${vf#virtfn} $(basename "$(readlink "$vf/driver")")"; done'
        ).splitlines()
        return {int(line.split()[0]): line.partition(" ")[2] for line in lines}

    def vf_address(self, netdev: str, index: int) -> str:
        """The PCI address of a VF."""
        return self.sh(f"basename $(readlink /sys/class/net/{netdev}/device/virtfn{index})").strip()

    def modules(self) -> set[str]:
        """The kernel modules that are loaded."""
        return {line.split()[0] for line in self.sh("lsmod").splitlines()[1:]}

    def nics(self, guest: str, *, inactive: bool = False) -> dict[str, "GuestNic"]:
        """A guest's SR-IOV devices by alias: those of the running guest, or those of its definition."""
        xml = ET.fromstring(self.sh(f"virsh dumpxml {'--inactive ' if inactive else ''}{guest}"))
        devices = [*xml.iterfind("devices/interface"), *xml.iterfind("devices/hostdev")]
        nics = [GuestNic.of(device) for device in devices]
        return {nic.alias: nic for nic in nics}

    def net_info(self, network: str) -> dict[str, str]:
        """What `virsh net-info` says of a network."""
        lines = self.sh(f"LC_ALL=C virsh net-info {network}").splitlines()
        return {key.strip(): value.strip() for key, colon, value in (line.partition(":") for line in lines) if colon}

    def net_addresses(self, network: str, *, inactive: bool = False) -> list[str]:
        """The PCI addresses that a network gives out, or is defined with."""
        xml = ET.fromstring(self.sh(f"virsh net-dumpxml {'--inactive ' if inactive else ''}{network}"))
        return [_pci(address) for address in xml.iterfind("forward/address")]


@dataclass(frozen=True)
class GuestNic:
    """An SR-IOV device in a domain's XML."""

    alias: str
    element: str
    kind: str
    mac: str
    vlan: int
    pool: str
    address: str

    @staticmethod
    def of(device: ET.Element) -> "GuestNic":
        """From `<interface>` or `<hostdev>`."""

        def attribute(path: str, name: str) -> str:
            found = device.find(path)
            return found.get(name, "") if found is not None else ""

        source = device.find("source/address")
        return GuestNic(
            alias=attribute("alias", "name"),
            element=device.tag,
            kind=device.get("type", ""),
            mac=attribute("mac", "address"),
            vlan=int(attribute("vlan/tag", "id") or 0),
            pool=attribute("source", "network"),
            address=_pci(source) if source is not None else "",
        )


def _pci(address: ET.Element) -> str:
    domain, bus, slot, function = (int(address.get(name, "0"), 16) for name in ("domain", "bus", "slot", "function"))
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function}"


def _attributes(vf: dict[str, Any]) -> dict[str, Any]:
    (vlan,) = vf.get("vlan_list") or [{}]
    return {
        "mac": vf["address"],
        "vlan": vlan.get("vlan", 0),
        "qos": vlan.get("qos", 0),
        "vlan_proto": vlan.get("protocol", "802.1Q"),
        "spoofchk": vf.get("spoofchk"),
        "trust": vf.get("trust"),
        "link_state": vf.get("link_state"),
        "min_tx_rate": vf.get("rate", {}).get("min_tx", 0),
        "max_tx_rate": vf.get("rate", {}).get("max_tx", 0),
        "query_rss": vf.get("query_rss_en"),
    }


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder needs the lab."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.lab)


@pytest.fixture(scope="session")
def lab_machine() -> Iterator[Lab]:
    """A lab with the checkout's code, and with the snapshot that tests start from.

    It has the name in LAB_NAME, else one of its own, and it is taken down at the end unless it ran already. Of several
    workers (pytest -n 2) each has its own.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    named = os.environ.get("LAB_NAME")
    lab = Lab(f"{named}-{worker}" if named and worker else named or f"pytest-{os.getpid()}")
    ran_before = lab.running()
    try:
        _make_ready(lab, ran_before)
        yield lab
    finally:
        if not ran_before:
            lab.down()


def _make_ready(lab: Lab, ran_before: bool) -> None:
    try:
        lab.up()
        if ran_before:
            lab.restore()
        lab.push()
        # Once through every part, so that no test pays for reading the programs from the disk.
        lab.run(f"mkdir -p {WORK} && reconciler inspect && ip -V && virsh version && lsmod", 300)
        lab.save(READY)
    except LabError as error:
        reason = f"the lab can't be had: {error}"
    else:
        return
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def host(lab_machine: Lab) -> Host:
    """The clean host: three cards that are down and without VFs, igbvf loaded, web1 runs, db1 and idle1 don't."""
    lab_machine.restore(READY)
    return Host(lab_machine)
