"""VFs that are to be bound to vfio-pci while the IOMMU is off: each attempt would fail, on each run."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.diagnostics import Diagnostic
from reconciler.host.model import Snapshot
from reconciler.kinds.resolution import Resolution
from reconciler.kinds.vf.compare import compare
from reconciler.kinds.vf.iommu import iommu
from reconciler.plan.checks_kernel import UNTIL_REBOOT
from reconciler.state.address import address


def check_iommu(resolution: Resolution, host: Snapshot) -> Iterator[Diagnostic]:
    """An error per VF where nothing will switch it on; else a note per PF."""
    state = iommu(resolution, host)
    if state == "on":
        return
    fields = [f for f in compare(resolution, host) if (f.field, f.declared) == ("driver", "vfio-pci")]
    for name, identity in resolution.pfs.items():
        # Those that don't exist yet are bound as soon as they are made.
        waiting = [
            field.address
            for field in fields
            if field.identity.rpartition("/")[0] == identity
            and field.status in ("different", "pending-reboot", "parent-missing")
        ]
        netdev = host.pfs[identity].netdev
        if state == "off":
            for where in waiting:
                yield resolution.finding(
                    "error",
                    "iommu-off",
                    "vfio-pci can't have a VF while the IOMMU is off.",
                    f"There are no IOMMU groups, so vfio-pci would refuse each VF of {netdev}. Switch on VT-d (Intel) "
                    "or AMD-Vi (AMD) in the firmware's setup, and declare intel_iommu=on in kernel.cmdline for an "
                    "Intel processor; or declare another driver.",
                    where,
                    "driver",
                )
        elif waiting:
            yield resolution.finding(
                "note",
                UNTIL_REBOOT,
                "VFs are bound to vfio-pci after a reboot.",
                f"The IOMMU is off, and the kernel's arguments switch it on at the next boot. Until then vfio-pci "
                f"can't have VFs of {netdev}, of which it is to have {len(waiting)}. The units of install-units bind "
                "them at boot; without these, apply again then.",
                address("pf", name),
            )
