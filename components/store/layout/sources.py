"""Keys of what a student is made from: filters, base models, labels, splits."""

from __future__ import annotations

import re
from typing import Final

from distillery.components.store.digests import as_digest

MANIFEST: Final = "manifest.json"

# Folders of what `Store.commit` wrote; `Store.folder` takes one of these and a digest.
SAMPLES: Final = "samples"
LABEL_SETS: Final = "labelsets"
AUDITS: Final = "audits"
SPLITS: Final = "datasets"

# Folders to be listed.
FILTERS: Final = "filters"
MODELS: Final = "models"
CALIBRATIONS: Final = "calibrations"
ADAPTERS: Final = "adapters"

_POINTER = "model.json"
_PUBLISHED = re.compile(r"filters/[^/]+/v([0-9]{1,7})/[^/]+\.yaml")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._@=-]+")


def committed_key(folder: str, digest: str, file: str = MANIFEST) -> str:
    """Return the key of one file that `Store.commit` wrote.

    Args:
        folder: one of SAMPLES, LABEL_SETS, AUDITS and SPLITS, or what `adapters_folder` returns.
        digest: what `Store.commit` returned.
        file: name of the file; by default the manifest that names the others.

    Returns:
        The key.
    """
    return f"{folder}/{digest}/{file}"


def committed_folder(key: str) -> tuple[str, str] | None:
    """Return the folder and the digest that a key of `committed_key` was made of.

    Args:
        key: a key of the store.

    Returns:
        What `Store.folder` takes; None for a key of another kind.
    """
    folder, _, digest = key.rpartition("/")[0].rpartition("/")
    known = folder in (SAMPLES, LABEL_SETS, AUDITS, SPLITS) or folder.startswith(f"{ADAPTERS}/")
    return (folder, digest) if known and _DIGEST.fullmatch(digest) else None


def content_digest(key: str) -> str:
    """Return the digest that the bytes at a key have, going by the key.

    Args:
        key: a key of the store: of a published filter, near-duplicates, predictions, baselines, a benchmark, a verdict or a
            selection.

    Returns:
        64 hexadecimal digits; "" for a key of another kind, which says nothing of the bytes.
    """
    named = key.split("/")[0] in ("filters", "baselines", "judgements", "verdicts", "selections", "duplicates")
    stem = key.rpartition("/")[2].partition(".")[0]
    return stem if named and _DIGEST.fullmatch(stem) else ""


def published_filter_key(name: str, version: int, digest: str) -> str:
    """Return the key of a resolved filter, named by the digest of its bytes.

    Args:
        name: name of the filter.
        version: version of the filter.
        digest: sha256 of the filter's bytes.

    Returns:
        The key.
    """
    return f"{FILTERS}/{name}/v{version}/{digest}.yaml"


def version_of_filter(key: str) -> int | None:
    """Return the version of a published filter.

    Args:
        key: its key.

    Returns:
        The version; None where the key is none of a published filter.
    """
    match = _PUBLISHED.fullmatch(key)
    return int(match[1]) if match else None


def model_folder(name: str, revision: str) -> str:
    """Return the folder in which the versions of a mirrored base model lie.

    Args:
        name: name of the model.
        revision: revision of the model.

    Returns:
        The folder.
    """
    return f"{MODELS}/{name}@{revision}"


def model_pointer_key(name: str, revision: str) -> str:
    """Return the key of the document that says which version of a mirrored base model counts.

    Args:
        name: name of the model.
        revision: revision of the model.

    Returns:
        The key.
    """
    return f"{model_folder(name, revision)}/{_POINTER}"


def model_of_pointer(key: str) -> tuple[str, str] | None:
    """Return which model a key is the pointer of.

    Args:
        key: any key of the store.

    Returns:
        Name and revision of the model; None where the key is no pointer.
    """
    if not (key.startswith(f"{MODELS}/") and key.endswith(f"/{_POINTER}")):
        return None
    name, separator, revision = key.removeprefix(f"{MODELS}/").removesuffix(f"/{_POINTER}").rpartition("@")
    return (name, revision) if separator else None


def input_key(digest: str, file_name: str) -> str:
    """Return the key of an uploaded input file.

    Args:
        digest: sha256 of the file's bytes.
        file_name: name of the file on the user's machine; whatever can't stand in a key becomes a hyphen.

    Returns:
        The key.
    """
    return f"inputs/{digest}/{_UNSAFE.sub('-', file_name).lstrip('.') or 'input'}"


def journal_folder(name: str, digest: str) -> str:
    """Return the folder of the label journal of one rubric and oracle.

    Args:
        name: name of the filter.
        digest: digest of rubric and oracle together.

    Returns:
        The folder.
    """
    return f"labels/{name}/{digest}"


def journal_segment_key(folder: str, number: int) -> str:
    """Return the key of one segment of a label journal.

    Args:
        folder: folder of the journal.
        number: number of the segment, from 0.

    Returns:
        The key.
    """
    return f"{folder}/{number:06d}.jsonl"


def run_lock_key(folder: str) -> str:
    """Return the key of the document that says which run writes a journal.

    Args:
        folder: folder of the journal.

    Returns:
        The key.
    """
    return f"{folder}/run.json"


def calibration_key(name: str, rubric: str, oracle: str) -> str:
    """Return the key of a rubric's calibration with an oracle.

    Args:
        name: name of the filter.
        rubric: digest of the rubric.
        oracle: digest of the oracle.

    Returns:
        The key.

    Raises:
        InputError: one of them is no digest.
    """
    return f"{CALIBRATIONS}/{name}/{as_digest(rubric, 'rubric')}-{as_digest(oracle, 'oracle')}.json"


def calibration_attempts_key(name: str) -> str:
    """Return the key of the list of samples that a filter's rubrics were calibrated on.

    Args:
        name: name of the filter.

    Returns:
        The key.
    """
    return f"{CALIBRATIONS}/{name}/attempts.json"


def review_key(name: str, digest: str) -> str:
    """Return the key of a review page, named by the digest of its bytes.

    Args:
        name: name of the filter.
        digest: sha256 of the page.

    Returns:
        The key.
    """
    return f"{CALIBRATIONS}/{name}/reviews/{digest}.html"


def noise_key(name: str, rubric: str, oracle: str) -> str:
    """Return the key of an oracle's noise on a rubric.

    Args:
        name: name of the filter.
        rubric: digest of the rubric.
        oracle: digest of the oracle.

    Returns:
        The key.

    Raises:
        InputError: one of them is no digest.
    """
    return f"noise/{name}/{as_digest(rubric, 'rubric')}-{as_digest(oracle, 'oracle')}.json"


def frozen_key(name: str, policy: str) -> str:
    """Return the key of a filter's frozen test parts under one split policy.

    Args:
        name: name of the filter.
        policy: digest of the split policy.

    Returns:
        The key.
    """
    return f"{SPLITS}/frozen/{name}/{policy}.json"


def duplicates_key(digest: str) -> str:
    """Return the key of the groups of copies and near-duplicates in a label set.

    Args:
        digest: sha256 of the table's bytes.

    Returns:
        The key.
    """
    return f"duplicates/{digest}.parquet"
