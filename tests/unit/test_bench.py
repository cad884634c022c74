"""The bench's frame: candidates take turns, ratios are those of the runs, and nothing that failed, or did
nothing, looks fast. How fast anything is, is not tested here."""

from __future__ import annotations

import json
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contrib.bench import __main__ as bench
from contrib.bench import machine, readme, results
from contrib.bench.measure import Bar, CandidateFailed, Row, Spread, alternate, process
from contrib.bench.plain import fleet, startup
from contrib.bench.plot import draw
from reconciler import __version__
from tests.lab.machinery import LabError

BATCH = Row("set", "set | all", "apply", Bar("at most", 2, "batch"), [2.0, 3.0, 8.0], {"batch": [2.0, 2.0, 2.0]})
SCRIPT = Row("script", "set", "apply", Bar("at least", 25, "script"), [1.0, 0.5, 1.0], {"script": [30.0, 20.0, 10.0]})
MEMORY = Row("memory", "memory", "plan", Bar("at most", 400), [100.0, 300.0, 500.0], unit="MB")
TOLD = Row("told", "networkd", "apply", None, [1.0, 1.0, 1.0], {"networkd": [2.0, 3.0, 4.0]})
ROWS = [BATCH, SCRIPT, MEMORY, TOLD]
MACHINE = {"cpu": "a", "cores": 2, "memory_mb": 4096, "kernel": "6", "virtual": True}
VERSIONS = {"reconciler": "1", "commit": "abc", "python": "3"}
NOW = results.Origin("2026-11-24T01:00:00+00:00", 0.1, VERSIONS, {})
IN_LAB = replace(NOW, lab={"kernel": "6.12", "netplan": ""})


def _document(*rows: Row, origin: results.Origin = NOW) -> dict[str, Any]:
    return results.document([(row, origin) for row in rows], MACHINE)


def test_candidates_take_turns() -> None:
    order: list[str] = []
    times = alternate({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3, warm_up=True)
    assert order == list("abababab"), "once to warm up, and three runs"
    assert {name: len(found) for name, found in times.items()} == {"a": 3, "b": 3}
    assert all(seconds > 0 for found in times.values() for seconds in found)


def test_what_a_candidate_says_it_took_counts() -> None:
    assert alternate({"a": iter([5.0, 6.0]).__next__}, 2) == {"a": [5.0, 6.0]}


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan")])
def test_no_time_at_all_is_a_failure(bad: float) -> None:
    with pytest.raises(CandidateFailed, match=r"peer: .* s is no time"):
        alternate({"ours": lambda: 1.0, "peer": lambda: bad}, 5)


def test_a_candidate_that_fails_has_no_time_and_is_named() -> None:
    with pytest.raises(CandidateFailed, match=r"peer: .*exit code 3\nwhy"):
        alternate(
            {
                "ours": lambda: 1.0,
                "peer": lambda: process([sys.executable, "-c", "print('why'); raise SystemExit(3)"]).seconds,
            },
            5,
        )
    with pytest.raises(CandidateFailed, match="peer: FileNotFoundError"):
        alternate({"peer": lambda: process(["/nowhere/at/all"]).seconds}, 1)


def test_a_process_that_hangs_is_ended() -> None:
    with pytest.raises(CandidateFailed, match="exit code -9"):
        process(["sleep", "60"], timeout=0.2)


def test_what_a_process_took_is_what_the_kernel_counted() -> None:
    code = "import time\nx = bytearray(64 << 20)\nwhile time.process_time() < 0.2: pass\nprint('done')"
    ran = process([sys.executable, "-c", code])
    assert ran.stdout == "done\n"
    assert ran.cpu >= 0.2
    assert ran.seconds >= 0.2
    assert 64 < ran.peak_mb < 300


def test_the_memory_of_who_starts_a_process_is_not_its_own() -> None:
    held = bytearray(200 << 20)
    del held
    assert 1 < process(["sleep", "0.2"]).peak_mb < 50


def test_memory_is_that_of_the_children_too() -> None:
    hold = "import time\nx = bytearray(60 << 20)\ntime.sleep(0.5)"
    both = f"import subprocess, sys\nx = bytearray(60 << 20)\nsubprocess.run([sys.executable, '-c', {hold!r}])"
    assert 120 < process([sys.executable, "-c", both]).peak_mb < 300


def test_a_start_that_says_nothing_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    told = f"print('reconciler {__version__}')"
    monkeypatch.setattr(startup, "COMMAND", (sys.executable, "-c", told))
    assert [row.id for row in startup.rows(1)] == ["version"]
    monkeypatch.setattr(startup, "COMMAND", ("true",))
    with pytest.raises(CandidateFailed, match="not the version"):
        startup.rows(1)


def test_reading_the_plans_of_many_hosts_has_a_deadline(tmp_path: Path) -> None:
    begun = time.monotonic()
    with (
        (tmp_path / "err").open("wb") as err,
        fleet._started(["sh", "-c", "sleep 50 & echo $!; wait"], err, 0.5) as ran,
    ):
        assert ran.stdout is not None
        worker, *rest = ran.stdout.read().split()
        code = ran.wait()
    assert (code, rest) == (-9, [])
    assert time.monotonic() - begun < 20
    assert _ended(worker), "what it has started holds the pipe, and is ended, too"


def test_who_gives_up_reading_ends_what_was_started(tmp_path: Path) -> None:
    told: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        _give_up(tmp_path / "err", told)
    assert _ended(told[0])


def _give_up(err: Path, told: list[str]) -> None:
    with err.open("wb") as file, fleet._started(["sh", "-c", "sleep 50 & echo $!; wait"], file) as ran:
        assert ran.stdout is not None
        told.append(ran.stdout.readline().strip())
        raise KeyboardInterrupt


def _ended(pid: str) -> bool:
    """Within seconds. One that has ended may still wait for somebody to take its code."""
    for _ in range(100):
        try:
            status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return True
        if status.rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


def test_ratios_are_those_of_the_same_run() -> None:
    assert BATCH.ratios("batch") == [1.0, 1.5, 4.0]
    assert (BATCH.reached(), BATCH.met()) == (Spread(1.0, 1.5, 4.0), True)
    assert SCRIPT.ratios("script") == [30.0, 40.0, 10.0]
    assert (SCRIPT.reached(), SCRIPT.met()) == (Spread(10.0, 30.0, 40.0), True)
    assert (MEMORY.reached(), MEMORY.met()) == (Spread(100.0, 300.0, 500.0), True)
    assert TOLD.met()
    assert TOLD.ratios("networkd") == [2.0, 3.0, 4.0], "without a bar: how many times faster"


def test_the_median_has_to_be_within_the_bar() -> None:
    assert not Row("x", "x", "x", Bar("at most", 2, "p"), [5.0, 5.0, 1.0], {"p": [1.0, 1.0, 1.0]}).met()
    assert not Row("x", "x", "x", Bar("at least", 25, "p"), [1.0, 1.0, 1.0], {"p": [24.0, 24.9, 99.0]}).met()
    assert not Row("x", "x", "x", Bar("at most", 3), [3.01]).met()


@pytest.mark.parametrize(
    ("ours", "peers"), [([], {}), ([1.0], {"p": [1.0, 1.0]}), ([1.0], {"q": [1.0]}), ([1.0], {"p": [0.0]})]
)
def test_a_row_that_compares_nothing_is_refused(ours: list[float], peers: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match=r"^x: "):
        Row("x", "x", "x", Bar("at most", 2, "p"), ours, peers)


def test_the_document_holds_all_that_the_table_and_the_plot_are_made_of() -> None:
    stored = json.loads(results.dump(_document(*ROWS, origin=IN_LAB)))
    assert results.rows_of(stored) == ROWS
    assert stored["rows"][0]["ratios"] == {"batch": {"faster": False, "low": 1.0, "median": 1.5, "high": 4.0}}
    assert [row["met"] for row in stored["rows"]] == [True] * 4
    assert results.told(stored) == (
        "Measured on a virtual machine with 2 cores (a), 4 GB, kernel 6; 3 runs each, in turn with the peers. "
        "2026-11-24: reconciler 1 (abc), python 3. The lab is emulated without KVM: kernel 6.12."
    )
    busy = _document(*ROWS, origin=replace(NOW, load=4.2))
    assert "others were at work on the machine, too (load average 4.2)" in results.told(busy)


def test_a_note_stands_under_the_table_once() -> None:
    noted = [replace(row, note="processor time") for row in (BATCH, MEMORY)]
    text = results.text(_document(*noted, SCRIPT))
    assert r"| set \| all (1) | `apply` |" in text
    assert "| memory (1) | `plan` |" in text
    assert "| set | `apply` |" in text
    assert "\n1. processor time\n\nMeasured on" in text
    assert text.count("processor time") == 1


def test_the_table_has_a_line_per_peer_with_least_median_and_most() -> None:
    lines = results.table(ROWS).splitlines()
    assert lines[2:] == [
        r"| set \| all | `apply` | 3.00 s | batch: 2.00 s | ≤ 2 × | 1.50 × (1.00 to 4.00) | met |",
        "| set | `apply` | 1.00 s | script: 20.0 s | ≥ 25 × faster | 30.0 × faster (10.0 to 40.0) | met |",
        "| memory | `plan` | 300 MB |  | ≤ 400 MB | 300 MB (100 to 500) | met |",
        "| networkd | `apply` | 1.00 s | networkd: 3.00 s |  | 3.00 × faster (2.00 to 4.00) |  |",
    ]


def test_the_plot_shows_every_row_with_a_bar() -> None:
    texts = [element.text or "" for element in ET.fromstring(draw(ROWS)).iter("{http://www.w3.org/2000/svg}text")]
    assert {"set | all", "memory", "the bar"} <= set(texts)
    assert "networkd" not in texts


def test_rows_of_earlier_keep_the_time_and_versions_that_they_are_from() -> None:
    parts = [_part(ids=("set", "script", "memory"))]
    before = _document(SCRIPT, MEMORY, origin=replace(IN_LAB, at="2026-11-20T01:00:00+00:00"))
    now = _document(BATCH, origin=replace(NOW, versions={**VERSIONS, "commit": "def"}))
    kept = bench.merged(before, now, parts)
    assert [row["id"] for row in kept["rows"]] == ["set", "script", "memory"]
    assert [row["measured"]["versions"]["commit"] for row in kept["rows"]] == ["def", "abc", "abc"]
    assert kept["rows"][1:] == before["rows"]
    assert results.told(kept).endswith(
        "`set`: 2026-11-24: reconciler 1 (def), python 3. "
        "`script`, `memory`: 2026-11-20: reconciler 1 (abc), python 3. The lab is emulated without KVM: kernel 6.12."
    )


def test_rows_of_two_labs_are_told_apart() -> None:
    other = _document(MEMORY, origin=replace(NOW, lab={"kernel": "6.13"}))
    text = results.told(bench.merged(_document(SCRIPT, origin=IN_LAB), other, [_part(ids=("script", "memory"))]))
    assert "`script`: The lab is emulated without KVM: kernel 6.12. `memory`: The lab" in text


def test_rows_of_another_machine_are_not_kept() -> None:
    elsewhere = {**_document(BATCH), "machine": {**MACHINE, "cores": 8}}
    kept = bench.merged(_document(SCRIPT, MEMORY), elsewhere, [_part(ids=("set", "script", "memory"))])
    assert [row["id"] for row in kept["rows"]] == ["set"]


def test_a_checkout_that_changes_meanwhile_is_told_with_both_commits() -> None:
    assert machine.same(VERSIONS, {**VERSIONS, "commit": "def"}) == {**VERSIONS, "commit": "abc to def"}
    assert {"reconciler", "commit", "python", "typer", "pydantic", "tomli", "msgspec"} <= set(machine.versions())


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The bench with one part, ``fine``, that stores into this folder."""
    for name in ("JSON", "TABLE", "PLOT"):
        monkeypatch.setattr(results, name, tmp_path / getattr(results, name).name)
    monkeypatch.setattr(results.read, "__defaults__", (tmp_path / "results.json",))
    monkeypatch.setattr(bench, "refresh", lambda stored: (tmp_path / "README.md").write_text("refreshed"))
    monkeypatch.setattr(bench, "parts", lambda: [_part()])
    return tmp_path


class _Module:
    def __init__(self, ids: tuple[str, ...], ours: float, error: Exception | None) -> None:
        self.IDS, self._ours, self._error = ids, ours, error

    def rows(self, runs: int) -> list[Row]:
        if self._error is not None:
            raise self._error
        return [
            Row(name, name, "x", Bar("at most", 2, "p"), [self._ours] * runs, {"p": [1.0] * runs}) for name in self.IDS
        ]


def _part(ids: tuple[str, ...] = ("one", "two"), ours: float = 1.0, error: Exception | None = None) -> bench.Part:
    module: Any = _Module(ids, ours, error)
    return bench.Part("plain", "fine", module)


def test_what_is_stored_takes_five_runs(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--runs", "4"]) == 0
    assert "at least 5 runs" in capsys.readouterr().err
    assert list(files.iterdir()) == []
    assert bench.main(["two"]) == 0
    assert sorted(path.name for path in files.iterdir()) == ["README.md", "results.json", "results.md", "results.svg"]
    assert [row["id"] for row in results.read()["rows"]] == ["two"]


def test_a_bar_that_is_missed_is_the_exit_code(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "parts", lambda: [_part(ours=3.0)])
    assert bench.main([]) == 1
    assert "Missed: one, two" in capsys.readouterr().err
    assert "**missed**" in (files / "results.md").read_text()


@pytest.mark.parametrize("error", [CandidateFailed("ip -batch: exit code 1"), ValueError("ip -batch: exit code 1")])
def test_what_could_not_be_measured_is_told_and_the_rest_is_stored(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    monkeypatch.setattr(bench, "parts", lambda: [_part(ids=("three",), error=error), _part()])
    assert bench.main([]) == 1
    said = capsys.readouterr()
    assert "Failed: fine could not be measured: ip -batch: exit code 1" in said.err
    assert "three" not in said.out
    assert [row["id"] for row in results.read()["rows"]] == ["one", "two"]


def test_a_lab_that_does_not_come_up_is_tried_once(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def broken(lab: object) -> None:
        tried.append("up")
        raise LabError("no boot")

    monkeypatch.setenv("LAB_NAME", "bench-of-a-test")
    monkeypatch.setattr(bench.inside, "make_ready", broken)
    in_lab = [replace(_part(ids=(name,)), place="lab") for name in ("three", "four")]
    monkeypatch.setattr(bench, "parts", lambda: [*in_lab, _part()])
    assert bench.main([]) == 1
    assert tried == ["up"]
    assert [row["id"] for row in results.read()["rows"]] == ["one", "two"]


def test_what_the_machine_lacks_is_told_before_anything_is_measured(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lacking = _part(ids=("three",))
    monkeypatch.setattr(lacking.module, "prepare", _no_compiler, raising=False)
    monkeypatch.setattr(bench, "parts", lambda: [_part(), lacking])
    assert bench.main([]) == 1
    assert "Nothing was measured: fine: it needs a compiler" in capsys.readouterr().err
    assert list(files.iterdir()) == []
    assert bench.main(["one"]) == 0, "nobody needs it for this row"


def _no_compiler() -> None:
    raise CandidateFailed("it needs a compiler")


def test_unknown_rows_are_wrong_usage(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        bench.main(["nowhere"])
    assert "there is no nowhere" in capsys.readouterr().err


def test_every_part_names_its_rows_once() -> None:
    ids = [name for part in bench.parts() for name in part.ids]
    assert {"version", "plan", "fleet", "planning-new"} <= set(ids)
    assert len(set(ids)) == len(ids)
    assert all(callable(part.module.rows) for part in bench.parts())


def test_the_readme_has_the_figures_that_are_stored() -> None:
    text = readme.README.read_text(encoding="utf-8")
    stored = results.read()
    assert readme.with_figures(text, stored) == text, "refresh it: python -m contrib.bench.readme"
    if stored["rows"]:
        assert results.PLOT.read_text(encoding="utf-8") == draw(results.rows_of(stored))
        assert results.TABLE.read_text(encoding="utf-8") == results.text(stored)
