"""What a VF goes back to when nobody has a claim on it any more: the attributes of one that was just made."""

from __future__ import annotations

from reconciler.drivers.facts import PLAIN, DriverFacts
from reconciler.drivers.readback import GROUPS
from reconciler.drivers.rules import Situation, refusal
from reconciler.state.desired import Attributes

_CAREFUL: Attributes = {name: value for name, value in PLAIN.items() if name not in ("mac", "spoofchk")}
"""Of a driver that isn't known: whether it checks the source MAC by default, and takes the zero MAC, isn't either."""


def defaults(facts: DriverFacts) -> Attributes:
    """The attributes of a new VF that can be brought about by setting them: without what the driver can't set or
    refuses (a MAC that can't be taken away again), or makes up anew each time (`DriverFacts.fresh`)."""
    fresh = facts.fresh if facts.fresh is not None else _CAREFUL
    found: Attributes = {}
    for group in GROUPS:
        wanted = {name: fresh[name] for name in group if name in fresh and name not in facts.lacks}
        refused = refusal(facts, wanted, Situation(vf=fresh)) if wanted else None
        if refused is None or refused.passing:
            found |= wanted
    return found
