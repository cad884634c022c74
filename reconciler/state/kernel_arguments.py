"""What is known of kernel arguments by their names alone.

Sources: Documentation/admin-guide/kernel-parameters.txt (and the early_param and __setup functions that add up what
they are given), kernel/params.c (parameq: ``-`` is ``_``), kernel-command-line(7), dracut.cmdline(7).
"""

from __future__ import annotations

_SEVERAL = frozenset(
    {
        *("console", "earlycon", "earlyprintk", "video", "crashkernel", "memmap", "mem", "hugepages", "hugepagesz"),
        *("iommu", "intel_iommu", "amd_iommu", "pci", "acpi", "acpi_osi", "efi", "mce", "tsc", "reboot", "clearcpuid"),
        *("intel_pstate", "amd_pstate", "cgroup_disable", "cgroup_enable", "initcall_blacklist", "trace_event"),
        *(
            "modprobe.blacklist",
            "modules_load",
            "ip",
            "ifname",
            "nameserver",
            "vlan",
            "bond",
            "bridge",
            "team",
            "dyndbg",
        ),
    }
)
_SEVERAL_BEGIN = ("rd.", "systemd.", "udev.")


def name_of(argument: str) -> str:
    """Its name, as the kernel compares names."""
    return argument.partition("=")[0].replace("-", "_")


def takes_several(name: str) -> bool:
    """Whether an argument may have several values, which add up; of all others the last one on the line counts."""
    return name in _SEVERAL or name.startswith(_SEVERAL_BEGIN) or name.endswith(".dyndbg")


def contradict(one: str, other: str) -> bool:
    """Whether two arguments give one name two values, of which only one can count."""
    same_name = "=" in one and "=" in other and name_of(one) == name_of(other)
    return same_name and one != other and not takes_several(name_of(one))
