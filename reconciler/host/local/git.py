"""Where a file stands in git, asked of git itself. Whose work tree it is in is not known, so nothing is asked for which
git would run what that tree's configuration names: no hook, no fsmonitor, no filter, no pager."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

_COMMAND = ("git", "--no-pager", "--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def describe(path: Path) -> tuple[str, bool] | None:
    """Commit of the work tree that a file is in, and whether the file differs from it; ``None`` outside of git, without
    git, if git doesn't answer in 5 s, or if it doesn't trust the tree's owner (safe.directory)."""
    try:
        path = path.resolve()
        if not path.is_file():
            return None  # A pipe can't be read twice.
        content = path.read_bytes()
        # rev-parse looks up names and nothing else: `git status` would run filters on the file.
        command = [*_COMMAND, "-C", str(path.parent), "rev-parse", "HEAD", f"HEAD:./{path.name}"]
        answer = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=5, check=False)
    except (OSError, RuntimeError, ValueError, subprocess.TimeoutExpired):
        return None
    commit, *blobs = [line for line in answer.stdout.splitlines() if _ID.fullmatch(line)] or [""]
    return (commit, blobs != [_blob(content, len(commit))]) if commit else None


def _blob(content: bytes, digits: int) -> str:
    """The id that git gives to this content (gitformat-pack(5): of a header and the content)."""
    return hashlib.new("sha1" if digits == 40 else "sha256", b"blob %d\0" % len(content) + content).hexdigest()
