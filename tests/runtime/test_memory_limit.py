"""What a process may use is the least of its machine's and its cgroups' memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from distillery.components.runtime.memory_limit import Room, quantity, room, sized
from distillery.filters.errors import InputError

MIB = 2**20
MACHINE = {"proc/meminfo": "MemTotal: 8000 kB\nMemFree: 1 kB\nMemAvailable: 5000 kB\n"}
WHOLE = Room(5000 * 1024, 8000 * 1024, "this machine")
PART = Room(1_200_000, 2_000_000, "this container")
V2 = {"memory.max": "2000000", "memory.current": "1500000", "memory.stat": "anon 1\ninactive_file 700000\n"}
V1 = {
    "memory.limit_in_bytes": "2000000",
    "memory.usage_in_bytes": "1500000",
    "memory.stat": "inactive_file 5\ntotal_inactive_file 700000\n",
}


def within(folder: str, files: dict[str, str]) -> dict[str, str]:
    return {f"{folder}/{name}": text for name, text in files.items()}


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (MACHINE, WHOLE),
        ({**MACHINE, **within("cg", V2)}, PART),
        ({**MACHINE, "proc/self/cgroup": "0::/a/b\n", **within("cg/a", V2)}, PART),  # a group above has the limit
        ({**MACHINE, "proc/self/cgroup": "0::/a\n", **within("cg/a", V2 | {"memory.max": "max"})}, WHOLE),
        ({**MACHINE, "proc/self/cgroup": "5:cpu,memory:/x\n", **within("cg/memory/x", V1)}, PART),
        ({**MACHINE, **within("cg/memory", V1 | {"memory.limit_in_bytes": "9223372036854771712"})}, WHOLE),
        (within("cg", V2 | {"memory.current": "9000000"}), Room(0, 2_000_000, "this container")),
        ({**MACHINE, **within("cg", V2 | {"memory.max": "much"})}, WHOLE),
        ({}, None),
        ({"proc/meminfo": "nothing\n"}, None),
    ],
)
def test_the_least_of_all_limits_counts(files: dict[str, str], found: Room | None, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert room(tmp_path / "cg", tmp_path / "proc") == found


@pytest.mark.parametrize(
    ("text", "size"), [("1", 1), ("2Gi", 2**31), ("1500M", 1_500_000_000), ("0.5Ki", 512), ("1k", 1000), ("2Ti", 2**41)]
)
def test_an_amount_is_read_as_kubernetes_reads_it(text: str, size: int) -> None:
    assert quantity(text) == size


@pytest.mark.parametrize("text", ["", "much", "1Zi", "-1", "1e3"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=text or "^$"):
        quantity(text)


DEFAULTS = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}}


@pytest.mark.parametrize(
    ("given", "need", "asked", "limit"),
    [
        ({}, 0, "1Gi", "4Gi"),
        ({}, 900 * MIB, "1Gi", "4Gi"),
        ({}, 1900 * MIB, "2048Mi", "4Gi"),
        ({}, 6900 * MIB, "6912Mi", "6912Mi"),
        ({"limits": {"memory": "64Gi"}}, 6900 * MIB, "6912Mi", "64Gi"),
        ({"limits": {"memory": "6901Mi"}}, 6900 * MIB, "6901Mi", "6901Mi"),
        ({"requests": {"memory": "2Gi"}}, 6900 * MIB, "2Gi", "6912Mi"),
        ({"requests": {"cpu": "2"}}, 6900 * MIB, "6912Mi", "6912Mi"),
    ],
)
def test_a_pod_gets_what_its_student_takes(given: dict[str, dict[str, str]], need: int, asked: str, limit: str) -> None:
    found = sized(DEFAULTS, given, need, setting="SETTING", step="training")
    assert (found["requests"]["memory"], found["limits"]["memory"]) == (asked, limit)
    assert found["limits"]["cpu"] == "2"


def test_a_limit_of_the_cluster_that_is_too_low_is_refused() -> None:
    with pytest.raises(InputError) as refused:
        sized(DEFAULTS, {"limits": {"memory": "4Gi"}}, 6900 * MIB, setting="SETTING", step="training")
    assert str(refused.value).startswith("SETTING: limits.memory is 4Gi, and training takes about 6.7 GiB")
    assert 'limits.memory to "6912Mi"' in refused.value.hint
