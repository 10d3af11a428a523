"""The master key and the subkeys made from it."""

from __future__ import annotations

import base64
import binascii
import os
import re
from pathlib import Path

from supervisor_guards._digest import hkdf
from supervisor_guards.embedded.errors import StoreUnavailable
from supervisor_guards.embedded.folder import private_folder, unwritable
from supervisor_guards.errors import ConfigurationError

__all__ = ["Keys"]

VARIABLE = "SUPERVISOR_MASTER_KEY"
FILE = "master.key"
_LENGTH = 32
_HEX = re.compile(r"[0-9a-fA-F]+")


class Keys:
    """Subkeys of one master key. `key_id` names the master key without telling it (16 hex digits)."""

    def __init__(self, master: bytes) -> None:
        if len(master) < _LENGTH:
            raise ConfigurationError(f"master key of {len(master)} bytes: at least {_LENGTH} are needed")
        self._master = master
        self.key_id = self.subkey("key-id")[:8].hex()

    def __repr__(self) -> str:
        return f"<Keys {self.key_id}>"

    @classmethod
    def load(cls, folder: str | Path | None) -> Keys:
        """The keys of `SUPERVISOR_MASTER_KEY` (hex or base64, at least 32 bytes), else of a file in `folder`.

        The file is made on first use, once, whoever comes first. Without a folder the variable is required.
        Raises `ConfigurationError` for a bad or missing key, `StoreUnavailable` where no file can be made.
        """
        text = os.environ.get(VARIABLE, "").strip()
        if text:
            return cls(_decode(text, VARIABLE))
        if folder is None:
            raise ConfigurationError(f"no folder for a key file: set {VARIABLE} to the hex of 32 random bytes")
        return cls(_read_or_make(Path(folder).absolute()))

    def subkey(self, purpose: str) -> bytes:
        """32 bytes for `purpose`."""
        return hkdf(self._master, b"supervisor-guards:" + purpose.encode())


def _decode(text: str, source: str) -> bytes:
    # A key in hex that lost a few digits would pass as base64, so what is all hex is only ever hex.
    decode = bytes.fromhex if _HEX.fullmatch(text) else _base64
    try:
        master = decode(text)
    except ValueError:
        master = b""
    if len(master) >= _LENGTH:
        return master
    # The value is a secret: the message tells its length, never itself.
    raise ConfigurationError(
        f"{source} ({len(text)} characters) is not the hex or base64 of at least {_LENGTH} bytes: "
        "make one with `openssl rand -hex 32`"
    )


def _base64(text: str) -> bytes:
    standard = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _read_or_make(folder: Path) -> bytes:
    path = folder / FILE
    try:
        return _decode(path.read_text("ascii").strip(), str(path))
    except FileNotFoundError:
        pass
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not a key file: restore it, or set {VARIABLE}") from None
    except OSError as error:
        raise StoreUnavailable(f"can't read the key file {path}: {error.strerror}; or set {VARIABLE}") from error
    private_folder(folder)
    # Written whole under a name of its own, then linked: the link fails where another process was first,
    # and nobody ever reads half a key.
    draft = folder / f"{FILE}.{os.getpid()}.{os.urandom(4).hex()}"
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, os.urandom(_LENGTH).hex().encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        return _decode(path.read_text("ascii").strip(), str(path))
    except OSError as error:
        raise unwritable(path, error) from error
