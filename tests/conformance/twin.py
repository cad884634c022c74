"""Plays cases on the twin."""

from __future__ import annotations

from reconciler.host.model import Snapshot
from reconciler.host.twin import hands
from reconciler.host.twin.clock import settle
from reconciler.host.twin.host import TwinHost
from reconciler.host.twin.profiles import CardProfile, PortProfile, from_profile, read_profile
from reconciler.host.twin.state import Twin
from tests.conformance.cases import Case, Step
from tests.conformance.comparable import Flat, flat
from tests.conformance.playing import Played, play
from tests.conformance.refusals import OK, said


def play_on_twin(case: Case) -> list[Played]:
    """A case from its start; the first thing seen is the host before any step."""
    host = TwinHost(clean_host(case))

    def run(command: str) -> str:
        result = hands.run(host, command)
        return OK if result.ok else said(result.message)

    def settled(step: Step, recorded: Flat | None) -> Snapshot:
        with host.changing() as twin:
            settle(twin)
        return host.observe()

    start = Played("", OK, flat(settled({}, None), case.macs))
    return [start, *play(case.steps, case.macs, run, host, settled)]


def clean_host(case: Case) -> Twin:
    """What a case starts from: the profile that describes the lab's clean host."""
    profile = read_profile("igb-lab")
    if case.netdevsim:
        profile.card["netdevsim"] = CardProfile(driver="netdevsim", max_vfs=4)
        profile.port["eni1np1"] = PortProfile("netdevsim", "netdevsim1", "", bus="netdevsim", altnames=["sim"])
    return from_profile(profile, "igb-lab")
