"""kombu's broker in a folder, whose messages appear whole.

Its own transport creates a message's file and fills it afterwards; a worker that takes it in between ends.
"""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

from kombu.transport import filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    """Messages are written aside and moved to their place."""

    def _put(self, queue: str, payload: Any, **_: Any) -> None:
        name = f"{time.monotonic_ns():020}_{uuid.uuid4()}.{queue}.msg"
        aside = Path(self.data_folder_out, f".{name}")  # of no queue, by its name
        aside.write_text(dumps(payload))
        aside.rename(Path(self.data_folder_out, name))


class Transport(filesystem.Transport):
    """What `broker_transport` names."""

    Channel = Channel
