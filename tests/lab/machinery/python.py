"""Python for the lab: its dependencies, the checkout's code, byte-compiled here by the lab's own Python.

Compiling in the lab would take ten times as long, and not compiling costs every start of the tool seconds.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from tests.lab.machinery.basics import CHECKOUT, archive, cache, digest, last_lines, locked, program, say
from tests.lab.machinery.errors import LabError
from tests.lab.machinery.image import Image

HOME = "/opt/reconciler"
PUSHED = ("reconciler", "states", "schemas", "contrib")
"""The checkout's folders that `push` brings into the lab."""

PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")


def dependencies() -> list[str]:
    """What the project needs at run time, as its pyproject.toml says."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    return sorted(str(item) for item in project["dependencies"])


def dependencies_id() -> str:
    """The name of the dependencies that this checkout asks for."""
    return digest([Path(__file__), *(item.encode() for item in dependencies())])


def folder(image_id: str) -> Path:
    """Where the dependencies that this checkout asks for are kept."""
    return cache() / f"python-{image_id}-{dependencies_id()}"


def fetch_dependencies(image: Image) -> Path:
    """A folder with the dependencies for the image's Python, byte-compiled; made if it isn't there yet."""
    target = folder(image.id)
    with locked(target.with_suffix(".lock"), "fetching the Python dependencies"):
        if not target.exists():
            say("fetching the Python dependencies")
            version = next((image.dir / "python" / "lib").iterdir()).name.removeprefix("python")
            part = target.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            with tempfile.TemporaryDirectory() as scratch:
                platforms = [word for name in PLATFORMS for word in ("--platform", name)]
                program(
                    [
                        *_pip(Path(scratch)),
                        *("install", "--quiet", "--no-compile", "--no-warn-conflicts"),
                        *("--root-user-action=ignore", "--target", part, "--only-binary=:all:"),
                        *("--implementation", "cp", "--python-version", version, *platforms),
                        *dependencies(),
                    ],
                    "fetching the Python dependencies with pip",
                )
            compile_tree(image, part, f"{HOME}/deps")
            part.rename(target)
    return target


def _pip(scratch: Path) -> list[str | Path]:
    """A command line for pip; an interpreter that has none gets a virtual environment for it."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    program([sys.executable, "-m", "venv", scratch / "venv"], "making a virtual environment for pip")
    return [scratch / "venv" / "bin" / "python", "-m", "pip"]


def compile_tree(image: Image, tree: Path, place: str) -> None:
    """Byte-compile `tree` with the image's Python, for use at the path `place` in the lab."""
    compiler = [*image.command("python3"), "-m", "compileall", "-q", "-s", str(tree), "-p", place]
    done = subprocess.run(
        [*compiler, str(tree)],
        env={**os.environ, "PYTHONHOME": str(image.dir / "python"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LabError(f"byte-compiling {tree} failed:\n{last_lines(done.stdout + done.stderr)}")


def checkout_archive(image: Image) -> bytes:
    """The checkout's code as it is now, committed or not, byte-compiled, as a tar archive."""
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "src"
        tree.mkdir()
        for name in PUSHED:
            if (CHECKOUT / name).is_dir():
                shutil.copytree(CHECKOUT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        compile_tree(image, tree, f"{HOME}/src")
        return archive(tree)


def replace(name: str) -> str:
    """The lab's shell command that replaces /opt/reconciler/`name` by the archive on its standard input."""
    place = f"{HOME}/{name}"
    return (
        f"rm -rf {place}.new && mkdir -p {place}.new && tar -x -C {place}.new && "
        f"rm -rf {place} && mv {place}.new {place}"
    )
