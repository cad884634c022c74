"""Where the command is run with bad input: a simulated host with a past, copied anew for each time."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reconciler.apply.journal import LATER, NOW, PLAN, add_record
from reconciler.apply.runs import last_run
from reconciler.cli.main import run as command
from reconciler.exit_codes import ExitCode
from reconciler.plan.confirm import halves_of
from reconciler.plan.document import dump_plan, load_plan

STATES = Path(__file__).parents[2] / "states"
NOTHING_DONE = frozenset({1, 5, 6, 7, 8, 64, 65, 77, 130})
"""Codes that say that nothing was written."""
_FAULT = re.compile(r"Traceback|fault in reconciler|Something unexpected|\b[A-Z][A-Za-z]*Error\b(?!:)")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
COUNTS: dict[str, int] = {}
"""Commands that were run, by name and exit code."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a command."""

    code: int
    out: str
    err: str


class World:
    """A folder with a host and everything about it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *arguments: str) -> Done:
        """The command, in this process, as a program would have it: streams in UTF-8, no terminal."""
        out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
        err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace", write_through=True)
        kept = [(number, signal.getsignal(number)) for number in _SIGNALS]
        streams = sys.stdin, sys.stdout, sys.stderr
        sys.stdin, sys.stdout, sys.stderr = io.StringIO(), out, err
        try:
            with contextlib.chdir(self.folder):
                code = int(command(list(arguments)))
        finally:
            sys.stdin, sys.stdout, sys.stderr = streams
            for number, handler in kept:
                signal.signal(number, handler)
        out.seek(0)
        err.seek(0)
        return Done(code, out.read(), err.read())

    def sim(self, *arguments: str) -> Done:
        """The command on the simulated host."""
        return self.run("--host", "sim:host.sim", *arguments)

    def files(self) -> dict[str, bytes]:
        """Everything that is kept, except for the lock."""
        paths = (Path(folder, name) for folder, _, names in os.walk(self.folder) for name in names)
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in paths if path.name != "lock"}

    def try_out(self, *arguments: str, writes: tuple[str, ...] = ()) -> Done:
        """Runs a command that may meet anything, and holds it to what is promised. ``writes``: files that it may write
        although it doesn't change the host."""
        before = self.files()
        done = self.run(*arguments)
        shown = f"{' '.join(arguments)}: {done.code}\n{done.out[-3000:]}\n{done.err[-6000:]}"
        name = next((item for item in arguments if item in _COMMANDS), "?")
        COUNTS[f"{name} {done.code}"] = COUNTS.get(f"{name} {done.code}", 0) + 1
        assert done.code in set(ExitCode), shown
        assert not _FAULT.search(done.out + done.err), shown
        if "--json" not in arguments and "json" not in arguments:
            loud = {sign for sign in done.out + done.err if not sign.isprintable() and sign != "\n"}
            assert not loud, (loud, shown)
        if done.code:
            assert (done.out + done.err).strip(), shown
        if name not in _WRITING or done.code in NOTHING_DONE:
            after = {key: data for key, data in self.files().items() if key not in writes}
            changed = {key for key in {*before, *after} if before.get(key) != after.get(key)} - set(writes)
            assert not changed, (changed, shown)
        return done


_WRITING = {"apply", "rollback", "confirm"}
_COMMANDS = _WRITING | {
    *("validate", "plan", "show", "drift", "doctor", "inspect", "snapshot", "adopt", "rehearse", "history", "new"),
}


_ANOTHER_POOL = '\n[pool.late]\nvfs = ["int/5"]\nautostart = true\n'


def make(folder: Path) -> None:
    """A host with two runs behind it, the last of which made a pool and waits for its confirmation; a saved plan,
    a snapshot."""
    world = World(folder)
    text = (STATES / "lab.toml").read_text()
    (folder / "host.toml").write_text(text)
    _must(world.run("sim", "new", "host.sim", "--profile", "igb-lab"))
    _must(world.sim("apply", "host.toml", "--yes", "--allow", "management"))
    changed = text.replace("vlan = 103", "vlan = 104").replace("max_tx_rate = 250", "max_tx_rate = 260") + _ANOTHER_POOL
    (folder / "small.toml").write_text(changed)
    _must(world.sim("apply", "small.toml", "--yes", "--allow", "management"))
    _wait_for_confirmation(folder / "host.sim.state")
    (folder / "large.toml").write_text(_with_fewer(changed))
    for name in ("small", "host", "large"):
        _must(world.sim("plan", f"{name}.toml", "-o", f"{name}.plan"))
    _must(world.sim("snapshot", "-o", "host.json"))


def _with_fewer(text: str) -> str:
    """Fewer VFs, one guest moved, one detached."""
    text = text.replace("vfs = 7", "vfs = 6", 1).replace('"4-6"', '"4-5"').replace('vf = "int/2"', 'vf = "int/4"')
    return text.replace("[domain.db1.nic.data]", '[domain.db1.nic.data]\nstate = "absent"')


def _must(done: Done) -> None:
    if done.code:
        raise RuntimeError(f"{done.code}\n{done.out}\n{done.err}")


def _wait_for_confirmation(state_dir: Path) -> None:
    """A simulated host has no timer, so the last run is made one that waits by what is on record of it."""
    last = last_run(state_dir)
    if last is None:
        raise RuntimeError("there is no run")
    plan = load_plan((last.folder / PLAN).read_bytes(), PLAN)
    halves = halves_of(plan.actions)
    for name, actions in ((NOW, halves.now), (LATER, halves.later)):
        plan.actions = actions
        (last.folder / name).write_text(dump_plan(plan))
    add_record(last.folder, "armed", unit="reconciler-x-1", until=0.0, at="2026-01-01T00:00:00Z")


@contextlib.contextmanager
def another(made: Path, *, waiting: bool = False) -> Iterator[World]:
    """A copy of a world, for one time. ``waiting``: its last run still waits for its confirmation, which refuses every
    apply."""
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=made.parent) as folder:
        shutil.copytree(made, folder, dirs_exist_ok=True)
        for journal in Path(folder).rglob("journal.jsonl") if not waiting else ():
            lines = [line for line in journal.read_text().splitlines() if '"armed"' not in line]
            journal.write_text("\n".join([*lines, ""]))
        yield World(Path(folder))
