"""Pictures of a host: SVG, DOT, Mermaid."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrib.pictures.draw import PICTURE, draw
from reconciler.host.model import Nic, Snapshot
from reconciler.plan.inventory import build_inventory
from reconciler.report.picture import compose
from reconciler.report.picture_dot import render_dot
from reconciler.report.picture_mermaid import render_mermaid
from reconciler.report.picture_svg import render_svg
from reconciler.report.svg import THEME, fit, width
from tests.hosts import guest, host, igb
from tests.unit.report import samples

ROOT = Path(__file__).parents[3]
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "a<b&\"c']]>\x1b[31m\u202e`x`\\n#;|%%{end}" + "W" * 200
VIEWS = {"svg": render_svg, "dot": render_dot, "mermaid": render_mermaid}


def two_cards(name: str = "web1") -> dict[str, Any]:
    """Two sockets with 63 VFs each; VFs 3 and 10 to 17 of the first have guests, one of the second is named."""
    address = {index: vf.address for index, vf in enumerate(big(1).vfs)}
    return build_inventory(
        host(
            big(1),
            big(2),
            domains=[
                guest(name, running=True, live=[Nic("interface", "ua-rec-data", None, address[3])]),
                guest("router", running=True, live=[Nic("hostdev", None, None, address[n]) for n in range(10, 18)]),
                guest("db1", config=[Nic("hostdev", "ua-rec-fast", None, big(2).vfs[5].address)]),
                guest("idle"),
            ],
        )
    )


def big(number: int) -> Any:
    """A card with 63 VFs."""
    pf = igb(number, 63, up=True, carrier=True, speed=10000, numa_node=number - 1, total_vfs=63)
    for vf in pf.vfs:
        vf.address = f"0000:{number:02x}:{16 + vf.index // 8:02x}.{vf.index % 8}"
    return pf


def texts(picture: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(picture.encode()).iter(f"{SVG}text")]


def test_what_is_alike_is_folded() -> None:
    first, second = compose(two_cards()).ports
    assert [(run.label, run.owner) for run in first.runs] == [
        ("VF 0–2", "3 free"),
        ("VF 3", "web1"),
        ("VF 4–9", "6 free"),
        ("VF 10–17", "router, 8 VFs"),
        ("VF 18–62", "45 free"),
    ]
    assert [(run.label, run.status, run.owner) for run in second.runs][1] == ("VF 5", "off", "db1 (off)")


def test_svg_has_every_socket_card_pf_vf_and_guest_and_a_line_for_each_that_is_had() -> None:
    picture = render_svg(two_cards())
    told = texts(picture)
    for text in ("NUMA node 0", "NUMA node 1", "0000:01:00", "enp1s0", "enp2s0", "web1", "router", "db1", "VF 18–62"):
        assert text in told
    assert "1 guest has no VF: idle." in told
    root = ET.fromstring(picture.encode())
    lines = [path.findtext(f"{SVG}title") for path in root.iter(f"{SVG}path") if "link" in path.get("class", "")]
    assert sorted(filter(None, lines)) == [
        "db1 · enp2s0 VF 5 · ua-rec-fast",
        "router · enp1s0 VF 10–17 · 8 NICs",
        "web1 · enp1s0 VF 3 · ua-rec-data",
    ]
    cells = [group.findtext(f"{SVG}title") or "" for group in root.iter(f"{SVG}g")]
    assert sum(title.startswith("VF ") for title in cells) == 126


def test_svg_stays_within_its_frame_and_texts_within_their_room() -> None:
    root = ET.fromstring(render_svg(two_cards("W" * 300)).encode())
    wide, high = float(root.get("width", "")), float(root.get("height", ""))
    assert wide <= 1500
    for element in root.iter(f"{SVG}text"):
        size, text = float(element.get("font-size", "")), (element.text or "")
        if element.find(f"{SVG}title") is not None:
            text = element.find(f"{SVG}title").tail or ""  # type: ignore[union-attr]
            assert text.endswith("…")
        x, long = float(element.get("x", "")), width(text, size)
        left = x - {"end": long, "middle": long / 2}.get(element.get("text-anchor", ""), 0)
        assert left >= 0
        assert left + long <= wide
        assert float(element.get("y", "")) <= high


def contrast(one: str, other: str) -> float:
    """WCAG 2.1, relative luminance."""

    def luminance(color: str) -> float:
        parts = [int(color[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("role", ["ink", "dim", "host"])
@pytest.mark.parametrize("behind", ["paper", "panel", "card"])
@pytest.mark.parametrize("scheme", [0, 1])
def test_texts_can_be_read_in_light_and_in_dark(role: str, behind: str, scheme: int) -> None:
    assert contrast(THEME[role][scheme], THEME[behind][scheme]) >= 4.5


@pytest.mark.parametrize("role", ["guest", "host", "unknown", "free"])
@pytest.mark.parametrize("scheme", [0, 1])
def test_shapes_can_be_seen(role: str, scheme: int) -> None:
    assert contrast(THEME[role][scheme], THEME["card"][scheme]) >= 3


def test_every_colour_has_a_dark_one() -> None:
    picture = render_svg(two_cards())
    used = set(re.findall(r'class="([^"]*)"', picture))
    roles = {name for names in used for name in names.split() if name != "link"}
    sheet = picture.partition("<style>")[2].partition("</style>")[0]
    assert "prefers-color-scheme: dark" in sheet
    assert all(f".{role}{{" in sheet for role in roles), roles


def test_states_differ_by_shape_and_not_by_colour_alone() -> None:
    picture = render_svg(build_inventory(samples.host()))
    groups = [group for group in ET.fromstring(picture.encode()).iter(f"{SVG}g") if len(group)]
    shapes = {
        tuple((child.tag, child.get("d", "")[:1], child.get("fill") == "none") for child in group) for group in groups
    }
    assert len(shapes) >= 3


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(
    "document",
    [
        build_inventory(Snapshot()),
        build_inventory(host(igb(1))),
        build_inventory(host(igb(1, 7), igb(2, 7))),
        build_inventory(samples.host()),
    ],
    ids=["no PF", "no VF", "lab", "samples"],
)
def test_any_host_can_be_drawn(view: str, document: dict[str, Any]) -> None:
    picture = VIEWS[view](document)
    assert picture.endswith("\n")
    if view == "svg":
        ET.fromstring(picture.encode())


def test_two_hundred_vfs_without_pci_devices() -> None:
    pf = igb(1, 200, bus="netdevsim", device="netdevsim1", driver="netdevsim", total_vfs=None)
    for vf in pf.vfs:
        vf.address = None
    told = texts(render_svg(build_inventory(host(pf))))
    assert "VF 0–199" in told
    assert "NUMA node not known" in told


def test_without_libvirt_nobody_takes_it_for_complete() -> None:
    snapshot = host(igb(1, 2))
    snapshot.libvirt.available, snapshot.libvirt.reason = False, "There is no socket."
    for render in VIEWS.values():
        assert "libvirt could not be asked" in render(build_inventory(snapshot))


def test_alternative_names_stand_beside_the_name() -> None:
    told = texts(render_svg(build_inventory(samples.host())))
    assert told[told.index("enp1s0") + 1] == "p1p1"


def test_a_guest_that_waits_for_a_vf_of_a_pool_is_named() -> None:
    assert "wanted also by db1 (off)" in texts(render_svg(build_inventory(samples.host())))


@settings(deadline=None, max_examples=50)
@given(st.text(min_size=1, max_size=300) | st.just(HOSTILE))
def test_a_name_is_only_ever_text(name: str) -> None:
    document = two_cards(name)
    plain, hostile = (ET.fromstring(render_svg(doc).encode()) for doc in (two_cards(), document))
    assert {element.tag for element in hostile.iter()} == {element.tag for element in plain.iter()}
    for line in render_mermaid(document).splitlines():
        assert len(re.findall('"', line)) % 2 == 0
        assert re.fullmatch(r"[^\"]*(\"[^\"<>&`|{}\[\]\\]*\"[^\"]*)*", line.replace("<br/>", "")), line
    for line in render_dot(document).splitlines():
        outside = re.sub(r'"(?:[^"\\]|\\.)*"', "", line)
        assert re.fullmatch(r"[A-Za-z0-9_ ,.=\[\]{};#-]*", outside), line


def test_a_text_is_cut_to_its_room() -> None:
    assert fit("web1", 100, 11) == "web1"
    cut = fit("漢字" * 50, 100, 11)
    assert cut.endswith("…")
    assert width(cut, 11) <= 100


def test_the_picture_of_the_readme_is_current() -> None:
    assert PICTURE.read_text() == draw(), "run: python -m contrib.pictures.draw"
    assert f"({PICTURE.relative_to(ROOT)})" in (ROOT / "README.md").read_text()
