"""Huge pages in sysfs, and our own file."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from reconciler.host.local import hugepages
from reconciler.host.local.child import NoAnswer
from reconciler.host.model import NodePages, PagesOfSize
from reconciler.host.protocol import HostError
from reconciler.state.desired import Pages

FOLDER = "hugepages-2048kB"


def write(root: Path, path: str, text: str) -> None:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def counts(root: Path, folder: str, total: int, free: int, surplus: int = 0) -> None:
    for name, value in (("nr", total), ("free", free), ("surplus", surplus)):
        write(root, f"{folder}/{name}_hugepages", f"{value}\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two nodes, the second without pages of a GiB; and a node without memory."""
    for kib, total in ((2048, 12), (1048576, 1)):
        counts(tmp_path, f"sys/kernel/mm/hugepages/hugepages-{kib}kB", total, total)
        write(tmp_path, f"sys/kernel/mm/hugepages/hugepages-{kib}kB/resv_hugepages", "1\n")
    counts(tmp_path, f"sys/devices/system/node/node0/hugepages/{FOLDER}", 8, 6, 1)
    counts(tmp_path, f"sys/devices/system/node/node1/hugepages/{FOLDER}", 4, 4)
    (tmp_path / "sys/devices/system/node/node2").mkdir()
    write(tmp_path, "sys/devices/system/node/online", "0-2\n")
    write(tmp_path, "proc/meminfo", "MemTotal:        4013940 kB\nHugepagesize:       2048 kB\n")
    write(
        tmp_path,
        "sys/devices/system/node/node0/meminfo",
        "\nNode 0 MemTotal:        2000000 kB\nNode 0 MemFree: 1 kB\n",
    )
    for name in ("compact_memory", "drop_caches"):
        write(tmp_path, f"proc/sys/vm/{name}", "")
    return tmp_path


def test_what_is_there(root: Path) -> None:
    notes: list[str] = []
    found = hugepages.read_huge_pages(root, notes)
    assert found.sizes is not None
    assert list(found.sizes) == ["2M", "1G"]
    nodes = {"node0": NodePages(8, 6, 1), "node1": NodePages(4, 4)}
    assert found.sizes["2M"] == PagesOfSize(12, 12, 0, reserved=1, nodes=nodes)
    assert found.sizes["1G"].nodes == {}
    assert (found.memory_kib, found.nodes_kib, found.own, notes) == (4013940, {"node0": 2000000}, None, [])


def test_a_kernel_without_huge_pages(tmp_path: Path) -> None:
    found = hugepages.read_huge_pages(tmp_path, [])
    assert (found.sizes, found.memory_kib) == ({}, None)


def test_what_can_not_be_read_is_unknown(root: Path) -> None:
    (root / f"sys/kernel/mm/hugepages/{FOLDER}/free_hugepages").unlink()
    notes: list[str] = []
    assert hugepages.read_huge_pages(root, notes).sizes is None
    assert "free_hugepages" in notes[0]


@pytest.mark.parametrize("pages", [{"2M": 8}, {"2M": {"node0": 8, "node1": 0}, "1G": 4}, {"2M": 0}])
def test_our_own_file_there_and_back(root: Path, pages: dict[str, Pages]) -> None:
    hugepages.write_own(root, pages)
    assert hugepages.read_huge_pages(root, []).own == pages
    text = (root / hugepages.OWN_FILE).read_text()
    assert text.startswith("# Written by reconciler")
    assert str(root) not in text
    hugepages.write_own(root, None)
    assert not (root / hugepages.OWN_FILE).exists()


def test_its_lines_are_those_of_tmpfiles_d(root: Path) -> None:
    hugepages.write_own(root, {"2M": {"node1": 4}, "1G": 2})
    lines = [line for line in (root / hugepages.OWN_FILE).read_text().splitlines() if not line.startswith("#")]
    assert lines == [
        "w /sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages - - - - 4",
        "w /sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages - - - - 2",
    ]


def test_a_file_of_that_name_that_is_not_ours_is_left_alone(root: Path) -> None:
    write(root, hugepages.OWN_FILE, "w /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages - - - - 7\n")
    assert hugepages.read_huge_pages(root, []).own is None
    with pytest.raises(HostError, match="not written by reconciler"):
        hugepages.write_own(root, {"2M": 8})
    assert "- 7" in (root / hugepages.OWN_FILE).read_text()


class Kernel:
    """Takes writes, and makes no more pages than there is room for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int, *, after: int = 99) -> None:
        self.room, self.after, self.written = room, after, list[str]()
        monkeypatch.setattr(hugepages, "write_file", self.write)

    def write(self, path: Path, text: str, seconds: float) -> None:
        self.written.append(f"{path.parent.parent.parent.name}/{path.name} {text}")
        self.after -= path.name == "compact_memory"
        if path.name == "nr_hugepages":
            surplus = int(path.with_name("surplus_hugepages").read_text())
            path.write_text(str((int(text) if self.after <= 0 else min(int(text), self.room)) + surplus))


def total(root: Path, node: str = "") -> str:
    folder = f"sys/devices/system/node/{node}/hugepages" if node else "sys/kernel/mm/hugepages"
    return (root / folder / FOLDER / "nr_hugepages").read_text()


def test_enough_room(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(monkeypatch, 100)
    hugepages.set_huge_pages(root, "2M", 50, 5.0)
    assert total(root) == "50"
    assert len(kernel.written) == 1


def test_the_node_that_gets_fewer_comes_first(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(monkeypatch, 100)
    hugepages.set_huge_pages(root, "2M", {"node0": 20, "node1": 2}, 5.0)
    assert kernel.written == ["node1/nr_hugepages 2", "node0/nr_hugepages 20"]
    assert (total(root, "node0"), total(root, "node1")) == ("21", "2"), "one of them is surplus"


@pytest.mark.parametrize(("after", "writes"), [(1, 3), (2, 6), (99, 6)])
def test_room_is_made_twice_and_no_more(root: Path, monkeypatch: pytest.MonkeyPatch, after: int, writes: int) -> None:
    kernel = Kernel(monkeypatch, 30, after=after)
    hugepages.set_huge_pages(root, "2M", 50, 5.0)
    assert len(kernel.written) == writes
    names = [line.split("/")[1].split()[0] for line in kernel.written]
    whole = ["nr_hugepages", "compact_memory", "nr_hugepages", "drop_caches", "compact_memory", "nr_hugepages"]
    assert names == whole[:writes]
    assert total(root) == ("30" if after == 99 else "50")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.EINVAL, "Invalid argument"), "only at boot: put hugepagesz="),
        (OSError(errno.ENOENT, "No such file or directory"), "This host has no such pages"),
        (NoAnswer(7), "process 7 waits for it"),
    ],
)
def test_a_refusal(root: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, says: str) -> None:
    def refuse(path: Path, text: str, seconds: float) -> None:
        raise error

    monkeypatch.setattr(hugepages, "write_file", refuse)
    with pytest.raises(HostError) as refused:
        hugepages.set_huge_pages(root, "1G", 3, 5.0)
    assert says in refused.value.detail


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"etc/sysctl.d/50-a.conf": "# vm.nr_hugepages=1\nvm.swappiness = 1\nvm.nr_overcommit_hugepages=9\n"}, None),
        ({"etc/sysctl.d/50-a.conf": "\n-vm/nr_hugepages = 7\n"}, ("/etc/sysctl.d/50-a.conf", 2, 7)),
        (
            {"usr/lib/sysctl.d/90-b.conf": "vm.nr_hugepages=8\n", "etc/sysctl.d/50-a.conf": "vm.nr_hugepages=7\n"},
            ("/usr/lib/sysctl.d/90-b.conf", 1, 8),
        ),
        (
            {"usr/lib/sysctl.d/a.conf": "vm.nr_hugepages=8\n", "etc/sysctl.conf": "vm.nr_hugepages_mempolicy=9\n"},
            ("/etc/sysctl.conf", 1, 9),
        ),
    ],
)
def test_what_sysctl_makes(root: Path, files: dict[str, str], expected: tuple[str, int, int] | None) -> None:
    for path, text in files.items():
        write(root, path, text)
    found = hugepages.read_huge_pages(root, []).sysctl
    assert (None if found is None else (found.path, found.line, found.count)) == expected
    assert found is None or found.size == "2M"


def test_a_link_to_sysctl_conf_is_read_in_its_place(root: Path) -> None:
    write(root, "etc/sysctl.conf", "vm.nr_hugepages=1\n")
    write(root, "etc/sysctl.d/99-z.conf", "vm.nr_hugepages=2\n")
    (root / "etc/sysctl.d/99-sysctl.conf").symlink_to("../sysctl.conf")
    found = hugepages.read_huge_pages(root, []).sysctl
    assert found is not None
    assert (found.path, found.count) == ("/etc/sysctl.d/99-z.conf", 2)


def test_a_file_of_sysctl_that_can_not_be_read_is_a_note(root: Path) -> None:
    (root / "etc/sysctl.d/a.conf").mkdir(parents=True)
    notes: list[str] = []
    assert hugepages.read_huge_pages(root, notes).sizes is not None
    assert "a.conf can't be read" in notes[0]
