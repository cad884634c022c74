"""Huge pages of a simulated host."""

from __future__ import annotations

import pytest

from reconciler.host.model import PagesOfSize
from reconciler.host.protocol import HostError
from reconciler.host.twin.host import TwinHost
from reconciler.host.twin.profiles import make_from
from tests.unit.host.twin.twins import do, lab

FOLDER = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"


def pages(host: TwinHost, size: str = "2M") -> PagesOfSize:
    return (host.observe().hugepages.sizes or {})[size]


def by_node(host: TwinHost) -> list[int]:
    return [node.total for node in pages(host).nodes.values()]


def test_now_and_at_boot() -> None:
    host = lab()
    host.set_huge_pages("2M", 100, 10)
    host.set_huge_pages_at_boot({"2M": 60})
    assert (pages(host).total, pages(host).free) == (100, 100)
    do(host, "reboot")
    assert pages(host).total == 60
    host.set_huge_pages_at_boot(None)
    do(host, "reboot")
    assert pages(host).total == 0


def test_they_are_spread_over_the_nodes() -> None:
    host = TwinHost(make_from("r620-x520"))
    host.set_huge_pages("2M", 101, 10)
    assert by_node(host) == [50, 51]
    host.set_huge_pages("2M", {"node0": 7}, 10)
    assert (by_node(host), pages(host).total) == ([7, 51], 58)


def test_as_many_as_there_is_memory_for() -> None:
    host = lab()
    host.set_huge_pages("1G", 100, 10)
    assert 1 <= pages(host, "1G").total <= 3
    before = pages(host, "1G").total
    host.set_huge_pages("2M", 4096, 10)
    assert 0 < pages(host).total < 2048 - before * 512


def test_memory_that_is_fragmented() -> None:
    host = lab()
    with host.changing() as twin:
        twin.most_pages["2M"] = 30
    host.set_huge_pages("2M", 100, 10)
    assert pages(host).total == 30


def test_pages_in_use_stay_as_surplus() -> None:
    host = lab(f"echo 100 > {FOLDER}")
    with host.changing() as twin:
        assert twin.hugepages.sizes is not None
        twin.hugepages.sizes["2M"].nodes["node0"].free = 20
    host.set_huge_pages("2M", 50, 10)
    found = pages(host)
    assert (found.total, found.free, found.surplus) == (80, 0, 30)


@pytest.mark.parametrize(("size", "wanted"), [("16M", 1), ("2M", {"node9": 1})])
def test_what_it_refuses(size: str, wanted: int | dict[str, int]) -> None:
    with pytest.raises(HostError, match="refused a number of huge pages") as refused:
        lab().set_huge_pages(size, wanted, 10)
    assert refused.value.errno == 2


def test_doctor_sees_them() -> None:
    host = lab(f"echo 5 > {FOLDER}")
    found = {page.size_kib: (page.total, page.free) for page in host.examine().huge_pages or []}
    assert found == {2048: (5, 5), 1024 * 1024: (0, 0)}
