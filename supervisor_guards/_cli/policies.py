"""Where a command's policy comes from: the path given, the configured one, else the starter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from supervisor_guards._config import GuardConfig
from supervisor_guards.embedded.parts import STARTER

if TYPE_CHECKING:
    from supervisor_guards.policy.engine import PolicySet, Unmatched


def chosen(path: str | None, config: GuardConfig | None = None) -> tuple[Path, str]:
    """The policy's path, and in words where it comes from. A path given that isn't there is wrong usage."""
    if path is not None:
        if not Path(path).exists():
            raise click.BadParameter(f"there is no policy at {Path(path).absolute()}; name a YAML file or a folder")
        return Path(path).absolute(), "given"
    config = config or GuardConfig.load()
    configured = config.policy_path()
    if configured is None:
        return STARTER, "the starter that ships with the package; serves shadow only"
    return configured, "SUPERVISOR_POLICY" if config.policy else "supervisor.yaml in this folder"


def load(path: Path, unmatched: Unmatched = "deny") -> PolicySet:
    """The policies at `path`. Raises `ConfigurationError` with every fault."""
    from supervisor_guards.policy.document import load_policies

    return load_policies(path, unmatched)
