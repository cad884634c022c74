"""From an image to the snapshot `clean`: boot, put in what is missing, start the guest, settle, save.

It takes two minutes, so its result is kept beside the image: a disk file with the snapshot in it, which every
lab begins as a copy of.
"""

import shutil
from pathlib import Path

from tests.lab.machinery import boot, hardware, image, python, snapshots
from tests.lab.machinery.basics import HERE, archive, cache, digest, locked, say, wait_until
from tests.lab.machinery.errors import LabError, Timeout
from tests.lab.machinery.machine import Machine
from tests.lab.machinery.shell import Shell

GUESTS = HERE / "guests"
CLEAN = "clean"


def disk(image_id: str) -> Path:
    """Where the prepared disk that this checkout asks for is kept."""
    files = (hardware.__file__, snapshots.__file__, __file__)
    parts: list[bytes | Path] = [*map(Path, files), GUESTS]
    return cache() / f"prepared-{image_id}-{digest([*parts, python.dependencies_id().encode()])}.qcow2"


def prepared() -> tuple[image.Image, Path]:
    """The image, and a disk with the snapshot `clean`; both are made if they aren't there yet."""
    base = image.build()
    target = disk(base.id)
    if not target.exists():
        dependencies = python.fetch_dependencies(base)
        with locked(target.with_suffix(".lock"), "preparing the snapshot"):
            if not target.exists():
                _prepare(base, dependencies, target)
    return base, target


def _prepare(base: image.Image, dependencies: Path, target: Path) -> None:
    """Make `target`, by way of a machine of its own; on failure its folder stays, to be looked into."""
    place = target.with_suffix(".part")
    machine = Machine(place)
    machine.stop()
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    shutil.copy(base.disk, place / "disk.qcow2")
    shell = Shell(machine, base)
    say("booting the image (a minute or two)")
    machine.start(base)
    try:
        boot.wait(machine, shell)
        settle(shell)
        _boot_loader(shell)
        say("putting in Python dependencies, netdevsim and guests")
        _send(shell, "mkdir -p /opt/reconciler/src && " + python.replace("deps"), archive(dependencies))
        _netdevsim(shell, base)
        _guests(shell)
        _check(shell)
        settle(shell)
        shell.run("sync")
        say("saving the snapshot")
        snapshots.save(machine, shell, CLEAN)
        shell.disconnect()
        machine.stop()
        say("trying the snapshot")
        snapshots.load(machine, shell, CLEAN)
    finally:
        shell.disconnect()
        machine.stop()
    (place / "disk.qcow2").rename(target)
    shutil.rmtree(place)


def settle(shell: Shell) -> None:
    """Wait until the lab has booted and neither systemd nor udev have anything left to do."""
    state = shell.run("systemctl is-system-running --wait", boot.WITHIN, check=False).stdout.strip()
    if state not in ("running", "degraded"):
        raise LabError(f"the lab's systemd says: {state}")
    if state == "degraded":
        say("failed in the lab: " + shell.run("systemctl --failed --plain --no-legend").stdout.strip())
    shell.run("udevadm settle")

    def idle() -> bool:
        jobs = shell.run("systemctl list-jobs --no-legend").stdout.strip()
        load = shell.run("top -bn2 -d2 | grep '^%Cpu' | tail -1").stdout
        return not jobs and float(load.split(",")[3].split()[0]) > 40

    wait_until(idle, "the lab is idle", 300)


def _send(shell: Shell, command: str, data: bytes) -> None:
    done = shell.bytes(command, 300, data)
    if done.returncode:
        raise LabError(f"in the lab: {command}: {done.stderr.decode(errors='replace')}")


def _boot_loader(shell: Shell) -> None:
    """Have the lab's own update-grub make the menu that all later boots go by: the arguments have to stay the same."""
    shell.run("update-grub", 300)
    now = shell.run("cat /proc/cmdline").stdout.split()
    menu = shell.run("grep -o '^[[:blank:]]*linux[[:blank:]].*' /boot/grub/grub.cfg | head -1").stdout.split()
    # update-grub says `ro` before our arguments, whose `rw` comes later and counts.
    if set(menu[2:]) - {"ro"} != {word for word in now if not word.startswith("BOOT_IMAGE=")}:
        raise LabError(f"update-grub changes the kernel's arguments: {' '.join(now)} becomes {' '.join(menu)}")


def _netdevsim(shell: Shell, base: image.Image) -> None:
    """Put in netdevsim so that `modprobe netdevsim` works."""
    module = base.dir / "netdevsim.ko"
    folder = f"/lib/modules/{base.kernel_release}/extra"
    _send(shell, f"mkdir -p {folder} && cat >{folder}/netdevsim.ko && depmod", module.read_bytes())
    built_for = shell.run("modinfo --field vermagic netdevsim").stdout.split()[0]
    if built_for != base.kernel_release:
        raise LabError(f"netdevsim was built for {built_for}, the lab's kernel is {base.kernel_release}")


def _guests(shell: Shell) -> None:
    """Define the guests; start web1 and wait until it says that it is up."""
    shell.run("mkdir -p /var/log/lab")
    for path in sorted(GUESTS.glob("*.xml")):
        name = path.stem
        shell.run(f"cat >/var/lib/lab/guest/{name}.xml", data=path.read_text())
        shell.run(f"virsh define /var/lib/lab/guest/{name}.xml")
    say("starting the guest web1")
    shell.run("virsh start web1")
    try:
        wait_until(lambda: _said_ready(shell), "the guest web1 is ready", 300, 1)
    except Timeout:
        raise LabError(f"web1 is not ready; its console:\n{shell.run('cat /var/log/lab/web1.log').stdout}") from None


def _said_ready(shell: Shell) -> bool:
    return shell.run("grep -q 'lab-guest: ready' /var/log/lab/web1.log", check=False).returncode == 0


def _check(shell: Shell) -> None:
    """Make the host what `clean` promises: igbvf loaded, cards there, down, without VFs."""
    shell.run("modprobe igbvf")
    for card in hardware.CARDS:
        netdev = f"/sys/class/net/{card.netdev}"
        seen = shell.run(
            f"basename $(readlink -f {netdev}/device) && cat {netdev}/device/sriov_numvfs {netdev}/flags"
        ).stdout.split()
        up = int(seen[2], 16) & 1
        if seen[:2] != [card.address, "0"] or up:
            raise LabError(f"{card.netdev} should be {card.address}, without VFs and down; seen: {seen}")
