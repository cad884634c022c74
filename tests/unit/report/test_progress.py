"""Progress in a log and on a terminal."""

from __future__ import annotations

import io
import re
from typing import Any

from reconciler.report.progress import LineProgress, LiveProgress, Outcome, Progress, make_progress
from tests.unit.report import samples


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def play(progress: Progress, actions: list[dict[str, Any]], outcomes: dict[int, Outcome] | None = None) -> None:
    progress.start(len(actions))
    for number, action in enumerate(actions):
        progress.begin(action)
        outcome: Outcome = (outcomes or {}).get(number, "changed")
        progress.end(action["id"], outcome, 0.25, "Device\nbusy\x1b" if outcome == "failed" else "")
    progress.finish()


def test_a_line_per_action_and_one_for_a_batch() -> None:
    stream = io.StringIO()
    play(make_progress(stream, color=False), samples.remade()["actions"])
    lines = stream.getvalue().splitlines()
    assert lines[0] == "Applying 23 actions."
    assert lines[3] == "[3/23] pf.int: remove all VFs: done (0.2 s)"
    assert lines[5] == "[5-19/23] pf.int.vf.[0-7]: set spoofchk, max_tx_rate, mac on 8 VFs: done (0.2 s)"
    assert lines[-1].startswith("[23/23] ")


def test_a_failure_in_a_batch_is_told_with_its_words() -> None:
    stream = io.StringIO()
    play(LineProgress(stream), samples.rates(5)["actions"], {2: "failed"})
    assert stream.getvalue().splitlines()[1:] == [
        "[1-2/5] pf.int.vf.[0-1]: set max_tx_rate 1000 Mbit/s on 2 VFs: done (0.2 s)",
        "[3/5] pf.int.vf.2: set max_tx_rate 1000 Mbit/s: FAILED (0.2 s)",
        "    | Device",
        "    | busy\\x1b",
        "[4-5/5] pf.int.vf.[3-4]: set max_tx_rate 1000 Mbit/s on 2 VFs: done (0.2 s)",
    ]


def test_a_batch_that_begins_before_it_ends() -> None:
    stream, actions = io.StringIO(), samples.rates(3)["actions"]
    progress = LineProgress(stream)
    progress.start(3)
    for action in actions:
        progress.begin(action)
    for action in actions:
        progress.end(action["id"], "unchanged", 0.0)
    progress.finish()
    assert stream.getvalue().splitlines() == [
        "Applying 3 actions.",
        "[1-3/3] pf.int.vf.[0-2]: set max_tx_rate 1000 Mbit/s on 3 VFs: already right",
    ]


def test_a_way_back_is_called_so() -> None:
    stream = io.StringIO()
    progress = LineProgress(stream)
    progress.start(1)
    progress.begin({"id": "undo pf.set_numvfs pf.int", "op": "pf.set_numvfs", "address": "pf.int", "args": {"vfs": 0}})
    assert stream.getvalue() == "Taking back: 1 action.\n"


def test_an_action_that_never_began_has_a_line() -> None:
    stream = io.StringIO()
    progress = LineProgress(stream)
    progress.start(1)
    progress.end("x\x1b", "skipped", 0.0, "needs y")
    progress.finish()
    assert stream.getvalue().splitlines()[1] == "[1/1] x\\x1b: left out"


def test_a_terminal_gets_the_live_view_and_keeps_failures() -> None:
    stream = Terminal()
    progress = make_progress(stream, color=False)
    assert isinstance(progress, LiveProgress)
    actions = samples.rates(3)["actions"]
    actions[1]["address"] = "[bold]\x1b[2J"
    play(progress, actions, {1: "failed"})
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    assert "FAILED: [bold]\\x1b[2J: set max_tx_rate 1000 Mbit/s" in text
    assert "    | busy\\x1b" in text
    assert "2 done, 1 failed" in text
