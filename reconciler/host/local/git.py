"""Where a file stands in git, asked of git itself."""

from __future__ import annotations

import subprocess
from pathlib import Path


def describe(path: Path) -> tuple[str, bool] | None:
    """Commit of the work tree that a file is in, and whether the file differs from it; ``None`` outside of git, without
    git, or if git doesn't answer in 5 s. Asked without `git status` refreshing the work tree's index on the side."""
    command = ["git", "--no-optional-locks", "-C", str(path.parent)]
    command += ["status", "--porcelain=v2", "--branch", "--", path.name]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode != 0:
        return None
    commit, dirty = "", False
    for line in answer.stdout.splitlines():
        if line.startswith("# branch.oid "):
            commit = line.removeprefix("# branch.oid ")
        elif not line.startswith("#"):
            dirty = True
    return (commit, dirty) if commit and commit != "(initial)" else None
