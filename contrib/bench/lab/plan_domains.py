"""How long a plan of an in-sync host with 32 guests takes: against shell commands that only list the same facts."""

from __future__ import annotations

from contrib.bench import inside
from contrib.bench.domains import GUESTS_IN_ALL, STATE, set_up
from contrib.bench.measure import Bar, CandidateFailed, Row, alternate
from tests.lab.machinery import Lab

IDS = ("plan-domains",)
_LISTING = """
ip -j -d link
for count in /sys/class/net/*/device/sriov_numvfs; do
    device=${count%/*}
    cat $device/sriov_{totalvfs,numvfs,offset,stride,vf_device,drivers_autoprobe} $device/{vendor,device,numa_node}
    readlink $device/driver
    for vf in $device/virtfn*; do
        [ -e $vf ] || continue
        readlink $vf $vf/iommu_group
        readlink $vf/driver || true
        cat $vf/driver_override
    done
done
for guest in $(virsh list --all --name); do virsh dumpxml $guest; done
for net in $(virsh net-list --all --name); do virsh net-dumpxml $net; done
"""
_PEER = "ip, cat and virsh dumpxml"


def rows(lab: Lab, runs: int) -> list[Row]:
    """Whole processes, by the lab's clock."""
    set_up(lab)
    lab.run("cat >/root/listing.sh", input=_LISTING)

    def plan() -> float:
        seconds = inside.seconds(lab, f"reconciler plan {STATE}")
        if lab.run("grep -c '^In sync:' /tmp/bench.out", check=False).stdout.strip() != "1":
            raise CandidateFailed("it is not in sync")
        return seconds

    def listing() -> float:
        seconds = inside.seconds(lab, "bash -e /root/listing.sh")
        listed = lab.run("grep -c '</domain>' /tmp/bench.out", check=False).stdout.strip()
        if listed != str(GUESTS_IN_ALL):
            raise CandidateFailed(f"{listed} guests were listed, and there are {GUESTS_IN_ALL}")
        return seconds

    times = alternate({"ours": plan, _PEER: listing}, runs, warm_up=True)
    return [
        Row(
            "plan-domains",
            f"lab, plan of an in-sync host with {GUESTS_IN_ALL} guests, against listing the same facts",
            "reconciler plan FILE",
            Bar("at most", 1, _PEER),
            times.pop("ours"),
            times,
        )
    ]
