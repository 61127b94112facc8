"""A bundle as it leaves a store: its files under the same digest, and what others need to use it without this project."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from distillery.components.artifacts.adapter import filter_key_of, find_summary
from distillery.components.artifacts.bundle import bundle_folder
from distillery.components.artifacts.filter import read_filter
from distillery.components.artifacts.run_summary import RunSummary
from distillery.components.sharing.snippet import run, snippet
from distillery.components.store import MANIFEST, Digest, Store
from distillery.components.student.base_files import CONFIG, TOKENIZER
from distillery.components.student.bundle import open_files, require_bundle
from distillery.components.student.golden import GOLDEN_TOLERANCE
from distillery.components.student.student import Student
from distillery.filters.errors import InputError
from distillery.filters.loading import dump_filter
from distillery.filters.spec import Data, Metadata, Oracle
from distillery.filters.strict_json import loads

if TYPE_CHECKING:
    from distillery.filters.filter import Filter

AGAIN: Final = "nothing was exported; try again"
FP32: Final = "fp32"
FILTER: Final = "filter.yaml"
BASE: Final = "base"  # folder of the base model, where it is no hub's
TOKENIZER_CONFIG: Final = "tokenizer_config.json"
# Of an oracle, what says where it is asked and with which key.
PRIVATE: Final = ("price", "replies", "baseUrl", "apiKeyEnv", "project", "location", "batchPrefix")
_HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class BundleCopy:
    """A verified bundle.

    Attributes:
        digest: of the adapter.
        filter: that it was made for, as it was published.
        summary: of the run that made it.
        student: opened in fp32.
        files: the bundle's own files and its manifest, by name.
    """

    digest: Digest
    filter: Filter
    summary: RunSummary
    student: Student
    files: dict[str, bytes]

    def on_hub(self) -> bool:
        """True if the base model's name is that of one on the model hub, as far as a name tells.

        Returns:
            Whether its name has an owner, and is no folder here.
        """
        ref = self.student.facts.base.ref
        return _HUB_ID.fullmatch(ref) is not None and not Path(ref).is_dir()

    def snippet(self, *, base: Path | None = None, folder: Path | None = None, inside: bool = False, use: bool = True) -> str:
        """Return the code of the card.

        Args:
            base: where the base model lies on this machine; None for where a reader of the card has it.
            folder: where the exported files lie on this machine; None for the folder of the card.
            inside: True if the base model is among the exported files.
            use: True for the line that scores one article.

        Returns:
            Python.
        """
        facts = self.student.facts
        at, revision = (f'folder / "{BASE}"', None) if inside else (repr(facts.base.ref), facts.base.revision)
        if base is not None:
            at, revision = repr(str(base)), None
        where = '"."' if folder is None else repr(str(folder))
        return snippet(facts, self.student.base, at=at, revision=revision, folder=where, use=use)

    def check(self, folder: Path, *, inside: bool) -> float:
        """Compare exported files with the bundle byte by byte, and score its golden texts from them by the code of their card.

        Args:
            folder: the files.
            inside: True if the base model is among them.

        Returns:
            The largest difference in points.

        Raises:
            InputError: it is above 0.001, or the files are other bytes, or can't be loaded.
        """
        for name, data in self.files.items():
            if (folder / name).read_bytes() != data:
                raise InputError("was not written as it is", where=str(folder / name), hint=AGAIN)
        texts, raw = self.student.golden
        code = self.snippet(base=None if inside else self.student.base.path, folder=folder, inside=inside, use=False)
        with loaded(folder):
            read, final = run(code, texts)
        pairs = [(read, raw), (final, self.student.scores(raw))]
        shapes = [one.shape == other.shape for one, other in pairs]
        difference = max(float(np.abs(one - other).max()) for one, other in pairs) if all(shapes) else float("inf")
        return require_same(difference, str(folder), judged=self.student.plan.precision)


@contextmanager
def loaded(folder: Path) -> Iterator[None]:
    """Raise InputError where what was written can't be loaded: whatever a library says of files that it can't read.

    Args:
        folder: the files.

    Yields:
        Nothing.

    Raises:
        InputError: the block raised something.
    """
    try:
        yield
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0][:200]
        what = f"what was written can't be loaded ({type(error).__name__}: {reason})"
        raise InputError(what, where=str(folder), hint=AGAIN) from error


def require_same(difference: float, where: str, *, judged: str = FP32) -> float:
    """Raise unless what was written scores as the adapter does.

    Args:
        difference: the largest one, in points; NaN is none that is small.
        where: the place that was written to.
        judged: the precision of the adapter's own scores, where what was written computes in fp32.

    Returns:
        The difference.

    Raises:
        InputError: it is above 0.001.
    """
    if not difference <= GOLDEN_TOLERANCE:
        what = f"what was written gives other scores than the adapter (off by {difference:.3g} points)"
        raise InputError(what, where=where, hint=mend(judged))
    return difference


def mend(judged: str) -> str:
    """Return what to do where what was written gives something else than the adapter.

    Args:
        judged: the precision of the adapter's own scores, where what was written computes in fp32.

    Returns:
        A hint.
    """
    if judged == FP32:
        return AGAIN
    return f"this adapter is judged in {judged}, and this form computes in fp32: export oci or kserve, or serve it"


def copy_bundle(store: Store, adapter: str) -> BundleCopy:
    """Read a bundle to export, every byte verified.

    Args:
        store: where it is.
        adapter: its digest, or the first 8 or more digits.

    Returns:
        The bundle.

    Raises:
        InputError: there is no such adapter, it is damaged, or its base model can't be had here.
    """
    summary = find_summary(store, adapter)
    flt = read_filter(store, filter_key_of(summary))
    digest = Digest(str(summary.adapter))
    folder = bundle_folder(store, flt.name, digest)
    files = {name: folder.read(name) for name in require_bundle(folder)}
    student = open_files(files, folder.where, store, flt)
    manifest = store.get(f"{folder.prefix}/{MANIFEST}", digest=digest)
    return BundleCopy(digest, flt, summary, student, {**files, MANIFEST: manifest})


def portable(flt: Filter) -> Filter:
    """Return a filter without what is of one place alone: where data lie, and how the oracle is reached.

    Args:
        flt: the filter.

    Returns:
        The same filter for another store.
    """
    oracle = Oracle(**{name: value for name, value in flt.spec.oracle if name not in PRIVATE})
    spec = flt.spec.model_copy(update={"data": Data(), "oracle": oracle})
    return flt.model_copy(update={"metadata": Metadata(name=flt.name), "spec": spec})


def companions(bundle: BundleCopy) -> dict[str, bytes | Path]:
    """Return what lies beside a bundle's own files: configuration with names of the outputs, tokenizer, and filter.

    Args:
        bundle: the bundle.

    Returns:
        Contents by name.
    """
    base, facts = bundle.student.base, bundle.student.facts
    config: dict[str, Any] = loads((base.path / CONFIG).read_bytes())
    names = dict(enumerate(facts.dimensions))
    config |= {
        "id2label": {str(at): name for at, name in names.items()},
        "label2id": {name: at for at, name in names.items()},
        "problem_type": "regression",
    }
    tokenizer = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": facts.maxLength}
    if (pad := config.get("pad_token_id")) is not None and (word := _word(base.path, pad)):
        tokenizer["pad_token"] = word
    return {
        CONFIG: _pretty(config),
        TOKENIZER: base.path / TOKENIZER,
        TOKENIZER_CONFIG: _pretty(tokenizer),
        FILTER: dump_filter(portable(bundle.filter)).encode(),
    }


def base_files(bundle: BundleCopy) -> dict[str, bytes | Path]:
    """Return the files of the base model, for a folder that is to be loaded without a hub.

    Args:
        bundle: the bundle.

    Returns:
        Paths by name below the folder.
    """
    return {f"{BASE}/{path.name}": path for path in bundle.student.base.files()}


def _word(base: Path, token: object) -> str | None:
    from tokenizers import Tokenizer

    word: str | None = Tokenizer.from_file(str(base / TOKENIZER)).id_to_token(token) if isinstance(token, int) else None
    return word


def _pretty(value: object) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()
