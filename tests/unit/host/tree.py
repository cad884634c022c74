"""A root directory with as much of sysfs, /proc and /etc as the readers look at."""

from __future__ import annotations

import os
from pathlib import Path


class Tree:
    """Builds PFs and VFs below a root as the kernel lays them out."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("proc/modules", "igbvf 65536 0 - Live 0x0\nvfio_pci 16384 0 - Live 0x0\n")
        self.write("proc/cmdline", "root=/dev/vda ro\n")
        self.index = 2

    def write(self, path: str, text: str) -> Path:
        """A file, with the directories that it needs."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def link(self, path: str, target: str) -> Path:
        """A relative link to another path below the root."""
        link = self.root / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(self.root / target, link.parent))
        return link

    def netdev(self, name: str, device: str, **files: str) -> None:
        """A netdev of a device (a path below the root)."""
        self.index += 1
        for file, text in {"ifindex": str(self.index), "dev_port": "0", **files}.items():
            self.write(f"{device}/net/{name}/{file}", f"{text}\n")
        self.link(f"{device}/net/{name}/device", device)
        self.link(f"sys/class/net/{name}", f"{device}/net/{name}")

    def device(self, bus: str, name: str, driver: str | None, **files: str) -> str:
        """A device; its path below the root."""
        path = f"sys/devices/{bus}/{name}"
        for file, text in files.items():
            self.write(f"{path}/{file}", f"{text}\n")
        (self.root / path).mkdir(parents=True, exist_ok=True)
        (self.root / f"sys/bus/{bus}").mkdir(parents=True, exist_ok=True)
        self.link(f"{path}/subsystem", f"sys/bus/{bus}")
        self.link(f"sys/bus/{bus}/devices/{name}", path)
        if driver:
            self.bind(path, bus, driver)
        return path

    def bind(self, path: str, bus: str, driver: str) -> None:
        """Binds a device to a driver."""
        self.write(f"sys/bus/{bus}/drivers/{driver}/unbind", "")
        (self.root / path / "driver").unlink(missing_ok=True)
        self.link(f"{path}/driver", f"sys/bus/{bus}/drivers/{driver}")

    def pf(self, address: str = "0000:01:00.0", netdev: str = "enp1s0", vfs: int = 0) -> str:
        """An 82576 with its VFs, which have no driver."""
        path = self.device(
            "pci",
            address,
            "igb",
            vendor="0x8086",
            device="0x10c9",
            numa_node="-1",
            sriov_numvfs=str(vfs),
            sriov_totalvfs="7",
            sriov_offset="128",
            sriov_stride="2",
            sriov_vf_device="10ca",
            sriov_drivers_autoprobe="1",
        )
        self.netdev(netdev, path, speed="1000")
        for index in range(vfs):
            self.vf(path, address, index)
        return path

    def vf(self, pf: str, address: str, index: int, driver: str | None = None) -> str:
        """A VF of a PF; its path below the root."""
        number = 128 + 2 * index
        name = f"{address[:7]}:{number // 8:02x}.{number % 8}"
        path = self.device("pci", name, driver, driver_override="(null)", vendor="0x8086", device="0x10ca")
        self.link(f"{pf}/virtfn{index}", path)
        self.link(f"{path}/physfn", pf)
        (self.root / f"sys/kernel/iommu_groups/{10 + index}").mkdir(parents=True, exist_ok=True)
        self.link(f"{path}/iommu_group", f"sys/kernel/iommu_groups/{10 + index}")
        return path
