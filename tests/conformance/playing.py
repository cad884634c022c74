"""One side of the comparison: plays steps on a host and notes how each ended and what is seen then."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from itertools import chain, repeat

from reconciler.host.model import Snapshot
from reconciler.host.protocol import HostError, NicMatch, NicSpec, PoolSpec, VfSet, Writer
from tests.conformance.cases import Step, arguments, text
from tests.conformance.comparable import Flat, flat
from tests.conformance.refusals import ended


@dataclass(frozen=True, slots=True)
class Played:
    """A step, how it ended, and what the host looked like when it had settled."""

    step: str
    result: str
    observed: Flat


Run = Callable[[str], str]
"""Does a command; returns how it ended (`tests.conformance.refusals`)."""
Settle = Callable[[Step, Flat | None], Snapshot]
"""Waits until a step has had its effect, at most until what is given is seen; returns what is seen then."""


def play(
    steps: Iterable[Step],
    macs: Collection[str],
    run: Run,
    writer: Writer,
    settle: Settle,
    recorded: Iterable[Flat | None] = (),
) -> list[Played]:
    """Plays steps one after the other. ``recorded``: what is to be seen after each of them, if that is known."""
    played = []
    for step, expected in zip(steps, chain(recorded, repeat(None)), strict=False):
        result = run(step["run"]) if "run" in step else ended(write(writer, step))
        played.append(Played(text(step), result, flat(settle(step, expected), macs)))
    return played


def write(writer: Writer, step: Step) -> HostError | None:
    """Calls the writer's method of that name with the step's arguments; returns its refusal."""
    values = arguments(step)
    for key, kind in (("nic", NicSpec), ("match", NicMatch), ("pool", PoolSpec)):
        if isinstance(values.get(key), dict):
            values[key] = kind(**values[key])
    if "requests" in values:
        values["requests"] = [VfSet(item["index"], item["attributes"]) for item in values["requests"]]
    if step["write"] in ("set_numvfs", "bind_vf", "unload_module", "load_module"):
        values.setdefault("deadline", 30.0)
    try:
        if step["write"] == "set_blacklist":
            writer.set_blacklist(values.get("modules"))  # TOML has no null.
            return None
        answer = getattr(writer, step["write"])(**values)
    except HostError as error:
        return error
    return next((error for error in answer or [] if error is not None), None)
