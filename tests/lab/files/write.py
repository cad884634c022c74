"""Changes the host in every way that the tool's writer has, and in some that only a fault in it would find. Prints what
came of each as JSON: "" when it was done, else the error. What is named as an argument is left out."""

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from reconciler.apply.ledger import write_ledger
from reconciler.host.local.timer import arm
from reconciler.host.local.writer import LocalWriter
from reconciler.host.protocol import NicMatch, NicSpec, PoolSpec, VfSet

PF, OTHER_PF = "pci/0000:01:00.0", "pci/0000:03:00.0"
VF = "0000:01:10.0"
NIC = NicSpec("pool", "ua-rec-tried", mac="52:54:00:6d:97:01", pool="data")
MATCH = NicMatch(alias=NIC.alias)
STANDBY = NicSpec("bridge", "ua-standby-tried", mac=NIC.mac, bridge="br0")
PTRACE_SEIZE = 0x4206
SECONDS = 30.0

writer = LocalWriter("qemu:///system")


def set_vfs() -> None:
    """Has one answer per request."""
    for error in writer.set_vfs(PF, [VfSet(0, {"vlan": 42, "qos": 0, "vlan_proto": "802.1Q"})]):
        if error is not None:
            raise error


def together() -> None:
    """Has one answer per order."""
    for error in writer.together([lambda: writer.set_mtu(PF, 1700), lambda: writer.set_mtu(OTHER_PF, 1700)]):
        if error is not None:
            raise error


def set_bridge() -> None:
    """Of a NIC that is there, in a definition."""
    writer.attach_nic("db1", STANDBY, live=False, config=True)
    writer.set_bridge("db1", STANDBY.alias, "br1", live=False, config=True)


def trace() -> None:
    """What CAP_SYS_PTRACE is not given for."""
    process = subprocess.Popen(["sleep", "60"])
    try:
        if ctypes.CDLL(None, use_errno=True).ptrace(PTRACE_SEIZE, process.pid, None, None):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        process.kill()


def opened(path: str, flags: int) -> None:
    """Opening is enough."""
    os.close(os.open(path, flags))


ATTEMPTS: dict[str, Callable[[], object]] = {
    "set_vfs": set_vfs,
    "set_mtu": lambda: writer.set_mtu(PF, 1600),
    "together": together,
    "set_autoprobe": lambda: writer.set_autoprobe(PF, True),
    "bind_vf": lambda: writer.bind_vf(PF, 0, "vfio-pci", SECONDS),
    "stop_pool": lambda: writer.stop_pool("data"),
    "start_pool": lambda: writer.start_pool("data"),
    "set_pool_autostart": lambda: writer.set_pool_autostart("data", True),
    "define_pool": lambda: writer.define_pool(PoolSpec("tried", addresses=[VF])),
    "undefine_pool": lambda: writer.undefine_pool("tried"),
    "create_pool": lambda: writer.create_pool(PoolSpec("tried", addresses=[VF])),
    "attach_nic": lambda: writer.attach_nic("db1", NIC, live=False, config=True),
    "update_nic": lambda: writer.update_nic("db1", MATCH, NIC),
    "detach_nic": lambda: writer.detach_nic("db1", MATCH, live=False, config=True),
    "set_bridge": set_bridge,
    "add_root_ports": lambda: writer.add_root_ports("db1", 9),
    "drop_root_ports": lambda: writer.drop_root_ports("db1", []),
    "set_link": lambda: writer.set_link(OTHER_PF, True),
    "set_numvfs": lambda: writer.set_numvfs(OTHER_PF, 1, SECONDS),
    "set_kernel_arguments": lambda: writer.set_kernel_arguments(["iommu.strict=0"], SECONDS),
    "set_blacklist": lambda: writer.set_blacklist(["igbvf"]),
    "rebuild_initramfs": lambda: writer.rebuild_initramfs(["virtio_blk", "ext4"], 280.0),
    "unload_module": lambda: writer.unload_module("igbvf", SECONDS),
    "set_loaded_at_boot": lambda: writer.set_loaded_at_boot(["igb"]),
    "set_service": lambda: writer.set_service("irqbalance.service", False, SECONDS),
    "set_service_at_boot": lambda: writer.set_service_at_boot("irqbalance.service", False),
    "set_huge_pages": lambda: writer.set_huge_pages("2M", 3, SECONDS),
    "set_huge_pages_at_boot": lambda: writer.set_huge_pages_at_boot({"2M": 3}),
    "set_host_network": lambda: writer.set_host_network([PF], SECONDS),
    "load_module": lambda: writer.load_module("igbvf", SECONDS),
    "a unit of systemd": lambda: arm("reconciler-tried", 600, ["true"]),
    "the ledger": lambda: write_ledger(Path("/var/lib/reconciler"), {}),
    "the lock": lambda: opened("/run/reconciler.lock", os.O_RDWR | os.O_CREAT),
    "a file in /run": lambda: opened("/run/reconciler-tried", os.O_RDWR | os.O_CREAT),
    "a device": lambda: opened("/dev/vfio/vfio", os.O_RDWR),
    "the memory of another process": lambda: opened("/proc/1/mem", os.O_RDWR),
    "a signal to another process": lambda: os.kill(1, 0),
    "tracing a process": trace,
}


def came_to(attempt: Callable[[], object]) -> str:
    """ "" or the error."""
    try:
        attempt()
    except Exception as error:  # noqa: BLE001  (whatever it is, it is what came of it)
        return f"{type(error).__name__}: {error} {getattr(error, 'detail', '')}"
    return ""


print(json.dumps({name: came_to(attempt) for name, attempt in ATTEMPTS.items() if name not in sys.argv}))
