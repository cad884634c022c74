"""Hosts of any size to measure with: the profile of a simulated host, and the state file that describes it."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

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


def state(size: Size, name: str = "bench") -> str:
    """The state file: attributes of all VFs, and every NIC names the VF that it takes."""
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
            f'mac = "52:54:00:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"',
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
