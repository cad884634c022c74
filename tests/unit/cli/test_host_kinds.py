"""The host's own kinds of things as a user declares them, on the lab's twin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.exit_codes import ExitCode
from tests.unit.cli.inside import Inside

SIM = ("--host", "sim:x.sim")


@pytest.fixture
def inside(tmp_path: Path) -> Inside:
    """A host that is as the lab is when it is clean."""
    folder = Inside(tmp_path)
    assert folder.run("sim", "new", "x.sim", "--profile", "igb-lab").returncode == ExitCode.OK
    return folder


def snapshot(inside: Inside) -> Any:
    return json.loads(inside.run(*SIM, "snapshot").stdout)


def by_hand(inside: Inside, *command: str) -> None:
    assert inside.run("sim", "run", "x.sim", *command).returncode == ExitCode.OK


def test_services_from_plan_to_rollback(inside: Inside) -> None:
    inside.write("a.toml", 'schema = 1\n[services]\nirqbalance = "stopped"\nnumad = "stopped"\n')
    before = snapshot(inside)["services"]
    shown = inside.run(*SIM, "plan", "a.toml")
    assert shown.returncode == ExitCode.OK
    assert "services.irqbalance: stop it" in shown.stdout
    assert "services.irqbalance: do not start it at boot" in shown.stdout
    assert "numad" not in shown.stdout
    assert inside.run(*SIM, "apply", "a.toml", "--yes").returncode == ExitCode.OK
    assert "In sync" in inside.run(*SIM, "plan", "a.toml").stdout
    by_hand(inside, "reboot")
    assert inside.run(*SIM, "drift", "a.toml").returncode == ExitCode.OK
    by_hand(inside, "systemctl", "start", "irqbalance")
    drift = inside.run(*SIM, "drift", "a.toml")
    assert drift.returncode == ExitCode.CHANGES
    assert "services.irqbalance.now" in drift.stdout
    by_hand(inside, "systemctl", "stop", "irqbalance")
    assert inside.run(*SIM, "rollback", "--yes").returncode == ExitCode.OK
    assert snapshot(inside)["services"] == before


def test_a_service_that_is_missing_blocks_the_plan_and_the_rest_can_be_done(inside: Inside) -> None:
    inside.write("a.toml", 'schema = 1\n[services]\nirqblance = "running"\nirqbalance = "stopped"\n')
    blocked = inside.run(*SIM, "apply", "a.toml", "--yes")
    assert blocked.returncode == ExitCode.FAILED
    assert "a.toml:3" in blocked.stdout
    assert 'did you mean "irqbalance"?' in " ".join(blocked.stdout.split())
    partly = inside.run(*SIM, "apply", "a.toml", "--yes", "--partial")
    assert partly.returncode == ExitCode.PARTIAL
    assert snapshot(inside)["services"]["units"]["irqbalance"]["active"] == "inactive"


def test_adopt_declares_no_services(inside: Inside) -> None:
    assert "services" not in inside.run(*SIM, "adopt").stdout


def test_huge_pages_from_plan_to_rollback(inside: Inside) -> None:
    inside.write("a.toml", "schema = 1\n[hugepages]\n2M = 64\n1G = { node0 = 1 }\n")
    before = snapshot(inside)["hugepages"]
    assert inside.run(*SIM, "apply", "a.toml", "--yes").returncode == ExitCode.OK
    again = inside.run(*SIM, "plan", "a.toml")
    assert "In sync" in again.stdout
    assert again.stderr == "", "the ledger has what was applied per node, too"
    adopted = inside.run(*SIM, "adopt").stdout
    assert "2M = 64" in adopted
    by_hand(inside, "reboot")
    assert inside.run(*SIM, "drift", "a.toml").returncode == ExitCode.OK
    by_hand(inside, "echo", "3", ">", "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
    drift = inside.run(*SIM, "drift", "a.toml")
    assert drift.returncode == ExitCode.CHANGES
    assert "hugepages.2M.now" in drift.stdout
    assert "hugepages.2M: the host doesn't have" in inside.run(*SIM, "adopt").stderr
    assert inside.run(*SIM, "apply", "a.toml", "--yes").returncode == ExitCode.OK
    assert inside.run(*SIM, "rollback", "--yes").returncode == ExitCode.OK
    assert snapshot(inside)["hugepages"]["sizes"]["2M"]["total"] == 3
    assert inside.run(*SIM, "rollback", "--yes").returncode == ExitCode.FAILED
    assert before["own"] is None


def test_more_huge_pages_than_memory_are_refused(inside: Inside) -> None:
    inside.write("a.toml", "schema = 1\n[hugepages]\n2M = 4096\n")
    blocked = inside.run(*SIM, "apply", "a.toml", "--yes")
    assert blocked.returncode == ExitCode.FAILED
    assert "There is not enough memory for so many." in blocked.stdout
    assert snapshot(inside)["hugepages"]["sizes"]["2M"]["total"] == 0


def test_fewer_than_asked_for_ends_part_way_and_says_how_many(inside: Inside) -> None:
    twin = json.loads((inside.path / "x.sim").read_text())
    inside.write("x.sim", json.dumps({**twin, "most_pages": {"2M": 30}}))
    inside.write("a.toml", "schema = 1\n[hugepages]\n2M = 100\n")
    done = inside.run(*SIM, "apply", "a.toml", "--yes")
    assert done.returncode == ExitCode.PARTIAL
    assert "30 of 100" in " ".join(done.stdout.split())
    assert snapshot(inside)["hugepages"]["own"] == {"2M": 100}


def test_modules_to_load_from_plan_to_rollback(inside: Inside) -> None:
    inside.write("a.toml", 'schema = 1\n[modules]\nload = ["vfio-pci", "netdevsim"]\n')
    before = snapshot(inside)["modules"]
    assert inside.run(*SIM, "apply", "a.toml", "--yes").returncode == ExitCode.OK
    assert "In sync" in inside.run(*SIM, "plan", "a.toml").stdout
    assert {"vfio_pci", "netdevsim"} <= set(snapshot(inside)["modules"]["loaded"])
    assert 'load = ["netdevsim", "vfio_pci"]' in inside.run(*SIM, "adopt").stdout
    by_hand(inside, "reboot")
    assert inside.run(*SIM, "drift", "a.toml").returncode == ExitCode.OK
    by_hand(inside, "modprobe", "-r", "netdevsim")
    drift = inside.run(*SIM, "drift", "a.toml")
    assert drift.returncode == ExitCode.CHANGES
    assert "modules.load.loaded" in drift.stdout
    by_hand(inside, "modprobe", "netdevsim")
    assert inside.run(*SIM, "rollback", "--yes").returncode == ExitCode.OK
    assert snapshot(inside)["modules"] == before
