"""Whether threads should spin, from made-up readings of a machine."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

from neuralstyle.machine import busy
from neuralstyle.machine.busy import Load, Reading, load_between, reason_to_sleep, take_reading, threads_of
from neuralstyle.machine.control_groups import cpu_quota, group_places

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads what Linux tells of itself")
TWO_CPUS = "cpu  30 0 0 170 0\ncpu0 10 0 0 80 10 0 0 0 5 0\ncpu1 20 1 2 70 3 1 1 2 0 0\nintr 12 0\n"


def later(clock: float = 0.1, *, idle: float, own: float, counted: float | None = None, cpus: int = 2) -> Load | None:
    """The load between a reading of zeros and one that many seconds later."""
    after = Reading(clock, idle, cpus * clock if counted is None else counted, own)
    return load_between(Reading(0, 0, 0, 0), after, cpus)


@linux
def test_the_load_is_what_neither_idles_nor_is_our_own() -> None:
    quiet, one, all_of_them = (later(idle=idle, own=own) for idle, own in ((0.1, 0.1), (0.0, 0.1), (0.0, 0.06)))
    assert quiet == Load(pytest.approx(0, abs=1e-9), pytest.approx(math.sqrt(2) / 10))
    assert one is not None
    assert one.others == pytest.approx(1.0)
    assert all_of_them is not None
    assert all_of_them.others == pytest.approx(1.4)
    over = later(idle=0.12, own=0.1)  # rounded up
    assert over is not None
    assert over.others == 0


@linux
def test_what_tells_nothing_is_not_judged() -> None:
    tick = busy._tick()
    shortest = busy.SHORTEST_TICKS * tick
    assert later(0.99 * shortest, idle=0, own=0) is None
    assert later(1.01 * shortest, idle=0, own=0) is not None
    assert later(idle=0, own=0.1, counted=0) is None  # a /proc/stat in which no time passes
    assert load_between(Reading(0, 0, 0, 0), None, 2) is None


@pytest.mark.parametrize(
    ("others", "cpus", "threads", "busy_"),
    [
        (1.0, 2, 2, True),
        (0.4, 2, 2, True),
        (0.3, 2, 2, False),  # less than a third
        (0.0, 2, 2, False),
        (0.0, 2, 4, False),  # more threads than cores, as the user asked
        (1.0, 2, 1, False),  # nobody to wait for
        (2.0, 2, 1, False),
        (1.0, 8, 4, False),  # two threads a core: there is room
        (4.5, 8, 4, True),
        (1.0, 8, 8, True),
    ],
)
def test_threads_sleep_where_idle_cores_are_fewer(others: float, cpus: int, threads: int, busy_: bool) -> None:
    reason = reason_to_sleep(Load(others, 0.1), cpus, threads, math.inf)
    assert reason == (f"since other programs use {others:.1f} of {cpus} cores" if busy_ else "")


def test_what_rounding_may_have_made_is_no_load() -> None:
    assert reason_to_sleep(Load(0.6, 0.5), 64, 64, math.inf)
    assert not reason_to_sleep(Load(0.6, 0.8), 64, 64, math.inf)


def test_a_containers_limit_counts_without_a_reading() -> None:
    assert reason_to_sleep(None, 8, 8, 1.5) == "since this process may use 1.5 cores for 8 threads"
    assert not reason_to_sleep(None, 8, 8, 8.0)
    assert not reason_to_sleep(None, 8, 1, 0.5)
    assert not reason_to_sleep(None, 8, 8, math.inf)


@linux
def test_a_reading_adds_up_the_usable_cpus(tmp_path: Path) -> None:
    statistics, tick = tmp_path / "stat", busy._tick()
    statistics.write_text(TWO_CPUS)
    both, second = (take_reading(cpus, str(statistics)) for cpus in ({0, 1}, {1}))
    assert both is not None
    assert second is not None
    assert both[1:3] == pytest.approx((163 * tick, 200 * tick))
    assert second[1:3] == pytest.approx((73 * tick, 100 * tick))
    assert second.own >= both.own >= 0
    assert take_reading({0, 2}, str(statistics)) is None
    assert take_reading(set(), str(statistics)) is None
    assert take_reading({0}, str(tmp_path / "missing")) is None
    statistics.write_text("cpu0 one two\n")
    assert take_reading({0}, str(statistics)) is None


def test_the_threads_are_those_asked_for_or_one_a_physical_core(tmp_path: Path) -> None:
    for cpu in range(4):
        topology = tmp_path / f"cpu{cpu}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{cpu % 2},{cpu % 2 + 2}\n")
    system = str(tmp_path)
    assert threads_of({}, {0, 1, 2, 3}, system) == 2
    assert threads_of({}, {0, 2}, system) == 1
    assert threads_of({}, {0, 1, 2, 3}, str(tmp_path / "missing")) == 4
    assert threads_of({"OMP_NUM_THREADS": "3,2"}, {0, 1, 2, 3}, system) == 3
    assert threads_of({"OMP_NUM_THREADS": "many"}, {0, 1, 2, 3}, system) == 2


def test_the_quota_is_the_least_of_all_groups_around_the_process(tmp_path: Path) -> None:
    groups, root = tmp_path / "cgroup", tmp_path / "fs"
    groups.write_text("3:cpuset:/other\n1:cpu,cpuacct:/old\n0::/slice/unit\n")
    assert group_places("cpu", str(groups)) == ["/", "/old", "/slice/unit", "/slice"]
    assert cpu_quota(str(root), str(groups)) == math.inf
    (root / "slice" / "unit").mkdir(parents=True)
    (root / "slice" / "unit" / "cpu.max").write_text("max 100000\n")
    (root / "slice" / "cpu.max").write_text("250000 100000\n")
    assert cpu_quota(str(root), str(groups)) == 2.5
    (root / "cpu" / "old").mkdir(parents=True)
    (root / "cpu" / "old" / "cpu.cfs_period_us").write_text("100000\n")
    for quota, expected in (("-1", 2.5), ("50000", 0.5), ("nonsense", 2.5)):
        (root / "cpu" / "old" / "cpu.cfs_quota_us").write_text(quota)
        assert cpu_quota(str(root), str(groups)) == expected


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program has begun on two cores that other programs use, and has not imported torch yet."""
    monkeypatch.setattr(busy, "_start", Reading(0, 0, 0, 0))
    monkeypatch.setattr(busy, "_load", None)
    monkeypatch.setattr(busy, "_reason", "")
    monkeypatch.setattr(busy, "usable_cpus", lambda: {0, 1})
    monkeypatch.setattr(busy, "take_reading", lambda cpus: Reading(1, 0, 2, 0.5))
    monkeypatch.setattr(busy, "cpu_quota", lambda: math.inf)
    monkeypatch.delitem(sys.modules, "torch", raising=False)


@linux
@pytest.mark.usefixtures("loaded")
def test_the_program_sets_the_variable_and_says_why() -> None:
    environment = {"OMP_NUM_THREADS": "2"}
    busy.settle(environment)
    assert environment == {"OMP_NUM_THREADS": "2", "GOMP_SPINCOUNT": "1000"}
    why = "GOMP_SPINCOUNT=1000, since other programs use 1.5 of 2 cores"
    assert busy.waiting(environment) == {"spin": False, "why": why}
    busy.settle(environment)  # again, as after --like
    assert busy.waiting(environment)["why"] == why


@linux
@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize(
    ("name", "value", "spin"),
    [
        ("GOMP_SPINCOUNT", "30000", True),
        ("GOMP_SPINCOUNT", "0", False),
        ("GOMP_SPINCOUNT", "infinity", True),
        ("OMP_WAIT_POLICY", "PASSIVE", False),
        ("OMP_WAIT_POLICY", "active", True),
        ("OMP_WAIT_POLICY", "perhaps", None),
    ],
)
def test_what_the_user_has_set_stays_alone(name: str, value: str, spin: bool | None) -> None:
    environment = {"OMP_NUM_THREADS": "2", name: value}
    busy.settle(environment)
    assert environment == {"OMP_NUM_THREADS": "2", name: value}
    assert busy.waiting(environment) == {"spin": spin, "why": f"{name}={value} was set"}


@linux
@pytest.mark.usefixtures("loaded")
def test_a_quiet_machine_and_a_host_keep_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"OMP_NUM_THREADS": "2"}
    monkeypatch.setattr(busy, "take_reading", lambda cpus: Reading(1, 1, 2, 0.9))
    busy.settle(environment)
    assert "GOMP_SPINCOUNT" not in environment
    assert busy.waiting(environment) == {"spin": True, "why": "the default; other programs use 0.1 of 2 cores"}
    monkeypatch.setattr(busy, "take_reading", lambda cpus: Reading(1, 0, 2, 0.5))
    with monkeypatch.context() as host:
        host.setattr(busy, "_start", None)  # it calls main, and never began
        busy.settle(environment)
    with monkeypatch.context() as late:
        late.setitem(sys.modules, "torch", sys)
        busy.settle(environment)
    assert "GOMP_SPINCOUNT" not in environment
    busy.settle(environment)
    assert "GOMP_SPINCOUNT" in environment


def test_elsewhere_than_on_linux_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert busy.usable_cpus() == set()
    assert take_reading(busy.usable_cpus()) is None
    assert busy.waiting({}) == {"spin": None, "why": "the OpenMP runtime decides"}
