"""The table of distributions, on recorded file trees."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from reconciler.host.local.distribution import (
    BOOT_LOADERS,
    DISTRIBUTIONS,
    DRACUT,
    DROP_IN,
    GRUBBY,
    INITRAMFS,
    KERNEL_INSTALL,
    PBL,
    SDBOOTUTIL,
    UPDATE_INITRAMFS,
    BootLoader,
    Initramfs,
    find_boot_loader,
    find_distribution,
    find_initramfs,
    initramfs_images,
    libvirt_daemons,
    os_release,
    usual_libvirt,
)

TREES = Path(__file__).parent / "trees"


@pytest.mark.parametrize(
    ("tree", "title", "loader", "initramfs", "image"),
    [
        ("debian-12", "Debian 12 and 13", DROP_IN, UPDATE_INITRAMFS, "initrd.img-6.1.0-28-amd64"),
        ("debian-13", "Debian 12 and 13", DROP_IN, UPDATE_INITRAMFS, "initrd.img-6.12.48+deb13-amd64"),
        (
            "debian-13-systemd-boot",
            "Debian 12 and 13",
            KERNEL_INSTALL,
            UPDATE_INITRAMFS,
            "initrd.img-6.12.48+deb13-amd64",
        ),
        ("ubuntu-24.04", "Ubuntu 24.04", DROP_IN, UPDATE_INITRAMFS, "initrd.img-6.8.0-51-generic"),
        ("rocky-9", "RHEL 9 and its likes", GRUBBY, DRACUT, "initramfs-5.14.0-503.14.1.el9_5.x86_64.img"),
        ("opensuse-leap-15.6", "openSUSE Leap 15", PBL, DRACUT, "initrd-6.4.0-150600.23.33-default"),
        ("opensuse-tumbleweed", "openSUSE Tumbleweed", SDBOOTUTIL, DRACUT, None),
    ],
)
def test_each_tree_is_known(tree: str, title: str, loader: BootLoader, initramfs: Initramfs, image: str | None) -> None:
    root = TREES / tree
    row = find_distribution(root)
    assert row is not None
    assert (row.title, find_boot_loader(root), find_initramfs(root)) == (title, loader, initramfs)
    kernel = next(iter(sorted(root.glob("boot/init*"))), None)
    release = image.replace("initrd.img-", "").replace("initramfs-", "").replace("initrd-", "") if image else "6.12.1"
    found = initramfs_images(root, initramfs, release.removesuffix(".img")).get(release.removesuffix(".img"))
    assert found == kernel
    assert (found.name if found is not None else None) == image


def copied(tmp_path: Path, tree: str) -> Path:
    return Path(shutil.copytree(TREES / tree, tmp_path / tree))


def test_a_grub_that_did_not_start_the_kernel_is_not_written_to(tmp_path: Path) -> None:
    for tree in ("debian-13", "rocky-9", "opensuse-leap-15.6"):
        root = copied(tmp_path, tree)
        (root / "proc/cmdline").write_text("root=/dev/vda ro console=ttyS0\n")
        assert find_boot_loader(root) is None


def test_a_grub_without_drop_ins_is_not_given_any(tmp_path: Path) -> None:
    root = copied(tmp_path, "debian-13")
    (root / "usr/sbin/grub-mkconfig").write_text(". ${sysconfdir}/default/grub\n")
    assert find_boot_loader(root) is None


def test_what_is_there_goes_before_the_name(tmp_path: Path) -> None:
    """A system of another name with Debian's tools; Debian with the kernel started by systemd-boot, GRUB's files being
    left over."""
    root = copied(tmp_path, "debian-12")
    (root / "etc/os-release").write_text('ID=armbian\nVERSION_ID="1"\n')
    assert find_distribution(root) is None
    assert find_boot_loader(root) is DROP_IN
    assert find_initramfs(root) is UPDATE_INITRAMFS

    root = copied(tmp_path, "debian-13-systemd-boot")
    shutil.copytree(TREES / "debian-13/boot", root / "boot", dirs_exist_ok=True)
    (root / "usr/sbin/update-grub").touch()
    shutil.copy(TREES / "debian-13/usr/sbin/grub-mkconfig", root / "usr/sbin")
    assert find_boot_loader(root) is KERNEL_INSTALL


def test_a_likeness_counts_with_its_version(tmp_path: Path) -> None:
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/os-release").write_text("ID=mine\nID_LIKE='centos rhel'\nVERSION_ID=9.4\n# x=y\n")
    found = find_distribution(tmp_path)
    assert found is not None
    assert found.title == "RHEL 9 and its likes"
    (tmp_path / "usr/lib/os-release").write_text("ID=rhel\nVERSION_ID=8.10\n")
    assert find_distribution(tmp_path) is None
    assert os_release(tmp_path / "nowhere") == {}
    assert (find_boot_loader(tmp_path), find_initramfs(tmp_path)) == (None, None)


def test_dracut_behind_debians_command_is_listed_by_its_own(tmp_path: Path) -> None:
    root = copied(tmp_path, "debian-13")
    (root / "usr/bin/lsinitramfs").unlink()
    for name in ("dracut", "lsinitrd"):
        (root / "usr/bin" / name).touch()
    found = find_initramfs(root)
    assert found is not None
    assert (found.command, found.lister, found.listing) == ("update-initramfs", "lsinitrd", ("lsinitrd", "{image}"))


def test_the_table_is_whole() -> None:
    assert {row.boot_loader for row in DISTRIBUTIONS} <= set(BOOT_LOADERS)
    assert {row.initramfs for row in DISTRIBUTIONS} <= set(INITRAMFS)
    for tool in INITRAMFS:
        assert "{kernel}" in " ".join(tool.rebuild)
        assert all("{kernel}" in image for image in tool.images)


@pytest.mark.parametrize("tree", ["debian-12", "debian-13", "ubuntu-24.04", "rocky-9", "opensuse-leap-15.6"])
def test_libvirt_is_one_daemon_or_many(tree: str, tmp_path: Path) -> None:
    root = Path(shutil.copytree(TREES / tree, tmp_path / tree))
    one = tree.startswith(("debian", "ubuntu"))
    assert usual_libvirt(root) == (("libvirtd",) if one else ("virtqemud", "virtnetworkd"))
    assert libvirt_daemons(root) == (("libvirtd",) if one else ("virtqemud",))
    shutil.rmtree(root / "etc/systemd")  # Nothing is enabled any more.
    assert libvirt_daemons(root) == ()
