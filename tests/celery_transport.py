"""Messages in a folder, as kombu's `filesystem` has them, but whole from the moment that their names are there.

Kombu's own opens the file before it writes. A worker on a busy machine takes such a file empty, and ends.
"""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps

URL = "whole-files://"
TRANSPORT_ALIASES["whole-files"] = f"{__name__}:Transport"


class Channel(filesystem.Channel):  # type: ignore[misc]
    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:
        name = f"{time.monotonic_ns():020}_{uuid.uuid4()}.{queue}.msg"
        written = Path(self.data_folder_out, f"{name}.part")  # no queue's
        written.write_text(dumps(payload), encoding="utf-8")
        written.rename(Path(self.data_folder_out, name))


class Transport(filesystem.Transport):  # type: ignore[misc]
    Channel = Channel
