"""Provides an unprivileged account for a server that refuses to run as root, and access to its files."""

import contextlib
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path


def system_account(wanted: str) -> str:
    """Return the account `wanted`, created if possible, or `nobody`. Raises `LookupError`."""
    for name in (wanted, "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
        if useradd := shutil.which("useradd"):
            command = [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name]
            subprocess.run(command, check=True, capture_output=True)
            return name
    raise LookupError(wanted)


def make_traversable(path: Path) -> None:
    """Allow every account to traverse the directories that lead to `path`, not to list them."""
    for directory in [path, *path.parents]:
        mode = directory.stat().st_mode
        if not mode & stat.S_IXOTH:
            directory.chmod(mode | stat.S_IXOTH)


def make_readable(tree: Path) -> None:
    """Allow every account to read the files of `tree`: a strict umask at installation reserves them for root."""
    paths: Iterable[Path] = [tree, *tree.rglob("*")] if tree.exists() else []
    for path in paths:
        mode = path.stat().st_mode
        wanted = mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
        if mode != wanted:
            path.chmod(wanted)
