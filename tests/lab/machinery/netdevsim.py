"""The kernel's simulated card: hundreds of VFs with every attribute, on no PCI bus."""

from tests.lab.machinery.core import Lab

DEVICE = "/sys/bus/netdevsim/devices/netdevsim1"


def plug_in(lab: Lab, most: int = 0, vfs: int = 0) -> str:
    """Makes one that can have so `most` VFs (0: as many as the module says), and has so many; returns its netdev."""
    steps = ["set -e", "modprobe netdevsim", "echo '1 1' >/sys/bus/netdevsim/new_device"]
    if most:
        steps.append(f"echo {most} >/sys/kernel/debug/netdevsim/netdevsim1/max_vfs")
    steps.append("udevadm settle")
    if vfs:
        steps.append(f"echo {vfs} >{DEVICE}/sriov_numvfs")
    steps.append(f"ls {DEVICE}/net")
    return lab.run("bash", input="\n".join(steps) + "\n").stdout.strip()
