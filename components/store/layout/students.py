"""Keys of students and of what is said of them: adapters, benchmarks, verdicts, channels."""

from __future__ import annotations

import re
from typing import Final

from distillery.components.store.digests import as_digest
from distillery.components.store.layout.sources import ADAPTERS
from distillery.components.store.objects import check_key

# Folders to be listed.
CHANNELS: Final = "channels"
BASELINES: Final = "baselines"
CHECKPOINTS: Final = "checkpoints"
JUDGEMENTS: Final = "judgements"
VERDICTS: Final = "verdicts"
INTENTS: Final = "intents"
CANDIDATE: Final = ".candidate.json"  # how the key of a candidate ends


def reviewed_key(name: str, adapter: str) -> str:
    """Return the key of what people said of an adapter's test articles.

    Args:
        name: name of the filter.
        adapter: digest of the adapter.

    Returns:
        The key.

    Raises:
        InputError: the adapter's digest is not one.
    """
    return f"reviews/{name}/{as_digest(adapter, 'adapter')}.json"


def checkpoint_key(inputs: str) -> str:
    """Return the key of a training's last checkpoint.

    Args:
        inputs: digest of the inputs.

    Returns:
        The key.
    """
    return f"checkpoints/{inputs}/state.pt"


def curves_folder(name: str, inputs: str) -> str:
    """Return the folder of a training's curves.

    Args:
        name: of the filter.
        inputs: digest of the training's inputs.

    Returns:
        The folder.
    """
    return f"curves/{name}/{inputs[:16]}"


def curves_key(name: str, inputs: str, seconds: int, number: int) -> str:
    """Return the key of one file of a training's curves; their names are in the order in which they were written.

    Args:
        name: of the filter.
        inputs: digest of the training's inputs.
        seconds: Unix time of the first point.
        number: of the file, from 0, within one process.

    Returns:
        The key.
    """
    return f"{curves_folder(name, inputs)}/events.out.tfevents.{seconds:010d}.{number:06d}"


def adapters_folder(name: str) -> str:
    """Return the folder of a filter's adapters.

    Args:
        name: name of the filter.

    Returns:
        The folder.
    """
    return f"{ADAPTERS}/{name}"


def baselines_key(split: str, digest: str) -> str:
    """Return the key of the baselines' predictions for the test part of a split.

    Args:
        split: digest of the split.
        digest: sha256 of the document.

    Returns:
        The key.
    """
    return f"baselines/{split}/{digest}.parquet"


def predictions_key(adapter: str, test: str, digest: str) -> str:
    """Return the key of an adapter's predictions for a test part.

    Args:
        adapter: digest of the adapter.
        test: digest of the test part.
        digest: sha256 of the document.

    Returns:
        The key.
    """
    return f"judgements/{adapter}/{test}/predictions/{digest}.parquet"


def benchmark_key(adapter: str, test: str, digest: str) -> str:
    """Return the key of an adapter's benchmark on a test part.

    Args:
        adapter: digest of the adapter.
        test: digest of the test part.
        digest: sha256 of the document.

    Returns:
        The key.
    """
    return f"judgements/{adapter}/{test}/benchmark/{digest}.json"


def judged_key(adapter: str, precision: str) -> str:
    """Return the key of the plan in which a benchmark read an adapter.

    Args:
        adapter: digest of the adapter.
        precision: what the filter wished for, such as auto.

    Returns:
        The key.
    """
    return f"judgements/{adapter}/served-{precision}.json"


def measured_key(adapter: str) -> str:
    """Return the key of how fast an adapter is, and how much memory it takes.

    Args:
        adapter: digest of the adapter.

    Returns:
        The key.
    """
    return f"judgements/{adapter}/measured.json"


def selection_key(name: str, digest: str) -> str:
    """Return the key of a selection among students of a filter.

    Args:
        name: name of the filter.
        digest: sha256 of the document.

    Returns:
        The key.

    Raises:
        InputError: `digest` is no digest.
    """
    return f"selections/{name}/{as_digest(digest, 'selection')}.json"


def verdict_key(name: str, digest: str) -> str:
    """Return the key of a verdict on an adapter of a filter.

    Args:
        name: name of the filter.
        digest: sha256 of the document.

    Returns:
        The key.

    Raises:
        InputError: `digest` is no digest.
    """
    return f"verdicts/{name}/{as_digest(digest, 'verdict')}.json"


def intent_key(name: str, channel: str) -> str:
    """Return the key of what the Filter object of a cluster asks of a channel.

    Args:
        name: name of the filter.
        channel: name of the channel.

    Returns:
        The key.
    """
    return f"{INTENTS}/{name}/{channel}.json"


def listing_key(name: str, digest: str) -> str:
    """Return the key of a listing of the articles that a filter's runs were of.

    Args:
        name: name of the filter.
        digest: sha256 of the document.

    Returns:
        The key.

    Raises:
        InputError: `digest` is no digest.
    """
    return f"listings/{name}/{as_digest(digest, 'listing')}.json"


def is_listing(path: str) -> bool:
    """True if a path ends as the key of a listing does, so that what lies there stands for the articles that it names.

    Args:
        path: a path, or the key of an address.

    Returns:
        Whether it is a listing by its name; its bytes say whether it is one.
    """
    return re.search(r"(^|/)listings/[a-z0-9-]+/[0-9a-f]{64}[.]json$", path) is not None


def channel_key(name: str, channel: str) -> str:
    """Return the key of a filter's channel.

    Args:
        name: name of the filter.
        channel: name of the channel.

    Returns:
        The key.

    Raises:
        InputError: the channel's name can't stand in a key.
    """
    return check_key(f"{CHANNELS}/{name}/{channel}.json")


def candidate_key(name: str, channel: str) -> str:
    """Return the key of the adapter that waited for approval on a channel, as the first layout kept it.

    Args:
        name: name of the filter.
        channel: name of the channel.

    Returns:
        The key.
    """
    return channel_key(name, f"{channel}{CANDIDATE}".removesuffix(".json"))
