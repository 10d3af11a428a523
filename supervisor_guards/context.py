"""Who acts, and why: context that guarded calls record and policies can read as `context`."""

from supervisor_guards._carrying import export_context, restored_context
from supervisor_guards._context import current_context, observe, observing

__all__ = ["current_context", "export_context", "observe", "observing", "restored_context"]
