"""How long an apply takes that has nothing to do: against the plan that says so."""

from __future__ import annotations

from collections.abc import Callable

from contrib.bench import inside
from contrib.bench.domains import STATE, set_up
from contrib.bench.measure import Bar, CandidateFailed, Row, alternate
from tests.lab.machinery import Lab

IDS = ("second-apply",)
_PEER = "reconciler plan"
_KEPT = "find /var/lib/reconciler /etc/modprobe.d -type f -printf '%p %T@\\n' | sort"


def rows(lab: Lab, runs: int) -> list[Row]:
    """Whole processes, by the lab's clock; that nothing is written is checked by the runs and files that there are."""
    set_up(lab)
    lab.run(f"reconciler apply {STATE} --yes", 300)

    def in_sync(command: str) -> float:
        before = lab.run(_KEPT).stdout
        seconds = inside.seconds(lab, command)
        if lab.run(_KEPT).stdout != before:
            raise CandidateFailed("it wrote something")
        if lab.run("grep -c '^In sync:' /tmp/bench.out", check=False).stdout.strip() != "1":
            raise CandidateFailed("it is not in sync")
        return seconds

    candidates: dict[str, Callable[[], float | None]] = {
        "ours": lambda: in_sync(f"reconciler apply {STATE} --yes"),
        _PEER: lambda: in_sync(f"reconciler plan {STATE}"),
    }
    times = alternate(candidates, 2 * runs, warm_up=True)
    return [
        Row(
            "second-apply",
            "lab, a second apply, which has nothing to do and writes nothing, against plan; whole processes",
            "reconciler apply FILE --yes",
            Bar("at most", 1.1, _PEER),
            times.pop("ours"),
            times,
        )
    ]
