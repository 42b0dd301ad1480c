"""The painting functions as iterators, for notebooks and graphical programs that keep the loop in their own hands."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

from neuralstyle.painting.progress import Progress


def iterate(function: Callable[..., object], /, *arguments: Any, **options: Any) -> Iterator[Progress]:
    """Paint step by step: a ``Progress`` after each evaluation, which the work waits behind.

    The work is done in another thread, one step at a time: nothing happens between two steps of the loop. Leaving the
    loop stops the work. The last ``Progress`` holds the result: ``image()`` as 8 bits, ``tensor()`` in full precision.

    Args:
        function: ``stylize``, ``synthesize_texture`` or ``reconstruct_content``.
        *arguments: for it.
        **options: for it; its callbacks are called too.

    Yields:
        A ``Progress`` after each evaluation.

    Raises:
        Exception: whatever the function raises, at the first step for bad input.

    Example:
        ```python
        from neuralstyle import iterate, samples, stylize

        for progress in iterate(stylize, samples.photo(), samples.painting("swirl"), size=64, iterations=5):
            if progress.loss < 10:
                break
        progress.image()
        ```

    """
    steps: SimpleQueue[Progress | BaseException | None] = SimpleQueue()
    answers: SimpleQueue[bool] = SimpleQueue()

    def wait(progress: Progress) -> bool:
        steps.put(progress)
        return answers.get()

    def work() -> None:
        try:
            function(*arguments, **{**options, "callback": [*callbacks, wait]})
            steps.put(None)
        except BaseException as error:
            steps.put(error)

    given = options.get("callback")
    callbacks = [] if given is None else [given] if callable(given) else list(given)
    thread = threading.Thread(target=work, name="neuralstyle", daemon=True)
    thread.start()
    try:
        while True:
            step = steps.get()
            if isinstance(step, BaseException):
                raise step
            if step is None:
                return
            yield step
            answers.put(True)
    finally:
        answers.put(False)  # if the loop was left, the step that waits for an answer is the last
        thread.join()
