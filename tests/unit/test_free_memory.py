"""How much memory is free: within the machine's, and within the limits of control groups."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest
import torch

from neuralstyle.machine import memory


def test_limits_of_all_control_groups_around_the_process_count(tmp_path: Path) -> None:
    groups = tmp_path / "cgroup"
    groups.write_text("4:memory:/slice/job\n1:cpu:/other\n0::/unit\n")
    limits = [os.path.normpath(limit) for limit, _ in memory._cgroup_files(str(groups))]
    for limit in ("memory/slice/job/memory.limit_in_bytes", "memory/slice/memory.limit_in_bytes", "unit/memory.max"):
        assert f"/sys/fs/cgroup/{limit}" in limits
    assert not any("other" in limit for limit in limits)


def test_files_that_were_read_do_not_count_as_used_memory(tmp_path: Path) -> None:
    for name, text in (("max", "5000\n"), ("current", "4000\n"), ("memory.stat", "file 900\ninactive_file 700\n")):
        (tmp_path / name).write_text(text)
    assert memory._bytes_left(str(tmp_path / "max"), str(tmp_path / "current")) == 1700


def test_free_memory_is_within_the_machines_and_within_a_containers_limit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cpu = torch.device("cpu")
    assert 0 < memory.free_memory(cpu) <= psutil.virtual_memory().total
    limit, use = tmp_path / "limit", tmp_path / "use"
    monkeypatch.setattr(memory, "_limit_files", lambda: [(str(limit), str(use))])
    without = memory.free_memory(cpu)
    assert without > 10**6
    use.write_text("1000\n")
    limit.write_text("5000\n")
    assert memory.free_memory(cpu) == 4000
    limit.write_text("500\n")
    assert memory.free_memory(cpu) == 0
    limit.write_text("max\n")
    assert memory.free_memory(cpu) > 10**6
