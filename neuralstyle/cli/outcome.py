"""How a command ends: exit codes, and errors on one line."""

from __future__ import annotations

FAILED = 2
INTERRUPTED = 130


def one_line(error: BaseException) -> str:
    """An error's message on one line, and what to do where torch does not say it."""
    message = " ".join(str(error).split()) or type(error).__name__
    is_memory = isinstance(error, MemoryError) or "out of memory" in message or "allocate memory" in message
    return f"not enough memory; use --tile auto or a smaller --size ({message})" if is_memory else message
