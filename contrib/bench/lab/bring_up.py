"""How long it takes until 2 x 7 VFs are ready for guests, bound to vfio-pci: against the usual procedure, in which the
host's VF driver takes them first."""

from __future__ import annotations

from contrib.bench import inside
from contrib.bench.measure import Bar, CandidateFailed, Row, alternate
from tests.lab.machinery import Lab

IDS = ("bring-up", "bring-up-process")
_PFS = ("enp1s0", "enp2s0")
_STATE = "schema = 1\n" + "".join(
    f'[pf.{name}]\nmatch = {{ name = "{name}" }}\nlink = "up"\nvfs = 7\nvf_driver = "vfio-pci"\n' for name in _PFS
)
_USUAL = """
for pf in enp1s0 enp2s0; do
    ip link set $pf up
    echo 7 >/sys/class/net/$pf/device/sriov_numvfs
done
for vf in /sys/class/net/enp[12]s0/device/virtfn*; do
    until name=$(ls $vf/net 2>/dev/null) && [ -n "$name" ] && [ "${name#eth}" = "$name" ]; do sleep 0.1; done
    ip link set $name up
done
for vf in /sys/class/net/enp[12]s0/device/virtfn*; do
    address=$(basename $(readlink $vf))
    virsh -q nodedev-detach pci_${address//[:.]/_}
done
"""
_PEER = "echo N >sriov_numvfs, ip link, virsh nodedev-detach"
_CLEAN = """
for pf in enp1s0 enp2s0; do
    echo 0 >/sys/class/net/$pf/device/sriov_numvfs
    echo 1 >/sys/class/net/$pf/device/sriov_drivers_autoprobe
    ip link set $pf down
done
udevadm settle
rm -rf /var/lib/reconciler
"""
_STAMPED = (
    "set -o pipefail; reconciler apply /root/bring-up.toml --yes 2>&1 >/dev/null | "
    'while IFS= read -r line; do echo "$EPOCHREALTIME $line"; done'
)
"""Progress with the time of each line: the first comes before anything is written, the last when all is verified."""


def rows(lab: Lab, runs: int) -> list[Row]:
    """Ours as apply itself takes, from before its first write to its last verified effect, and as a whole process."""
    lab.run("cat >/root/bring-up.toml", input=_STATE)
    lab.run("cat >/root/usual.sh", input=_USUAL)
    lab.run("modprobe vfio-pci")
    whole: list[float] = []

    def ours() -> float:
        lab.run("bash -e", 300, input=_CLEAN)
        whole.append(inside.seconds(lab, _STAMPED))
        _check(lab)
        lines = lab.run("cat /tmp/bench.out").stdout.splitlines()
        begun = [line for line in lines if " Applying " in line]
        done = [line for line in lines if ": done" in line]
        if len(begun) != 1 or not done:
            raise CandidateFailed("apply's progress is not what it was:\n" + "\n".join(lines[-20:]))
        return float(done[-1].split()[0]) - float(begun[0].split()[0])

    def usual() -> float:
        lab.run("bash -e", 300, input=_CLEAN)
        seconds = inside.seconds(lab, "bash -e /root/usual.sh")
        _check(lab)
        return seconds

    times = alternate({"ours": ours, _PEER: usual}, runs, warm_up=True)
    command = "reconciler apply FILE --yes"
    what = "lab, 2 × 7 VFs from the first write to all ready for guests"
    own = times.pop("ours")
    return [
        Row("bring-up", what, command, Bar("at least", 3, _PEER), own, times),
        Row("bring-up-process", f"{what}, apply's whole process", command, None, whole[-runs:], times),
    ]


def _check(lab: Lab) -> None:
    """All VFs are vfio-pci's."""
    found = lab.run("readlink /sys/class/net/enp[12]s0/device/virtfn*/driver", check=False).stdout.split()
    if [name.rpartition("/")[2] for name in found] != ["vfio-pci"] * 14:
        raise CandidateFailed(f"14 VFs should be bound to vfio-pci, and there are: {found}")
