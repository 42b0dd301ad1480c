"""Tasks over executors: processes that die, pools that break, and objects that have ``submit`` alone."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from neuralstyle.many import Processes, run_tasks
from neuralstyle.many.running import Answer


def double(number: Any) -> Any:
    if number == "broken":
        raise ValueError("a broken\n task")
    return 2 * number


def die_once(task: tuple[str, int]) -> int:
    """Kill the process at the number 3, the first time."""
    folder, number = task
    if number == 3 and not (Path(folder) / "died").exists():
        (Path(folder) / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.02)
    return number


def die_always(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def process_and_environment(_: int) -> tuple[int, str, int]:
    import torch

    return os.getpid(), os.environ["OMP_WAIT_POLICY"], torch.get_num_threads()


class OnlySubmit:
    """The least that an executor can be: its handles cannot even be asked whether they are done."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return Later(function, arguments)


class Later:
    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.function, self.arguments = function, arguments

    def result(self) -> Any:
        return self.function(*self.arguments)


def by_task(answers: Any) -> dict[Any, Answer[Any, Any]]:
    return {answer.task: answer for answer in answers}


@pytest.fixture(params=["here", "submit", "threads", "processes", "pool"])
def executor(request: pytest.FixtureRequest) -> Any:
    kinds: dict[str, Callable[[], Any]] = {
        "threads": lambda: ThreadPoolExecutor(2),
        "processes": lambda: Processes(2),
        "pool": lambda: ProcessPoolExecutor(2, mp_context=get_context("spawn")),
    }
    if request.param not in kinds:
        yield None if request.param == "here" else OnlySubmit()
        return
    with kinds[request.param]() as made:
        yield made


def test_an_error_of_a_task_stops_no_other(executor: Any) -> None:
    answers = by_task(run_tasks(double, [1, "broken", 2, 3], executor))
    assert {task: answer.value for task, answer in answers.items()} == {1: 2, "broken": None, 2: 4, 3: 6}
    assert answers["broken"].error == "a broken task"
    assert [answer.lost for answer in answers.values()] == [None] * 4


def test_a_worker_that_dies_loses_nothing(tmp_path: Path) -> None:
    with Processes(2, threads=1) as processes:
        answers = by_task(run_tasks(die_once, [(str(tmp_path), n) for n in range(6)], processes))
    assert [answers[str(tmp_path), n].value for n in range(6)] == list(range(6))
    assert {n for (_, n), answer in answers.items() if answer.lost} == {3}
    assert "killed (SIGKILL)" in str(answers[str(tmp_path), 3].lost)


def test_a_task_that_kills_its_worker_each_time_is_named_alone() -> None:
    with Processes(2, threads=1) as processes:
        answers = by_task(run_tasks(die_always, range(6), processes))
    assert [n for n, answer in answers.items() if answer.error] == [3]
    assert "failed twice in the executor (its worker process was killed (SIGKILL)" in str(answers[3].error)


def test_a_pool_that_breaks_leaves_its_tasks_to_others() -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        answers = by_task(run_tasks(die_always, range(6), pool))
    assert sorted(answers) == list(range(6))
    assert [n for n, answer in answers.items() if answer.error] == [3]


def test_processes_share_the_threads_and_wait_quietly() -> None:
    with Processes(2, threads=3) as processes:
        answers = [processes.submit(process_and_environment, n).result() for n in range(4)]
    assert {answer[1:] for answer in answers} == {("passive", 3)}
    assert os.getpid() not in {answer[0] for answer in answers}
    assert Processes(10_000).threads == 1


def test_processes_that_are_ended_at_once_leave_nobody_behind() -> None:
    processes = Processes(1, threads=1)
    number = processes.submit(os.getpid).result()
    sleeping, waiting = processes.submit(time.sleep, 60), processes.submit(time.sleep, 60)
    while not sleeping.running():
        time.sleep(0.01)
    started = time.monotonic()
    processes.shutdown(wait=False)
    assert time.monotonic() - started < 10
    assert waiting.cancelled()
    assert isinstance(sleeping.exception(), Exception)
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)
    with pytest.raises(RuntimeError, match="were shut down"):
        processes.submit(os.getpid)


@pytest.mark.parametrize("wrong", [3, "threads", ThreadPoolExecutor])
def test_what_is_no_executor_is_named(wrong: Any) -> None:
    with pytest.raises(TypeError, match="an executor has a method submit"):
        run_tasks(double, [1], wrong)


def test_what_cannot_be_pickled_is_an_error_of_its_task() -> None:
    with Processes(1, threads=1) as processes:
        answers = list(run_tasks(double, [lambda: 1, 2], processes))
    assert {answer.value for answer in answers} == {4, None}
    assert "pickle" in str(next(answer.error for answer in answers if answer.error))
