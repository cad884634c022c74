"""Which actions are carried out side by side: what PFs need until their VFs are ready, one step of each PF at a time.

Each round is read once, recorded once and read back once. What somebody may notice goes by itself: of two PFs of one
bond only one loses its link at a time, also on the way back, whose actions carry no disruption class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from reconciler.disruption import severity
from reconciler.drivers.table import facts
from reconciler.host.model import Snapshot
from reconciler.kinds.action import Action

_SIDE_BY_SIDE = frozenset({"pf.set_link", "pf.wait_link", "pf.set_mtu", "pf.set_autoprobe", "pf.set_numvfs", "vf.bind"})
_OF_THE_LINK = ("pf.set_link", "pf.set_mtu", "pf.set_numvfs")
"""Operations by which a PF may lose its link for a moment, or longer."""
_BATCHED = ("vf.bind", "vf.set")
"""Operations of which many on one PF are one step."""
_BESIDE = ({"pf.set_autoprobe", "pf.set_link"}, {"pf.set_autoprobe", "pf.set_mtu"})
"""Operations on one PF that are one step: autoprobe is only a flag (drivers/pci/iov.c, sriov_drivers_autoprobe_store),
and while it is set the other one waits for the card."""


@dataclass(slots=True)
class _Step:
    """What is done on one PF at a time."""

    pf: str
    actions: list[Action] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    ops: set[str] = field(default_factory=set)

    def takes(self, action: Action) -> bool:
        """Whether an action may be one step with these: never with one that it needs, which may fail."""
        if action.args["pf"] != self.pf or not self.ids.isdisjoint(action.needs):
            return False
        if action.op in self.ops:
            return action.op in _BATCHED and len(self.ops) == 1
        return {*self.ops, action.op} in _BESIDE

    def add(self, action: Action) -> None:
        """The next action of this step."""
        self.actions.append(action)
        self.ids.add(action.id)
        self.ops.add(action.op)


def rounds(actions: Sequence[Action], host: Snapshot) -> Iterator[list[Action]]:
    """All actions, each after what it needs and after what comes before it on its PF."""
    lanes: dict[str, list[_Step]] = {}
    lane_of: dict[str, str] = {}
    for action in actions:
        lane = _lane(action, host)
        elsewhere = any(lane_of.get(need, lane) != lane for need in action.needs)
        if lanes and (lane is None or elsewhere):
            yield from _in_step(lanes)
            lanes, lane_of = {}, {}
        if lane is None:
            yield [action]
            continue
        lane_of[action.id] = lane
        steps = lanes.setdefault(lane, [])
        if not (steps and steps[-1].takes(action)):
            steps.append(_Step(action.args["pf"]))
        steps[-1].add(action)
    yield from _in_step(lanes)


def _in_step(lanes: dict[str, list[_Step]]) -> Iterator[list[Action]]:
    """The first step of each lane, then the second of each, and so on."""
    for number in range(max(map(len, lanes.values()), default=0)):
        yield [action for steps in lanes.values() if number < len(steps) for action in steps[number].actions]


def _lane(action: Action, host: Snapshot) -> str | None:
    """In which row an action waits for its turn: its PF's, or that of all PFs of a driver that takes only one at a
    time. ``None``: it goes by itself."""
    identity = action.args.get("pf")
    if identity is None or not (action.op == "vf.set" or _unnoticed(action, host)):
        return None
    pf = host.pfs.get(identity)
    alone = pf is not None and facts(pf.driver, pf.device_id).count.one_pf_at_a_time
    return f"driver {pf.driver}" if pf is not None and alone else str(identity)


def _unnoticed(action: Action, host: Snapshot) -> bool:
    if action.op not in _SIDE_BY_SIDE or severity(action.disruption) > severity("vf-reset"):
        return False
    if action.op not in _OF_THE_LINK:
        return True
    pf = host.pfs.get(action.args["pf"])
    return pf is not None and not (pf.uses or action.impact.domains or action.impact.host)
