"""The `.supervisor/` folder: readable by its owner alone, and never committed."""

from __future__ import annotations

import os
from pathlib import Path

from supervisor_guards.embedded.errors import StoreUnavailable

NAME = ".supervisor"


def private_folder(folder: Path) -> None:
    """Make `folder` (mode 0700, with a `.gitignore` of its own) unless it is there.

    A folder that was there keeps its mode, and gets the `.gitignore` only if it is called `.supervisor`.
    Raises `StoreUnavailable` naming the folder when it can't be made.
    """
    try:
        try:
            folder.mkdir(mode=0o700)
        except FileNotFoundError:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError:
        if not folder.is_dir():
            raise unwritable(folder, NotADirectoryError(f"{folder} is a file")) from None
        if folder.name != NAME:
            return
    except OSError as error:
        raise unwritable(folder, error) from error
    ignore = folder / ".gitignore"
    try:
        create(ignore, b"*\n")
    except FileExistsError:
        pass
    except OSError as error:
        raise unwritable(folder, error) from error


def create(path: Path, content: bytes = b"") -> None:
    """Make the file `path` with mode 0600. Raises `FileExistsError` if it is there."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)


def unwritable(path: Path, error: OSError) -> StoreUnavailable:
    """The error for a place that can't be written, with what to do about it."""
    reason = error.strerror or str(error)
    return StoreUnavailable(
        f"can't write {path} ({reason}): give this user the right to write there, or put the decision store "
        f"elsewhere with SUPERVISOR_DATABASE_URL (such as sqlite:////var/lib/app/.supervisor/decisions.db)"
    )
