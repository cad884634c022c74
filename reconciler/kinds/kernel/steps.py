"""The step that changes the boot loader's arguments. It never reboots."""

from __future__ import annotations

from reconciler.kinds.action import Step
from reconciler.kinds.builder import Builder
from reconciler.kinds.kernel.compare import compare, own_arguments, without_effect
from reconciler.kinds.kernel.operations import ADDRESS


def plan(builder: Builder) -> None:
    """Where the boot loader's configuration is not as it has to be; not where it was and did not help, nor where that
    can't be done."""
    declared, host = builder.resolution.desired.cmdline, builder.host
    if declared is None or not host.boot.loader or without_effect(declared, host):
        return
    if any(state.differs and state.field == "entries" for state in compare(builder.resolution, host)):
        undo = [Step("kernel.set_cmdline", ADDRESS, {"arguments": host.boot.own})]
        builder.add("kernel.set_cmdline", ADDRESS, {"arguments": own_arguments(declared, host)}, undo=undo)
