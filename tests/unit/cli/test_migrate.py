"""``migrate`` from one simulated host to another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.apply.runs import open_moves
from reconciler.exit_codes import ExitCode
from reconciler.host.twin.host import TwinHost
from tests.faults.moves import NICS, PORTS
from tests.unit.cli.inside import Inside

MOVE = ("--host", "sim:a.sim", "migrate", "db1", "--to", "sim:b.sim")


@pytest.fixture
def folder(tmp_path: Path) -> Inside:
    made = Inside(tmp_path)
    for name in ("a", "b"):
        assert made.run("sim", "new", f"{name}.sim", "--profile", "igb-lab").returncode == ExitCode.OK
        made.write(f"{name}.toml", PORTS + (NICS if name == "a" else ""))
        done = made.run("--host", f"sim:{name}.sim", "apply", f"{name}.toml", "--yes")
        assert done.returncode == ExitCode.OK, done.stderr
    with TwinHost.open(tmp_path / "b.sim").changing() as twin:
        del twin.libvirt.domains["db1"]
    for name in ("a", "b"):
        TwinHost.open(tmp_path / f"{name}.sim")  # What is still under way there comes to its end.
    return made


def files(folder: Inside) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.path.rglob("*") if path.is_file() and path.name != "lock"}


def fault(folder: Inside, side: str, *arguments: str) -> None:
    assert folder.run("sim", "fault", f"{side}.sim", *arguments).returncode == ExitCode.OK


def test_the_plan_alone_writes_nothing(folder: Inside) -> None:
    before = files(folder)
    done = folder.run(*MOVE, "--dry-run")
    assert done.returncode == ExitCode.OK
    for part in ("take ua-rec-mgmt (VF 1 of enp1s0)", "NICs on the pool shared need nothing", 'pf = "…"'):
        assert part in done.stdout
    unasked = folder.run(*MOVE)
    assert unasked.returncode == ExitCode.USAGE
    assert "Use --yes" not in unasked.stderr.replace("and use --yes", "")
    assert "Look at the plan with --dry-run, and use --yes." in unasked.stderr
    assert files(folder) == before


def test_it_moves_and_is_on_record(folder: Inside) -> None:
    done = folder.run(*MOVE, "--yes")
    assert done.returncode == ExitCode.OK, done.stderr
    assert "Moved: db1 is defined on lab, and no longer here." in done.stdout
    listed = folder.run("--host", "sim:a.sim", "history").stdout.splitlines()
    assert "move of db1 to sim:b.sim" in listed[1]
    told = folder.run("--host", "sim:a.sim", "history", listed[1].split()[0])
    assert told.stderr == ""
    assert "there: define db1 on lab, with the same UUID: done" in told.stdout
    back = folder.run("--host", "sim:a.sim", "rollback", "--yes")
    assert back.returncode == ExitCode.FAILED
    assert "A move is not taken back by rollback." in back.stderr
    # It is found there, and comes back by the same command from the other side.
    there = folder.run("--host", "sim:b.sim", "migrate", "db1", "--to", "sim:a.sim", "--yes")
    assert there.returncode == ExitCode.OK, there.stderr
    assert folder.run("--host", "sim:a.sim", "apply", "a.toml", "--yes").returncode == ExitCode.OK
    assert folder.run("--host", "sim:a.sim", "plan", "a.toml", "--detailed-exitcode").returncode == ExitCode.OK


def test_what_was_printed_is_what_the_destination_takes(folder: Inside) -> None:
    done = folder.run(*MOVE, "--yes")
    tables = [line.strip() for line in done.stdout.split("Moved:")[1].splitlines()]
    nics = "\n".join(tables[tables.index("[domain.db1.nic.mgmt]") :]).split("Take db1")[0]
    nics = nics.replace('"…"', '"int"', 1).replace('"…"', '"ext"', 1)
    folder.write("b.toml", PORTS + nics + '\n[domain.db1.nic.data]\npool = "shared"\n')
    applied = folder.run("--host", "sim:b.sim", "apply", "b.toml", "--yes")
    assert applied.returncode == ExitCode.OK, applied.stdout + applied.stderr
    assert folder.run("sim", "run", "b.sim", "virsh", "start", "db1").returncode == ExitCode.OK
    domain = TwinHost.open(folder.path / "b.sim").twin().libvirt.domains["db1"]
    assert {nic.alias for nic in domain.live} == {"ua-rec-mgmt", "ua-rec-fast", "ua-rec-data"}


def test_the_stand_in_comes_along_and_finds_its_vf_there(folder: Inside) -> None:
    for name in ("a", "b"):
        with TwinHost.open(folder.path / f"{name}.sim").changing() as twin:
            twin.bridges = ["br0"]
    paired = PORTS + NICS.replace("vlan = 200", 'vlan = 200\nfailover = { bridge = "br0" }')
    folder.write("a.toml", paired)
    assert folder.run("--host", "sim:a.sim", "apply", "a.toml", "--yes").returncode == ExitCode.OK
    done = folder.run(*MOVE, "--yes")
    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    assert 'failover = {bridge = "br0"}' in done.stdout
    arrived = TwinHost.open(folder.path / "b.sim").twin().libvirt.domains["db1"].config
    assert [nic.alias for nic in arrived if nic.teaming] == ["ua-standby-mgmt"]
    folder.write("b.toml", paired.replace("int/1", "int/2"))
    applied = folder.run("--host", "sim:b.sim", "apply", "b.toml", "--yes")
    assert applied.returncode == ExitCode.OK, applied.stdout + applied.stderr
    there = TwinHost.open(folder.path / "b.sim").twin().libvirt.domains["db1"].config
    assert sorted(nic.teaming for nic in there if nic.teaming) == ["persistent", "transient"]


def test_an_interrupted_move_is_named_and_stays_on_record(folder: Inside) -> None:
    fault(folder, "b", "--at", "1", "--errno", "EIO", "--after")
    fault(folder, "a", "--at", "2", "--do", "systemctl stop libvirtd")
    broken = folder.run(*MOVE, "--yes")
    assert broken.returncode == ExitCode.PARTIAL, broken.stderr
    folder.run("sim", "run", "a.sim", "systemctl", "start", "libvirtd")
    (run,) = open_moves(folder.path / "a.sim.state")
    again = "reconciler --host sim:a.sim migrate db1 --to sim:b.sim"
    applied = folder.run("--host", "sim:a.sim", "apply", "a.toml", "--yes")
    assert applied.returncode == ExitCode.OK, applied.stderr
    assert f"the move of db1 to sim:b.sim (run {run.name}) did not come to its end. Go on with it: {again}" in (
        applied.stderr
    )
    assert folder.run("--host", "sim:a.sim", "confirm").returncode == ExitCode.FAILED
    elsewhere = folder.run("--host", "sim:a.sim", "migrate", "db1", "--to", "sim:c.sim", "--yes")
    assert elsewhere.returncode == ExitCode.USAGE  # There is no such host.
    folder.run("sim", "new", "c.sim", "--profile", "igb-lab")
    elsewhere = folder.run("--host", "sim:a.sim", "migrate", "db1", "--to", "sim:c.sim", "--yes")
    assert elsewhere.returncode == ExitCode.FAILED
    assert again in elsewhere.stderr
    assert folder.run(*MOVE, "--dry-run").returncode == ExitCode.OK
    assert open_moves(folder.path / "a.sim.state")
    done = folder.run(*MOVE, "--yes")
    assert done.returncode == ExitCode.OK, done.stderr
    assert not open_moves(folder.path / "a.sim.state")


def test_a_move_that_came_to_nothing_hides_no_run_from_rollback(folder: Inside) -> None:
    fault(folder, "b", "--at", "1", "--errno", "EIO")
    assert folder.run(*MOVE, "--yes").returncode == ExitCode.ROLLED_BACK
    back = folder.run("--host", "sim:a.sim", "rollback", "--yes")
    assert back.returncode == ExitCode.OK, back.stderr
    assert "Taken back" in back.stdout


@pytest.mark.parametrize(
    "text", [None, "", "{}", "[]", '{"format": "reconciler-move/1", "cargo": {"name": 1}, "document": {"steps": [{}]}}']
)
def test_a_damaged_record_is_told_and_nothing_done(folder: Inside, text: str | None) -> None:
    fault(folder, "a", "--at", "2", "--do", "systemctl stop libvirtd")
    assert folder.run(*MOVE, "--yes").returncode == ExitCode.PARTIAL
    folder.run("sim", "run", "a.sim", "systemctl", "start", "libvirtd")
    (run,) = open_moves(folder.path / "a.sim.state")
    if text is None:
        (run.folder / "move.json").unlink()
    else:
        (run.folder / "move.json").write_text(text)
    before = files(folder)
    done = folder.run(*MOVE, "--yes")
    assert (done.returncode, files(folder) == before) == (ExitCode.INVALID, True), done.stderr
    assert "virsh list --all" in done.stderr
    assert "Its plan can't be read." in folder.run("--host", "sim:a.sim", "history", run.name).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--host", "sim:a.sim", "migrate", "nobody", "--to", "sim:b.sim"), ExitCode.USAGE, "There is no such guest."),
        (("--host", "sim:a.sim", "migrate", "web1", "--to", "sim:b.sim"), ExitCode.FAILED, "The guest runs."),
        (("--host", "sim:a.sim", "migrate", "db1", "--to", "sim:a.sim"), ExitCode.FAILED, "destination-is-here"),
        (("--host", "sim:a.sim", "migrate", "db1", "--to", "qemu+ssh://b/system"), ExitCode.USAGE, "sim:FILE"),
        (("--host", "sim:a.sim", "migrate", "db1", "--to", "sim:"), ExitCode.USAGE, "This is no destination."),
        (("--host", "sim:a.sim", "migrate", "db1"), ExitCode.USAGE, "--to"),
        (("migrate", "db1", "--to", "other-host"), ExitCode.USAGE, "qemu+ssh://HOST/system"),
        (("migrate", "db1", "--to", "sim:b.sim"), ExitCode.USAGE, "This is no destination."),
        (("migrate", "db1", "--to", "qemu+tls://u:secret@h/system"), ExitCode.USAGE, "A password stands"),
        (("--host", "snapshot:host.json", "migrate", "db1", "--to", "sim:b.sim"), ExitCode.USAGE, "can't be changed"),
    ],
)
def test_bad_input(folder: Inside, arguments: tuple[str, ...], code: int, told: str) -> None:
    before = files(folder)
    done = folder.run(*arguments, "--yes") if "--to" in arguments else folder.run(*arguments)
    assert (done.returncode, files(folder) == before) == (code, True), done.stdout + done.stderr
    assert told in done.stdout + done.stderr


def test_obstacles_are_told_all_at_once(folder: Inside) -> None:
    with TwinHost.open(folder.path / "a.sim").changing() as twin:
        kept = twin.guest("db1")
        kept.managed_save, kept.snapshots = True, ["before"]
    with TwinHost.open(folder.path / "b.sim").changing() as twin:
        twin.libvirt.networks["shared"].active = False
    before = files(folder)
    done = folder.run(*MOVE, "--yes")
    assert done.returncode == ExitCode.FAILED
    for code in ("managed-save", "snapshots", "destination-network"):
        assert f"[{code}]" in done.stdout
    assert files(folder) == before
    assert "Traceback" not in done.stderr


def test_a_lock_that_is_held(folder: Inside) -> None:
    import fcntl

    with (folder.path / "a.sim.state/lock").open("w") as held:
        held.write(json.dumps({"pid": 1, "who": "apply x", "started": "now"}))
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        done = folder.run(*MOVE, "--yes")
    assert done.returncode == ExitCode.LOCKED
    assert "apply x" in done.stderr


def broken_when_defined_there(folder: Inside) -> None:
    """And here it can't be made whole for the time being."""
    fault(folder, "b", "--at", "1", "--errno", "EIO", "--after")
    fault(folder, "a", "--at", "2", "--do", "systemctl stop libvirtd")
    assert folder.run(*MOVE, "--yes").returncode == ExitCode.PARTIAL
    folder.run("sim", "run", "a.sim", "systemctl", "start", "libvirtd")
    (run,) = open_moves(folder.path / "a.sim.state")
    assert run.header["moves"] == "db1"


def on(folder: Inside, side: str) -> set[str]:
    return set(TwinHost.open(folder.path / f"{side}.sim").twin().libvirt.domains)


def test_a_move_can_be_given_up(folder: Inside) -> None:
    give_up = ("--host", "sim:a.sim", "migrate", "db1", "--forget")
    assert folder.run(*give_up, "--yes").returncode == ExitCode.USAGE
    broken_when_defined_there(folder)
    before = files(folder)
    assert folder.run(*give_up).returncode == ExitCode.USAGE  # It asks, and there is no terminal.
    assert folder.run(*give_up, "--to", "sim:b.sim", "--yes").returncode == ExitCode.USAGE
    assert files(folder) == before
    done = folder.run(*give_up, "--yes")
    assert done.returncode == ExitCode.OK, done.stderr
    for part in ("started on one side only", "move.json", "Neither host was changed."):
        assert part in done.stderr
    changed = {name for name, data in files(folder).items() if before.get(name) != data}
    assert all(name.endswith("journal.jsonl") for name in changed), changed
    assert not open_moves(folder.path / "a.sim.state")
    assert "later given up" in folder.run("--host", "sim:a.sim", "history").stdout
    assert "db1" in on(folder, "a") & on(folder, "b")


def test_one_that_was_renamed_is_found_by_its_uuid(folder: Inside) -> None:
    broken_when_defined_there(folder)
    assert folder.run("sim", "run", "a.sim", "virsh", "domrename", "db1", "dbx").returncode == ExitCode.OK
    done = folder.run("--host", "sim:a.sim", "migrate", "dbx", "--to", "sim:b.sim", "--yes")
    assert done.returncode == ExitCode.PARTIAL, done.stderr
    assert "db1 was changed here by somebody else (dbx now)" in done.stderr
    assert "It lacks NIC 52:54:00:6d:90:13 hostdev and device" in done.stderr
    assert "Taken back: db1 is no longer on sim:b.sim." in done.stderr
    assert ("dbx" in on(folder, "a"), "db1" in on(folder, "b")) == (True, False)
    assert not open_moves(folder.path / "a.sim.state")


def test_what_is_taken_back_before_nothing_else_is_begun_is_said(folder: Inside) -> None:
    broken_when_defined_there(folder)
    with TwinHost.open(folder.path / "a.sim").changing() as twin:
        twin.guest("db1").managed_save = True
    done = folder.run(*MOVE, "--yes")
    assert done.returncode == ExitCode.ROLLED_BACK, done.stderr
    assert "The earlier move was taken back; no new one was begun." in done.stderr
    assert "Nothing was changed" not in done.stdout + done.stderr
    assert ("db1" in on(folder, "a"), "db1" in on(folder, "b")) == (True, False)


def test_one_that_others_took_away_is_not_defined_anew(folder: Inside) -> None:
    fault(folder, "a", "--at", "1", "--do", "systemctl stop libvirtd", "--after")
    assert folder.run(*MOVE, "--yes").returncode == ExitCode.PARTIAL
    folder.run("sim", "run", "a.sim", "systemctl", "start", "libvirtd")
    assert folder.run("sim", "run", "a.sim", "virsh", "undefine", "db1").returncode == ExitCode.OK
    done = folder.run(*MOVE, "--yes")
    assert done.returncode == ExitCode.FAILED, done.stderr
    assert "somebody else has undefined or moved it" in done.stderr
    assert ("db1" in on(folder, "a"), "db1" in on(folder, "b")) == (False, False)
    assert not open_moves(folder.path / "a.sim.state")
