"""The painting functions as iterators, for programs that run the loop themselves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from typing_extensions import ParamSpec

if TYPE_CHECKING:
    from neuralstyle.painting.progress import Progress

P = ParamSpec("P")


def iterate(function: Callable[P, object], /, *arguments: P.args, **options: P.kwargs) -> Iterator[Progress]:
    """Paint step by step: yield a ``Progress`` after each evaluation, then wait for the next request.

    Another thread paints, and pauses while the loop handles a ``Progress``. Leaving the loop stops the painting. The
    last ``Progress`` holds the result: ``image()`` as 8 bits, ``tensor()`` in full precision.

    Args:
        function: ``stylize``, ``synthesize_texture``, ``reconstruct_content``, or ``paint`` with a ``Plan``.
        *arguments: arguments of the function.
        **options: options of the function; its callbacks are called too.

    Yields:
        A ``Progress`` after each evaluation.

    Raises:
        Exception: any exception of the function; bad input raises at the first step.

    Example:
        ```python
        from neuralstyle import iterate, samples, stylize

        for progress in iterate(stylize, samples.photo(), samples.painting("swirl"), size=64, iterations=5):
            if progress.loss < 10:
                break
        progress.image()
        ```

    """
    from neuralstyle.painting.plan import as_callbacks

    steps: SimpleQueue[Progress | BaseException | None] = SimpleQueue()
    answers: SimpleQueue[bool] = SimpleQueue()

    def wait(progress: Progress) -> bool:
        steps.put(progress)
        return answers.get()

    given: Any = options.get("callback")
    with_wait: Any = {**options, "callback": [*as_callbacks(given), wait]}

    def work() -> None:
        try:
            function(*arguments, **with_wait)
            steps.put(None)
        except BaseException as error:
            steps.put(error)

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
        answers.put(False)  # if the caller left the loop, the waiting evaluation is the last
        thread.join()
