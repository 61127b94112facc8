"""The class of a machine, and the memory of this process, read of made-up kernels' files."""

from pathlib import Path

import pytest

from distillery.components.runtime import machine

CORE = "processor\t: {}\nvendor_id\t: x\nmodel name\t: Some(R)  Fast CPU @ 3GHz\nflags\t: a b\n\n"
X86 = CORE.format(0) + CORE.format(1)


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "threads", lambda: 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (X86, "Some(R) Fast CPU @ 3GHz, 2 threads"),
        ("processor: 0\nHardware\t: board 7\n", "board 7, 2 threads"),
        ("model name\t: \ncpu model: mips 4\n", "mips 4, 2 threads"),
    ],
)
def test_a_processor_is_named_as_its_kernel_names_it(tmp_path: Path, two_threads: None, text: str, expected: str) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert machine.machine_class(proc=tmp_path) == expected


def test_where_the_kernel_names_none_the_platform_does(tmp_path: Path, two_threads: None) -> None:
    assert machine.machine_class(proc=tmp_path).endswith(", 2 threads")


def test_one_thread_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "threads", lambda: 1)
    (tmp_path / "cpuinfo").write_text(X86)
    assert machine.machine_class(proc=tmp_path) == "Some(R) Fast CPU @ 3GHz, 1 thread"


def test_the_name_is_no_longer_than_a_document_takes(tmp_path: Path, two_threads: None) -> None:
    (tmp_path / "cpuinfo").write_text(f"model name: {'x' * 5000}\n")
    assert len(machine.machine_class(proc=tmp_path)) <= 240


def test_the_peak_is_read_in_megabytes(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "status").write_text("Name:\tx\nVmHWM:\t  204800 kB\nVmRSS:\t 100 kB\n")
    assert machine.peak_since(tmp_path) == 200


@pytest.mark.parametrize("text", ["", "VmHWM:\n", "VmHWM:\tmany kB\n"])
def test_a_kernel_that_tells_no_peak_is_no_fault(tmp_path: Path, text: str) -> None:
    assert machine.peak_since(tmp_path) is None
    assert not machine.forget_peak(tmp_path)
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "status").write_text(text)
    assert machine.peak_since(tmp_path) is None


def test_a_process_holds_something() -> None:
    assert machine.peak_memory_mb() > 1
