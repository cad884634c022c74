"""The machine that the lab is: QEMU's arguments, and nothing else.

A snapshot can only be restored into the very same machine, so prepared disks are named after this file's
content.
"""

from dataclasses import dataclass

PROCESSORS = 2
SSH_MAC = "52:54:00:1a:b0:ff"


@dataclass(frozen=True)
class PhysicalFunction:
    """One SR-IOV card of the lab: an Intel 82576 as QEMU's `igb` emulates it (7 VFs)."""

    id: str
    netdev: str
    """Its interface's name inside the lab."""
    address: str
    """Its PCI address inside the lab."""
    mac: str
    wire: int
    """Cards with the same number are on one wire."""


CARDS = (
    PhysicalFunction("pf0", "enp1s0", "0000:01:00.0", "52:54:00:1a:b0:00", 1),
    PhysicalFunction("pf1", "enp2s0", "0000:02:00.0", "52:54:00:1a:b0:01", 1),
    PhysicalFunction("pf2", "enp3s0", "0000:03:00.0", "52:54:00:1a:b0:02", 2),
)


def arguments(port: int) -> list[str]:
    """QEMU's arguments, with paths relative to the lab's own folder; ssh is reached on 127.0.0.1:`port`."""
    result = [
        *("-nodefaults", "-display", "none"),
        *("-M", "q35,kernel-irqchip=split", "-accel", "tcg,thread=multi"),
        # `max` under emulation has AMD's SVM: guests in the lab are real KVM guests.
        *("-cpu", "max", "-smp", str(PROCESSORS), "-m", "4096"),
        *("-device", "intel-iommu,intremap=on,caching-mode=on"),
        # A lab is thrown away, so nothing has to survive a power cut of the host.
        *("-drive", "file=disk.qcow2,if=none,id=disk0,cache=unsafe,discard=unmap"),
        *("-device", "virtio-blk-pci,drive=disk0,addr=2"),
        *("-netdev", f"user,id=ssh,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22"),
        *("-device", f"virtio-net-pci,netdev=ssh,mac={SSH_MAC},romfile=,addr=3"),
    ]
    for number, card in enumerate(CARDS):
        result += ["-netdev", f"hubport,id=wire-{card.id},hubid={card.wire}"]
        result += ["-device", f"pcie-root-port,id=port{number},chassis={number + 1},addr={0x10 + number:x}.0"]
        function = f"igb,id={card.id},bus=port{number},netdev=wire-{card.id},mac={card.mac},romfile="
        result += ["-device", function]
    return result
