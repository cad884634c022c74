"""What an image's header names."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from reconciler.host.local import guest_xml, libvirt_xml
from reconciler.host.local.disk_images import below
from reconciler.host.local.shared_storage import Storage


def qcow2(path: Path, backing: str = "", form: str = "", data: str = "", version: int = 3) -> str:
    """Writes a header as qemu-img does."""
    extensions = b""
    for kind, text in ((0xE2792ACA, form), (0x44415441, data)):
        if text:
            extensions += struct.pack(">II", kind, len(text)) + text.encode() + b"\0" * (-len(text) % 8)
    length = 104 if version == 3 else 72
    offset = length + len(extensions) + 8 if backing else 0
    header = b"QFI\xfb" + struct.pack(">IQI", version, offset, len(backing))
    header = header.ljust(72, b"\0")
    if version == 3:
        header += struct.pack(">QQQII", 4 if data else 0, 0, 0, 4, 104)
    path.write_bytes(header + extensions + b"\0" * 8 + backing.encode())
    return str(path)


def test_the_whole_chain_is_followed(tmp_path: Path) -> None:
    (tmp_path / "base.raw").write_bytes(b"QFI\xfb" + b"\xff" * 600)  # A raw disk, whatever its guest writes on it.
    middle = qcow2(tmp_path / "middle", "base.raw", "raw", version=2)
    top = qcow2(tmp_path / "top", middle, "qcow2", data="data.raw")
    found = below(top)
    assert found.files == [middle, str(tmp_path / "data.raw"), str(tmp_path / "base.raw")]
    assert found.unread == []


def test_plain_images_have_nothing_below(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(b"raw")
    assert below(str(tmp_path / "raw")).files == below(qcow2(tmp_path / "q")).files == []
    os.mkfifo(tmp_path / "fifo")
    assert below(str(tmp_path / "fifo")).unread == []


def test_what_cannot_be_told_is_named(tmp_path: Path) -> None:
    gone = below(str(tmp_path / "gone"))
    assert gone.unread == [f"{tmp_path / 'gone'} (No such file or directory)"]
    there = below(qcow2(tmp_path / "net", 'json:{"driver":"nbd"}'))
    assert there.unread == [f'json:{{"driver":"nbd"}}, which {tmp_path / "net"} is based on']
    cut = Path(qcow2(tmp_path / "cut", "/a" * 100, "qcow2"))
    cut.write_bytes(cut.read_bytes()[:120])
    (tmp_path / "short").write_bytes(b"QFI\xfb\0\0\0\3")
    for path in (cut, tmp_path / "short"):
        assert below(str(path)).unread == [f"{path} (its qcow2 header is damaged)"]


def test_a_circle_comes_to_an_end(tmp_path: Path) -> None:
    one = qcow2(tmp_path / "one", str(tmp_path / "two"), "qcow2")
    two = qcow2(tmp_path / "two", str(tmp_path / "one"), "qcow2")
    assert below(one).files == [two]


def test_a_disk_on_a_local_file_below_is_not_shared(tmp_path: Path) -> None:
    top = qcow2(tmp_path / "top", "/local/base", "raw")
    (tmp_path / "link").symlink_to(top)
    xml = (
        "<domain><devices><disk type='file'><driver type='qcow2'/><source file='{}'/>{}<target dev='vda'/></disk>"
        "</devices></domain>"
    )
    storage = Storage(lambda path: (not path.startswith("/local"), ""), os.path.realpath, below)
    found, unread = guest_xml.disks(libvirt_xml.parse(xml.format(tmp_path / "link", "")), storage)
    assert [(disk.source, disk.shared, disk.leads_to) for disk in found] == [
        (str(tmp_path / "link"), True, top),
        ("/local/base", False, ""),
    ]
    assert unread == []
    ended, _ = guest_xml.disks(libvirt_xml.parse(xml.format(top, "<backingStore/>")), storage)
    assert [disk.source for disk in ended] == [top]
