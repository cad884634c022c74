"""How long a plan of an in-sync host with 32 guests takes: against shell commands that only list the same facts."""

from __future__ import annotations

from contrib.bench import inside
from contrib.bench.domains import GUESTS_IN_ALL, STATE, set_up
from contrib.bench.measure import Bar, CandidateFailed, Row, alternate
from tests.lab.machinery import Lab

IDS = ("plan-domains",)
_FACTS = """
ip -j -d link
cards=$(ls -d /sys/class/net/*/device/sriov_numvfs)
cards=${cards//sriov_numvfs}
for card in $cards; do
    cat $card/sriov_{totalvfs,numvfs,offset,stride,vf_device,drivers_autoprobe} $card/{vendor,device,numa_node}
    readlink $card/driver $card/virtfn*{,/iommu_group,/driver} || true
    [ ! -e $card/virtfn0 ] || cat $card/virtfn*/driver_override
done
"""
"""A process or two per card."""
_EACH = """
for guest in $(virsh list --all --name); do virsh dumpxml $guest; done
for net in $(virsh net-list --all --name); do virsh net-dumpxml $net; done
"""
_AT_ONCE = """
asked=
for guest in $(virsh list --all --name); do asked="$asked dumpxml $guest;"; done
for net in $(virsh net-list --all --name); do asked="$asked net-dumpxml $net;"; done
virsh "$asked"
"""
_PEER = "ip, cat and virsh dumpxml of each guest"
_LEAN = "the same with all dumpxml in one virsh"


def rows(lab: Lab, runs: int) -> list[Row]:
    """Whole processes, by the lab's clock."""
    set_up(lab)
    lab.run("cat >/root/each.sh", input=_FACTS + _EACH)
    lab.run("cat >/root/at-once.sh", input=_FACTS + _AT_ONCE)

    def plan() -> float:
        seconds = inside.seconds(lab, f"reconciler plan {STATE}")
        if lab.run("grep -c '^In sync:' /tmp/bench.out", check=False).stdout.strip() != "1":
            raise CandidateFailed("it is not in sync")
        return seconds

    def listing(script: str) -> float:
        seconds = inside.seconds(lab, f"bash -e /root/{script}.sh")
        listed = lab.run("grep -c '</domain>' /tmp/bench.out", check=False).stdout.strip()
        if listed != str(GUESTS_IN_ALL):
            raise CandidateFailed(f"{listed} guests were listed, and there are {GUESTS_IN_ALL}")
        return seconds

    times = alternate(
        {"ours": plan, _PEER: lambda: listing("each"), _LEAN: lambda: listing("at-once")}, runs, warm_up=True
    )
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
