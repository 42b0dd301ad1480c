"""How a command ends: exit codes, and errors on one line."""

from __future__ import annotations

FAILED = 2
INTERRUPTED = 130
EXIT_CODES = (
    "exit codes: 0 done; 2 an error, in one line on stderr; 130 stopped by Ctrl-C (SIGINT), 143 by SIGTERM, 129 by a "
    "lost terminal (SIGHUP), with what there was saved"
)
LONGEST_WARNING = 300  # characters


def one_line(error: BaseException) -> str:
    """An error's message on one line, and what to do where torch does not say it."""
    message = " ".join(str(error).split()) or type(error).__name__
    is_memory = isinstance(error, MemoryError) or "out of memory" in message or "allocate memory" in message
    return f"not enough memory; use --tile auto or a smaller --size ({message})" if is_memory else message


def shortened(text: str) -> str:
    """A warning on one line of bounded length, without torch's notes on the places in its own code."""
    line = " ".join(text.split()).partition(" (Triggered internally at")[0]
    return line if len(line) <= LONGEST_WARNING else f"{line[: LONGEST_WARNING - 4]} ..."


def exit_code(error: BaseException) -> int:
    """The exit code after a signal: 128 and its number; Python's own KeyboardInterrupt comes from Ctrl-C."""
    return int(getattr(error, "code", INTERRUPTED))
