"""Commands as a user calls them, on recorded hosts: what they print, their exit codes, and that they leave no trace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.exit_codes import ExitCode
from reconciler.host.model import Libvirt, Network, Nic, Snapshot
from reconciler.host.snapshot import dump
from tests.hosts import guest, host, igb

FILE = """schema = 1
[pf.int]
match = { name = "enp1s0" }
vfs = 4

[pf.int.vf.0]
vlan = 100
"""


class Folder:
    """A folder to run commands in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write("host.toml", FILE)
        self.record(host(igb(1, 0)))

    def write(self, name: str, content: str | bytes) -> None:
        (self.path / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    def record(self, snapshot: Snapshot, name: str = "host.json") -> None:
        self.write(name, dump(snapshot))

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        done = self.run_killed(*arguments, stdin=stdin)
        assert 0 <= done.returncode <= 130
        return done

    def run_killed(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """The same for a command that may be killed."""
        environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "80"}
        command = [sys.executable, "-m", "reconciler", *arguments]
        done = subprocess.run(
            command,
            cwd=self.path,
            input=stdin,
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        return done

    def recorded(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("--host", "snapshot:host.json", *arguments)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def in_sync() -> Snapshot:
    snapshot = host(igb(1, 4))
    attributes = snapshot.pfs["pci/0000:01:00.0"].vfs[0].attributes
    assert attributes is not None
    attributes["vlan"] = 100
    return snapshot


def test_changes_are_shown_and_exit_with_0_or_2(folder: Folder) -> None:
    done = folder.recorded("plan", "host.toml")
    assert done.returncode == ExitCode.OK
    assert "pf.int" in done.stdout
    assert folder.recorded("plan", "host.toml", "--detailed-exitcode").returncode == ExitCode.CHANGES


def test_in_sync_exits_with_0(folder: Folder) -> None:
    folder.record(in_sync())
    done = folder.recorded("plan", "host.toml", "--detailed-exitcode")
    assert (done.returncode, done.stderr) == (ExitCode.OK, "")
    assert done.stdout.startswith("In sync")


def test_global_options_may_stand_behind_the_command(folder: Folder) -> None:
    before = folder.run("--host", "snapshot:host.json", "plan", "host.toml", "--json").stdout
    behind = folder.run("plan", "host.toml", "--json", "--host=snapshot:host.json").stdout
    drop = {"created_at": ""}
    assert {**json.loads(before), **drop} == {**json.loads(behind), **drop}


def test_a_saved_plan_is_shown_as_it_was(folder: Folder) -> None:
    fresh = folder.recorded("plan", "host.toml", "-o", "p.json")
    assert fresh.returncode == ExitCode.OK
    assert "reconciler apply p.json" in fresh.stdout
    shown = folder.run("show", "p.json")
    assert "pf.int.vf.0" in shown.stdout
    assert shown.stdout.endswith("To do exactly this:\n    reconciler apply p.json\n")
    assert json.loads(folder.run("show", "p.json", "--json").stdout) == json.loads((folder.path / "p.json").read_text())
    assert folder.run("show", "p.json", "--format", "markdown").stdout.startswith("###")


def test_the_same_snapshot_gives_the_same_plan(folder: Folder) -> None:
    one, two = (json.loads(folder.recorded("plan", "host.toml", "--json").stdout) for _ in range(2))
    del one["created_at"], two["created_at"]
    assert json.dumps(one) == json.dumps(two)


def test_a_recorded_host_is_never_applied_to(folder: Folder) -> None:
    done = folder.recorded("apply", "host.toml", "--yes")
    assert done.returncode == ExitCode.USAGE
    assert "snapshot" in done.stderr


def test_drift_without_a_ledger_is_unrecorded(folder: Folder) -> None:
    done = folder.recorded("drift", "host.toml", "--json")
    assert done.returncode == ExitCode.CHANGES
    document = json.loads(done.stdout)
    assert [(item["address"], item["field"], item["label"]) for item in document["fields"]] == [
        ("pf.int", "vfs", "unrecorded")
    ]
    ignored = folder.recorded("drift", "host.toml", "--ignore", "pf.int.vfs")
    assert ignored.returncode == ExitCode.OK


def test_drift_says_that_all_is_well(folder: Folder) -> None:
    folder.record(in_sync())
    done = folder.recorded("drift", "host.toml")
    assert done.returncode == ExitCode.OK
    assert done.stdout.startswith("In sync")


def test_what_could_not_be_observed_is_8(folder: Folder) -> None:
    snapshot = in_sync()
    snapshot.libvirt = Libvirt(available=False, reason="The daemon does not run.")
    folder.record(snapshot)
    folder.write("host.toml", FILE + '[pool.p]\nvfs = ["int/1-3"]\n')
    for command in ("plan", "drift"):
        done = folder.recorded(command, "host.toml")
        assert done.returncode == ExitCode.UNOBSERVED, done.stdout
        assert "The daemon does not run." in done.stdout
        assert "In sync" not in done.stdout


def test_a_blocked_plan_is_1_and_shown_in_full(folder: Folder) -> None:
    folder.write("host.toml", FILE.replace("enp1s0", "nosuch"))
    done = folder.recorded("plan", "host.toml")
    assert done.returncode == ExitCode.FAILED
    assert "enp1s0 (0000:01:00.0)" in done.stdout
    assert folder.recorded("drift", "host.toml").returncode == ExitCode.UNOBSERVED


def test_every_error_of_a_file_in_one_run_with_its_place(folder: Folder) -> None:
    folder.write("bad.toml", 'schema = 1\n[pf.int]\nmatch = { name = "a" }\nvsf = 4\nmtu = "x"\n')
    for arguments in (("validate", "bad.toml"), ("--host", "snapshot:host.json", "plan", "bad.toml")):
        done = folder.run(*arguments)
        assert done.returncode == ExitCode.INVALID
        lines = done.stderr.splitlines()
        assert [line.split(": ")[0] for line in lines] == ["bad.toml:4:1", "bad.toml:5:1"]
        assert "did you mean" in done.stderr.lower()


def test_one_bad_file_of_two(folder: Folder) -> None:
    folder.write("bad.toml", "schema = 2\n")
    done = folder.run("validate", "host.toml", "bad.toml")
    assert done.returncode == ExitCode.INVALID
    assert "host.toml: valid" in done.stdout
    assert done.stderr.startswith("bad.toml:1:1")


def test_one_bad_file_does_not_stop_the_others(folder: Folder) -> None:
    folder.write("bad.toml", "schema = 2\n")
    done = folder.recorded("plan", "bad.toml", "host.toml", "nosuch.toml", "bad.toml", "--json")
    assert done.returncode == ExitCode.INVALID
    assert json.loads(done.stdout)["verdict"] == "changes"
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["bad.toml", "Error", "bad.toml"]
    done = folder.run("validate", "nosuch.toml", "bad.toml", "host.toml")
    assert done.returncode == ExitCode.INVALID
    assert "nosuch.toml" in done.stderr
    assert "host.toml: valid" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("nosuch",),
        ("plan",),
        ("plan", "--nosuch"),
        ("plan", "nosuch.toml"),
        ("plan", "."),
        ("plan", "host.toml", "--target", "pf.nosuch"),
        ("plan", "host.toml", "host.toml", "-o", "p"),
        ("--host", "nosuch", "plan", "host.toml"),
        ("--host", "sim:x", "plan", "host.toml"),
        ("--color", "pink", "inspect"),
        ("apply", "host.toml", "--allow", "everything"),
        ("plan", "host.toml", "--host"),
    ],
)
def test_wrong_usage_is_64(folder: Folder, arguments: tuple[str, ...]) -> None:
    extra = (
        () if any("host" in item and item.startswith("--") for item in arguments) else ("--host", "snapshot:host.json")
    )
    done = folder.run(*extra, *arguments)
    assert done.returncode == ExitCode.USAGE, done.stderr
    assert done.stderr.strip()
    assert done.stdout == ""


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b'{"format": "reconciler-plan/2"}', b"\x00\xff", b"[" * 100_000])
def test_what_is_no_plan_is_65(folder: Folder, content: bytes) -> None:
    folder.write("p.json", content)
    assert folder.run("show", "p.json").returncode == ExitCode.INVALID


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b'{"format": "reconciler-snapshot/9"}', b"\x00\xff"])
def test_what_is_no_snapshot_is_65(folder: Folder, content: bytes) -> None:
    folder.write("host.json", content)
    assert folder.recorded("inspect").returncode == ExitCode.INVALID


def test_a_plan_that_was_tampered_with_is_refused(folder: Folder) -> None:
    folder.recorded("plan", "host.toml", "-o", "p.json")
    document = json.loads((folder.path / "p.json").read_text())
    document["actions"][0]["needs"] = 7
    folder.write("p.json", json.dumps(document))
    done = folder.run("show", "p.json")
    assert done.returncode == ExitCode.INVALID
    assert "actions" in done.stderr


def test_names_come_out_literally(folder: Folder) -> None:
    folder.record(host(igb(1, 4)))
    folder.write("host.toml", FILE + '[domain."web[bold]".nic.a]\nvf = "int/1"\n')
    done = folder.recorded("plan", "host.toml")
    assert done.returncode == ExitCode.FAILED
    assert 'domain."web[bold]"' in done.stdout


@pytest.mark.parametrize("name", [r"../x[/]", r"a\nb", r"\u001b[31mred", "", r"a\u0000b", "x" * 300])
def test_names_that_libvirt_refuses_are_refused_in_one_line(folder: Folder, name: str) -> None:
    folder.write("host.toml", FILE + f'[domain."{name}".nic.a]\nvf = "int/1"\n')
    done = folder.recorded("plan", "host.toml")
    assert done.returncode == ExitCode.INVALID
    assert "\x1b" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_inspect_shows_who_has_which_vf(folder: Folder) -> None:
    snapshot = host(
        igb(1, 2),
        domains=[guest("web", running=True, live=[Nic("interface", "ua-x", "52:54:00:00:00:01", "0000:01:10.2")])],
    )
    folder.record(snapshot)
    table = folder.recorded("inspect")
    assert table.returncode == ExitCode.OK
    assert any("0000:01:10.2" in line and "web" in line and "ua-x" in line for line in table.stdout.splitlines())
    document = json.loads(folder.recorded("inspect", "--json").stdout)
    assert document["format"] == "reconciler-inventory/1"


@pytest.mark.parametrize(
    ("view", "start"),
    [("text", "lab: "), ("json", "{"), ("svg", "<?xml"), ("dot", 'graph "SR-IOV on lab"'), ("mermaid", "flowchart LR")],
)
def test_inspect_has_pictures_on_stdout_or_in_a_file(folder: Folder, view: str, start: str) -> None:
    folder.record(host(igb(1, 2)))
    done = folder.recorded("inspect", "--format", view)
    assert done.returncode == ExitCode.OK
    assert done.stdout.startswith(start)
    assert folder.recorded("inspect", "--format", view, "-o", "picture").stdout == ""
    assert (folder.path / "picture").read_text() == done.stdout
    assert folder.recorded("inspect", "--format", view, "-o", "no/such/folder").returncode == ExitCode.FAILED


def test_adopt_writes_a_file_with_an_empty_plan_and_never_overwrites(folder: Folder) -> None:
    folder.record(in_sync())
    assert folder.recorded("adopt", "-o", "adopted.toml").returncode == ExitCode.OK
    assert folder.recorded("plan", "adopted.toml", "--detailed-exitcode").returncode == ExitCode.OK
    before = (folder.path / "adopted.toml").read_text()
    done = folder.recorded("adopt", "-o", "adopted.toml")
    assert done.returncode == ExitCode.FAILED
    assert (folder.path / "adopted.toml").read_text() == before


def test_a_snapshot_of_a_snapshot_is_the_same(folder: Folder) -> None:
    folder.recorded("snapshot", "-o", "copy.json")
    assert (folder.path / "copy.json").read_bytes() == (folder.path / "host.json").read_bytes()


def test_one_snapshot_per_host_in_a_folder(folder: Folder) -> None:
    (folder.path / "hosts").mkdir()
    folder.record(host(igb(1, 0)), "hosts/lab.json")
    folder.write("host.toml", FILE + '[host]\nname = "lab"\n')
    done = folder.run("--host", "snapshot:hosts", "plan", "host.toml", "host.toml", "--json")
    assert done.returncode == ExitCode.OK
    assert [json.loads(line)["verdict"] for line in done.stdout.splitlines()] == ["changes", "changes"]


def test_nobody_listens(folder: Folder) -> None:
    command = f"{sys.executable} -m reconciler --host snapshot:host.json plan host.toml --json | head -c 1"
    done = subprocess.run(command, shell=True, cwd=folder.path, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""


def shell(folder: Folder, line: str) -> subprocess.CompletedProcess[str]:
    line = line.replace("reconciler", f"{sys.executable} -m reconciler --host snapshot:host.json", 1)
    return subprocess.run(
        ["bash", "-c", line], cwd=folder.path, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("command", ["reconciler drift host.toml", "reconciler plan host.toml --detailed-exitcode"])
def test_a_reader_that_has_gone_does_not_change_the_answer(folder: Folder, command: str) -> None:
    for away in (" | true; exit ${PIPESTATUS[0]}", " >&-", " 2>&-", " >&- 2>&-"):
        done = shell(folder, command + away)
        assert (done.returncode, done.stderr) == (ExitCode.CHANGES, "")


@pytest.mark.parametrize(
    "command", ["drift host.toml", "inspect", "schema plan", "snapshot", "adopt", "--version", "plan --help"]
)
def test_a_full_disk_is_told(folder: Folder, command: str) -> None:
    done = shell(folder, f"reconciler {command} > /dev/full")
    assert done.returncode == ExitCode.FAILED
    assert (
        done.stderr.splitlines()[-1] == "Error: The output can't be written. Standard output: No space left on device."
    )


def test_messages_that_cannot_be_written_change_nothing(folder: Folder) -> None:
    assert shell(folder, "reconciler plan nosuch.toml 2> /dev/full").returncode == ExitCode.USAGE
    assert shell(folder, "reconciler plan host.toml --detailed-exitcode 2> /dev/full").returncode == ExitCode.CHANGES


def test_what_is_printed_has_no_control_characters(folder: Folder) -> None:
    network = Network("pX\x9b2J\u202e", "u", active=True, mode="hostdev", pf_dev="enp1s0")
    folder.record(host(igb(1, 2), networks=[network]))
    done = folder.recorded("adopt")
    assert "Left out: pool pX\\x9b2J\\u202e: no state file takes this name." in done.stderr
    assert "\x9b" not in done.stderr + done.stdout
    folder.record(host(igb(1, 2), networks=[replace(network, name="p\x1b[31mX")]))  # XML can't hold this one.
    refused = folder.recorded("adopt")
    assert refused.returncode == ExitCode.INVALID
    assert "\x1b" not in refused.stderr + refused.stdout


def test_the_version_is_quick_to_have() -> None:
    program = (
        "import sys; from reconciler.cli.main import main\n"
        "try: main(['--version'])\n"
        "finally: print(sorted(set(sys.modules) & {'typer', 'pydantic', 'pyroute2', 'libvirt', 'rich', 'lxml'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines()[1] == "[]"


@pytest.mark.parametrize(
    "command", ["plan", "apply", "drift", "inspect", "show", "snapshot", "adopt", "validate", "schema"]
)
def test_every_command_explains_itself(folder: Folder, command: str) -> None:
    done = folder.run(command, "--help")
    assert done.returncode == ExitCode.OK
    assert "Usage" in done.stdout
