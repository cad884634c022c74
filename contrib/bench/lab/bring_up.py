"""How long it takes until 2 x 7 VFs are ready for guests: against the usual procedure, in which the host's VF driver
takes them first, and against netplan, which does the same.

A VF is ready for a guest's ``managed='yes'`` NIC when it is there, with its netdev named if the host's driver has it:
libvirt binds it as the guest starts. It is ready for any other use by a guest when it is vfio-pci's. How much of ours
is the kernel's own time is shown by a shell that makes the same writes, and looks at nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from contrib.bench import inside
from contrib.bench.measure import Bar, CandidateFailed, Row, alternate
from tests.lab.machinery import Lab

IDS = ("bring-up", "bring-up-process", "bring-up-vfio", "bring-up-vfio-process")
_PFS = ("enp1s0", "enp2s0")
_VFS = 14
_NETPLAN = "network:\n  version: 2\n  renderer: networkd\n  ethernets:\n" + "".join(
    f"    {name}: {{virtual-function-count: 7, link-local: [], optional: true}}\n" for name in _PFS
)
_MAKE = """
for pf in enp1s0 enp2s0; do
    ip link set $pf up
    echo 7 >/sys/class/net/$pf/device/sriov_numvfs
done
"""
_SAME_WRITES = """
for pf in enp1s0 enp2s0; do
    ip link set $pf up
    echo 0 >/sys/class/net/$pf/device/sriov_drivers_autoprobe
    echo 7 >/sys/class/net/$pf/device/sriov_numvfs
done
"""
_NAMED = """
for vf in /sys/class/net/enp[12]s0/device/virtfn*; do
    until name=$(ls $vf/net 2>/dev/null) && [ -n "$name" ] && [ "${name#eth}" = "$name" ]; do sleep 0.1; done
done
"""
_UNBIND = """
for vf in /sys/class/net/enp[12]s0/device/virtfn*; do
    address=$(readlink $vf)
    echo ${address##*/} >$vf/driver/unbind
done
"""
_OVERRIDE = """
for vf in /sys/class/net/enp[12]s0/device/virtfn*; do
    address=$(readlink $vf)
    echo vfio-pci >$vf/driver_override
    echo ${address##*/} >$vf/driver/unbind
    echo ${address##*/} >/sys/bus/pci/drivers_probe
done
"""
_DETACH = """
for vf in /sys/class/net/enp[12]s0/device/virtfn*; do
    address=$(readlink $vf)
    address=${address##*/}
    virsh -q nodedev-detach pci_${address//[:.]/_}
done
"""
_CLEAN = """
for pf in enp1s0 enp2s0; do
    (
        echo 0 >/sys/class/net/$pf/device/sriov_numvfs
        echo 1 >/sys/class/net/$pf/device/sriov_drivers_autoprobe
        ip link set $pf down
    ) &
done
wait
udevadm settle
rm -rf /var/lib/reconciler
test "$(cat /sys/class/net/enp[12]s0/device/sriov_{numvfs,drivers_autoprobe} | tr -d '\\n')" = 0011
"""
"""Before each run of each candidate: cards as nobody has configured them, and nothing of ours."""
_FORGET = "rm /etc/netplan/90-bench.yaml && netplan generate && systemctl daemon-reload && networkctl reload"
"""After netplan, so that the others have the host that they had before."""
_USUAL, _BY_NETPLAN = "echo N >sriov_numvfs and wait for the names", "netplan apply"
_UNBOUND, _KERNEL = "the same, then unbind, which ends like ours", "the writes of ours alone, from a shell"
_SHELL, _VIRSH = "the same, then driver_override and drivers_probe", "the same, then virsh nodedev-detach"


class _Host:
    """The candidates, each from the same start."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.whole: dict[str, list[float]] = {}
        """By VF driver: seconds of the whole process of each apply."""

    def apply(self, driver: str) -> float:
        """From before its first write to its last verified effect."""
        self.lab.run("bash -e", 300, input=_CLEAN)
        self.lab.run("cat >/root/bring-up.toml", input=_state(driver))
        steps, whole = inside.steps_and_whole(self.lab, "/root/bring-up.toml")
        self.whole.setdefault(driver, []).append(whole)
        self._check("" if driver == "none" else driver)
        return steps

    def script(self, script: str, driver: str) -> float:
        """A shell script, the whole process."""
        self.lab.run("bash -e", 300, input=_CLEAN)
        self.lab.run("cat >/root/usual.sh", input=script)
        seconds = inside.seconds(self.lab, "bash -e /root/usual.sh")
        self._check(driver)
        return seconds

    def netplan(self) -> float:
        """Until it returns, and the names are there."""
        self.lab.run("bash -e", 300, input=_CLEAN)
        self.lab.run("umask 077; cat >/etc/netplan/90-bench.yaml", input=_NETPLAN)
        self.lab.run("cat >/root/usual.sh", input=f"netplan apply\n{_NAMED}")
        seconds = inside.seconds(self.lab, "bash -e /root/usual.sh")
        self._check("igbvf")
        self.lab.run(_FORGET)
        return seconds

    def _check(self, driver: str) -> None:
        """All VFs are there, and this driver's or nobody's; the host's have their names."""
        folder = "/sys/class/net/enp[12]s0/device"
        there = len(self.lab.run(f"ls -d {folder}/virtfn*").stdout.split())
        found = self.lab.run(f"readlink {folder}/virtfn*/driver", check=False).stdout.split()
        names = self.lab.run(f"ls {folder}/virtfn*/net | grep -c '^enp[12]s0v'", check=False).stdout.strip()
        drivers = [name.rpartition("/")[2] for name in found]
        expected = [driver] * _VFS if driver else []
        if there != _VFS or drivers != expected or int(names) != (_VFS if driver == "igbvf" else 0):
            raise CandidateFailed(
                f"{_VFS} VFs of {driver or 'no driver'} should be there, and there are {there}, bound: {drivers}, "
                f"with a name: {names}"
            )


def rows(lab: Lab, runs: int) -> list[Row]:
    """Ours as apply itself takes, from before its first write to its last verified effect, and as a whole process."""
    lab.run("modprobe -a igbvf vfio-pci")
    host = _Host(lab)
    managed: dict[str, Callable[[], float | None]] = {
        "ours": lambda: host.apply("none"),
        _USUAL: lambda: host.script(_MAKE + _NAMED, "igbvf"),
        _UNBOUND: lambda: host.script(_MAKE + _NAMED + _UNBIND, ""),
        _KERNEL: lambda: host.script(_SAME_WRITES, ""),
        _BY_NETPLAN: host.netplan,
    }
    bound: dict[str, Callable[[], float | None]] = {
        "ours": lambda: host.apply("vfio-pci"),
        _SHELL: lambda: host.script(_MAKE + _NAMED + _OVERRIDE, "vfio-pci"),
        _VIRSH: lambda: host.script(_MAKE + _NAMED + _DETACH, "vfio-pci"),
    }
    lab.run("virsh destroy web1")  # What it does is no part of this.
    for driver in ("none", "vfio-pci"):
        host.apply(driver)  # A warm page cache; what the shell runs is small.
    ready = "lab, 2 × 7 VFs from the first write to all ready for guests"
    return [
        *_rows(
            *("bring-up", f"{ready} (managed='yes')", alternate(managed, runs), host.whole["none"]),
            Bar("at least", 3, _USUAL),
            "ours leaves the VFs to libvirt without a driver, the usual procedure and netplan with the host's",
        ),
        *_rows(
            *("bring-up-vfio", f"{ready}, bound to vfio-pci", alternate(bound, runs), host.whole["vfio-pci"]),
            None,
            "all end with the same",
        ),
    ]


def _rows(
    name: str, what: str, times: dict[str, list[float]], whole: list[float], bar: Bar | None, end: str
) -> list[Row]:
    command = "reconciler apply FILE --yes"
    own = times.pop("ours")
    note = f"{end}; start-up, reading and planning come before the first write, and are in the row of the whole process"
    return [
        Row(name, what, command, bar, own, times, note=note),
        Row(f"{name}-process", f"{what}, apply's whole process", command, None, whole[-len(own) :], times),
    ]


def _state(driver: str) -> str:
    return "schema = 1\n" + "".join(
        f'[pf.{name}]\nmatch = {{ name = "{name}" }}\nlink = "up"\nvfs = 7\nvf_driver = "{driver}"\n' for name in _PFS
    )
