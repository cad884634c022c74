"""What is wrong with a plan that was saved: it is data like any other, whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from reconciler.kinds.action import Action
from reconciler.kinds.operations import OPERATIONS
from reconciler.state.recheck import errors_of
from reconciler.state.serial import desired_from_json

Problem = tuple[str, str]
"""Where in the document (``actions.3.args.pf``), and what is wrong there."""


def problems_of_actions(actions: Sequence[Action]) -> Iterator[Problem]:
    """Operations that there are not, arguments that they don't take, ids that name nothing or two things. The
    steps of an undo are held to the same."""
    before: set[str] = set()
    for number, action in enumerate(actions):
        where = f"actions.{number}"
        yield from _problems_of_step(where, action.op, action.args)
        if action.id in before:
            yield f"{where}.id", f"{action.id!r} is that of another action too"
        for place, need in enumerate(action.needs):
            if need not in before:
                yield f"{where}.needs.{place}", f"{need!r} is no action that stands before it"
        for place, step in enumerate(action.undo.steps):
            yield from _problems_of_step(f"{where}.undo.steps.{place}", step.op, step.args)
        before.add(action.id)


def _problems_of_step(where: str, op: str, args: dict[str, Any]) -> Iterator[Problem]:
    operation = OPERATIONS.get(op)
    if operation is None:
        yield f"{where}.op", f"{op!r} is no operation"
        return
    yield from ((f"{where}.args{place}", text) for place, text in operation.arguments(args))


def problems_of_desired(document: dict[str, Any]) -> Iterator[Problem]:
    """What no state file may declare. The rules are those of the state file."""
    from pydantic import ValidationError

    try:
        desired = desired_from_json(document)
    except ValidationError as error:
        for item in error.errors(include_url=False, include_input=False):
            yield ".".join(str(part) for part in ("desired", *item["loc"])), item["msg"]
        return
    for found in errors_of(desired):
        yield f"desired: {found.address}", f"{found.summary} {found.detail}".strip()
