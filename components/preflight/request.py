"""What a run is asked for: one value, from the command line or a form to the graph's parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

FILE_OVERRIDES: Final = ("oracle.replies", "data.articles", "data.labels")
MARKS: Final = ("", "prefilter", "reference")  # everything else is a file


@dataclass(frozen=True)
class RunRequest:
    """The arguments of a run of `distill`, by the names of the pipeline's parameters.

    Attributes:
        filter: A filter's name, name/vN, the path or s3:// address of a filter.yaml, or its text.
        store: URI of the object store; empty for the cluster's own.
        articles: Path or address of articles to label; empty where labels are given.
        labels: Path or address of labels that exist; empty where articles are given.
        profile: A named set of overrides; empty for none.
        overrides: Settings for this run, each "path=value".
        max_rejects: How many bad rows of labels may be left out, "20" or "1%".
        marks: What the calibration goes by: a file, a folder of files, "prefilter", "reference", or empty.
        without_calibration: Why to label without a calibration that passed; empty to want one.
        budget: US dollars that the labels may cost, earlier runs included; 0 for no limit.
        trainer: pod trains in one pod, trainjob in a Kubeflow TrainJob over several nodes.
        gpus: GPUs of the training pod, or of each node of a TrainJob; 0 trains on the CPU.
    """

    filter: str
    store: str = ""
    articles: str = ""
    labels: str = ""
    profile: str = ""
    overrides: tuple[str, ...] = ()
    max_rejects: str = "0"
    marks: str = ""
    without_calibration: str = ""
    budget: float = 0.0
    trainer: str = "pod"
    gpus: int = 0

    def absolute(self) -> RunRequest:
        """Return the same request with absolute local paths, since steps may run in another folder.

        Returns:
            A request that means the same in every folder of this machine.
        """
        return replace(
            self,
            filter=str(Path(self.filter).absolute()) if _is_file(self.filter) else self.filter,
            articles=absolute(self.articles),
            labels=absolute(self.labels),
            marks=self.marks if self.marks in MARKS else absolute(self.marks),
            overrides=absolute_overrides(self.overrides),
        )

    def to_arguments(self) -> dict[str, Any]:
        """Return the pipeline's parameters.

        Returns:
            JSON values by parameter, all of them.
        """
        return {**asdict(self), "overrides": list(self.overrides)}

    def to_changed_arguments(self) -> dict[str, Any]:
        """Return the parameters that are not left at the pipeline's defaults, so that a form shows those alone.

        Returns:
            JSON values by parameter; always with the filter.
        """
        defaults = RunRequest("").to_arguments()
        return {name: value for name, value in self.to_arguments().items() if value != defaults[name]}


def _is_file(text: str) -> bool:
    return "\n" not in text and Path(text).is_file()


def absolute(path: str) -> str:
    """Return a local path made absolute.

    Args:
        path: A path of this machine, a URI, or the empty string.

    Returns:
        An absolute path; URIs and the empty string as they are.
    """
    from distillery.components.store import Address, scheme_of

    return path if not path or scheme_of(path) else Address.parse(path).path


def absolute_overrides(overrides: Iterable[str]) -> tuple[str, ...]:
    """Return overrides that keep their meaning in another folder.

    Args:
        overrides: Each "path=value".

    Returns:
        The same, with the files that they name made absolute.
    """
    return map_files(overrides, lambda path, _: absolute(path))


def map_files(overrides: Iterable[str], change: Callable[[str, str], str]) -> tuple[str, ...]:
    """Return overrides with the names of files changed.

    Args:
        overrides: Each "path=value".
        change: Gets the name of a file and the key that it stands under; returns another name.

    Returns:
        The same overrides in the same order; those that name no file as they are.
    """
    changed = []
    for override in overrides:
        path, sign, value = override.partition("=")
        key = path.strip().removeprefix("spec.")
        names_a_file = key in FILE_OVERRIDES and value not in ("", "null")
        changed.append(f"{path}{sign}{change(value, key)}" if names_a_file else override)
    return tuple(changed)
