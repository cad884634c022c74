"""Hosts of any size to measure with: the profile of a simulated host, and the state file that describes it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pydantic import BaseModel

from contrib.bench.measure import process
from reconciler.host.snapshot import dump, load
from reconciler.kinds.operations import OPERATIONS
from reconciler.plan.planner import make_plan
from reconciler.state.load import load as load_state

COMMAND = (sys.executable, "-m", "reconciler")

NICS_PER_GUEST = 4


class Size(BaseModel):
    """What a host has. ``nics`` are spread over ``guests``; each takes a VF of its own."""

    pfs: int
    vfs: int
    """Of each PF."""
    guests: int
    nics: int

    @classmethod
    def of(cls, vfs: int) -> Size:
        """``vfs`` in all, on cards of at most 250, with a guest's NIC for every four of them."""
        pfs = -(-vfs // 250)
        nics = vfs // 4
        return cls(pfs=pfs, vfs=vfs // pfs, guests=-(-nics // NICS_PER_GUEST), nics=nics)


def profile(size: Size, name: str = "bench") -> str:
    """For `reconciler sim new --profile`: X520-like ports, each in a PCI domain of its own, so that any number of VFs
    has room; all guests are shut off."""
    lines = [
        f'title = "{size.pfs} PFs with {size.vfs} VFs each, {size.guests} guests"',
        "[host]",
        f'name = "{name}"',
        'loaded = ["mlx5_core", "kvm", "kvm_intel"]',
        "[card.x]",
        'driver = "mlx5_core"',
        'vendor = "8086"',
        'device = "1017"',
        'vf_device = "1018"',
        f"total_vfs = {size.vfs}",
        "stride = 2",
        "speed = 10000",
        "max_mtu = 9710",
    ]
    for number in range(size.pfs):
        lines += [
            f"[port.eth{number}]",
            'card = "x"',
            f'device = "{number:04x}:41:00.0"',
            f'mac = "a0:36:9f:00:{number:02x}:10"',
            "offset = 128",
        ]
    lines += [f"[domain.guest{number}]" for number in range(size.guests)]
    return "\n".join(lines) + "\n"


def state(size: Size, name: str = "bench", host: int = 0) -> str:
    """The state file: attributes of all VFs, and every NIC names the VF that it takes. ``host``: its number among many,
    which is in all MACs."""
    lines = ["schema = 1", "[host]", f'name = "{name}"']
    for number in range(size.pfs):
        lines += [
            f"[pf.p{number}]",
            f'match = {{ name = "eth{number}" }}',
            'link = "up"',
            f"vfs = {size.vfs}",
            'vf_driver = "none"',
            f"[pf.p{number}.vf_defaults]",
            "spoofchk = true",
            "trust = false",
        ]
    for number in range(size.nics):
        index, pf = divmod(number, size.pfs)
        lines += [
            f"[domain.guest{number % size.guests}.nic.n{number // size.guests}]",
            f'vf = "p{pf}/{index}"',
            f'mac = "52:54:{host >> 8:02x}:{host & 255:02x}:{number >> 8:02x}:{number & 255:02x}"',
            f"vlan = {number % 4000 + 1}",
            "max_tx_rate = 1000",
        ]
    return "\n".join(lines) + "\n"


def write(folder: Path, size: Size, name: str = "bench") -> tuple[Path, Path]:
    """The profile and the state file, in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    profile_file, state_file = folder / f"{name}.profile.toml", folder / f"{name}.toml"
    profile_file.write_text(profile(size, name), encoding="utf-8")
    state_file.write_text(state(size, name), encoding="utf-8")
    return profile_file, state_file


def simulated(folder: Path, size: Size, name: str = "bench") -> tuple[Path, Path]:
    """A simulated host as it comes, without VFs, and its state file."""
    profile_file, state_file = write(folder, size, name)
    sim = folder / f"{name}.sim"
    process([*COMMAND, "sim", "new", str(sim), "--profile", str(profile_file)])
    return sim, state_file


def recorded(folder: Path, size: Size, name: str = "bench") -> tuple[Path, Path, Path]:
    """Two recorded hosts, one without VFs and one that is as its state file declares, and that file."""
    sim, state_file = simulated(folder, size, name)
    new = folder / f"{name}.new.json"
    process([*COMMAND, "--host", f"sim:{sim}", "snapshot", "-o", str(new)])
    in_sync = folder / f"{name}.in-sync.json"
    in_sync.write_text(_carried_out(new.read_bytes(), state_file.read_bytes()), encoding="utf-8")
    return new, in_sync, state_file


def _carried_out(snapshot: bytes, state_file: bytes) -> str:
    """What a host is when its plan is carried out, by the operations' own predictions: on the twin 15,000 steps would
    take minutes."""
    host = load(snapshot, "snapshot")
    for action in make_plan(load_state("state", state_file), host).actions:
        OPERATIONS[action.op].simulate(host, action.args)
    return dump(host)


def fleet(folder: Path, count: int, size: Size) -> tuple[Path, list[Path]]:
    """So many hosts, each with names, MACs and machine ID of its own: the folder of their snapshots, and their state
    files. Every fourth host has nothing yet, the others are in sync."""
    new, in_sync, _ = recorded(folder / "one", size)
    given = {path: path.read_text(encoding="utf-8") for path in (new, in_sync)}
    snapshots, states = folder / "snapshots", folder / "states"
    snapshots.mkdir()
    states.mkdir()
    for number in range(count):
        name, hexadecimal = f"host{number:04}", f"{number >> 8:02x}:{number & 255:02x}"
        text = given[in_sync if number % 4 else new]
        text = text.replace("a0:36:9f:00:", f"a0:36:{hexadecimal}:").replace('"52:54:00:00:', f'"52:54:{hexadecimal}:')
        document = json.loads(text)
        document["host"] |= {"name": name, "machine_id": f"{number:032x}"}
        (snapshots / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
        (states / f"{name}.toml").write_text(state(size, name, number), encoding="utf-8")
    return snapshots, sorted(states.iterdir())
