"""Starts a pipeline on a cluster: local files are uploaded, and equal inputs are one run while it lasts."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from distillery.components.articles.input_files import local_file, require_input
from distillery.components.articles.listing import data_version
from distillery.components.artifacts.adapter import find_adapter, is_digest
from distillery.components.artifacts.channel import on_channel
from distillery.components.artifacts.filter import publish_filter
from distillery.components.artifacts.steps import SELECT
from distillery.components.choosing.candidates import read_candidates
from distillery.components.choosing.rule import parse_rule
from distillery.components.preflight.preflight import check, check_settings, require_price, resolve
from distillery.components.preflight.request import MARKS, RunRequest, map_files
from distillery.components.runtime.settings import EMPTY
from distillery.components.store import Address, Digest, Store, digest_file, digest_json, in_bucket
from distillery.components.store.address import scheme_of
from distillery.components.store.layout import input_key
from distillery.filters.errors import InputError
from distillery.filters.loading import load_filter
from distillery.pipelines.cluster.claims import Claim, claim
from distillery.pipelines.cluster.kubeflow import Kubeflow, Published


class Prepared(NamedTuple):
    """What a run is started with.

    Attributes:
        filter: The filter's name.
        parameters: The pipeline's parameters, without those at their defaults.
        inputs: What the digest of the run's inputs covers.
        pipeline: Name of the pipeline.
    """

    filter: str
    parameters: dict[str, Any]
    inputs: dict[str, Any]
    pipeline: str = "distill"


# Parameters whose default the digest of a run's inputs holds as an empty text: (default, in the digest).
UNSET = {"max_rejects": ("0", ""), "trainer": ("pod", "")}


class Unwritten(Store):
    """A store in which nothing is written, for whoever asks what would be sent."""

    @classmethod
    def of(cls, store: Store) -> Unwritten:
        """Return the same store, to be read only.

        Args:
            store: The store.

        Returns:
            A store whose `put` leaves everything as it is.
        """
        return cls(store._objects)

    def put(self, key: str, data: bytes | Path) -> None:
        """Write nothing.

        Args:
            key: Where it would be.
            data: What it would be.
        """


def upload(store: Store, path: str, *, parameter: str) -> str:
    """Return the address of a file that pods can read.

    Args:
        store: Where a local file is copied to, unless its bytes are there already.
        path: A path of this machine, or an s3:// address.
        parameter: Name of the parameter, for errors.

    Returns:
        An s3:// address: `path` itself where it is one, else that of the copy.

    Raises:
        InputError: There is nothing at `path`.
    """
    if in_bucket(path):
        require_input(path, parameter=parameter)
        return path
    if scheme_of(path) == "hf" or Address.parse(path).local.is_dir():
        what = "is a folder on this machine" if scheme_of(path) != "hf" else "is a data set of a hub, which pods don't reach"
        hint = "copy it where pods read, and give that address: aws s3 cp --recursive FOLDER s3://bucket/prefix"
        raise InputError(what, where=path, hint=hint, parameter=parameter)
    with local_file(path, parameter=parameter) as file:
        key = input_key(digest_file(file), file.name)
        if not store.exists(key):
            store.put(key, file)
    return f"{store.uri}/{key}"


def prepare(store: Store, request: RunRequest) -> Prepared:
    """Upload the local files of a request and its filter.

    Profile and overrides are applied to the filter that is sent: the image may have another filter under its name.

    Args:
        store: The object store that pods reach.
        request: The run's arguments.

    Returns:
        What the run is started with.

    Raises:
        InputError: The first step would refuse the request.
    """
    check_settings(request)
    flt, articles, labels = resolve(request)  # with the paths as they are here: errors name them
    if articles:
        require_price(flt, request.budget)
    sent = map_files(request.overrides, lambda path, key: upload(store, path, parameter=f"{{overrides}} {key}"))
    if flt.spec.oracle.replies and not any("oracle.replies=" in override for override in sent):
        replies = upload(store, flt.spec.oracle.replies, parameter="spec.oracle.replies")
        sent = (*sent, f"oracle.replies={replies}")
    uploaded = replace(
        request,
        store=store.uri,
        articles=articles and upload(store, articles, parameter="articles"),
        labels=labels and upload(store, labels, parameter="labels"),
        marks=request.marks if request.marks in MARKS else _marks(store, request),
        overrides=sent,
    )
    key = publish_filter(store, resolve(uploaded).filter)
    there = replace(uploaded, filter=f"{store.uri}/{key}", profile="", overrides=())
    return Prepared(flt.name, there.to_changed_arguments(), _inputs(there, key))


def prepare_selection(
    store: Store, request: RunRequest, candidates: str | Path, *, rule: str, prepare: Callable[[], Prepared]
) -> Prepared:
    """Check candidates and rule, upload the candidates, and return what a selection is started with.

    Args:
        store: The object store that pods reach.
        request: The run's arguments, with absolute paths.
        candidates: The file of candidates, or its s3:// address.
        rule: Of the choice.
        prepare: Returns what a run of `distill` would be started with.

    Returns:
        What the run is started with.

    Raises:
        InputError: The first steps would refuse the request.
    """
    wish = str(parse_rule(rule))
    read_candidates(candidates, check(request).filter)
    run = prepare()
    given: dict[str, Any] = {"candidates": upload(store, str(candidates), parameter="candidates"), "rule": wish}
    changed = {**run.parameters, **given}
    return Prepared(run.filter, changed, {**run.inputs, **given, "tried": data_version(given["candidates"])}, SELECT)


def _marks(store: Store, request: RunRequest) -> str:
    """Return the address of the marks; a run on a cluster takes one file."""
    if not in_bucket(request.marks) and Address.parse(request.marks).local.is_dir():
        what = "is a folder, and a run on a cluster takes one file"
        hint = f"run `distillery calibrate` with this folder and `--store {store.uri}` first; the run takes its result"
        raise InputError(what, where=request.marks, hint=hint, parameter="marks")
    return upload(store, request.marks, parameter="marks")


def _inputs(request: RunRequest, filter_key: str) -> dict[str, Any]:
    """Return what the digest of a run's inputs covers: the arguments, and the version of the data."""
    inputs = {**request.to_arguments(), "filter": filter_key, "data": data_version(request.articles or request.labels)}
    for name in ("store", "profile", "overrides"):
        del inputs[name]
    for name, (default, unset) in UNSET.items():
        inputs[name] = unset if inputs[name] == default else inputs[name]
    return inputs


def prepare_score(
    store: Store,
    subject: str,
    articles: str,
    *,
    channel: str = "",
    out: str = "",
    shards: int = 0,
    parallelism: int = 0,
    columns: Sequence[str] = (),
) -> Prepared:
    """Upload a corpus that lies on this machine, and see that there is an adapter to score it with.

    The run takes what the channel points at when it begins, with the filter as it was promoted.

    Args:
        store: The object store that pods reach.
        subject: A filter's name or path, or an adapter's digest.
        articles: A file, or an s3:// address of one or of a prefix of files.
        channel: Name of the channel; empty for the one that the filter names.
        out: s3:// address of the scores; empty for the store.
        shards: Parts that the corpus is cut into; 0 chooses.
        parallelism: Pods at once; 0 chooses.
        columns: Columns of the files by our names, each "column=name".

    Returns:
        What the run is started with.

    Raises:
        InputError: The first step would refuse it.
    """
    if out and not in_bucket(out):
        raise InputError("is no place that a cluster reaches", where=f"--out {out}", hint="give s3://bucket/prefix")
    flt = None if is_digest(subject) else on_channel(load_filter(subject), channel)
    name, where = (flt.name, flt.spec.promotion.channel) if flt else (subject, "")
    found = find_adapter(store, name, channel=where).renamed(columns)
    asked: dict[str, Any] = {
        "adapter": name if flt else found.adapter,
        "articles": upload(store, articles, parameter="articles"),
        "store": store.uri,
        "channel": where or EMPTY["channel"],
        "shards": shards,
        "parallelism": parallelism,
        "out": out.rstrip("/"),
        "columns": list(columns),
    }
    changed = {key: value for key, value in asked.items() if value != EMPTY.get(key, "")}
    inputs = {**asked, "adapter": found.adapter, "data": data_version(asked["articles"])}
    return Prepared(found.filter.name, changed, {key: inputs[key] for key in sorted(inputs) if key != "store"}, "score")


def start(
    kubeflow: Kubeflow,
    store: Store,
    version: Published,
    prepared: Prepared,
    *,
    account: str = "",
    seen_end: str | None = None,
    grace: float | None = None,
) -> Claim:
    """Start a run, or find the unfinished one of the same inputs.

    Args:
        kubeflow: Where the run runs.
        store: Where runs are claimed.
        version: The pipeline's version.
        prepared: What the run is started with.
        account: The run's service account; empty for Kubeflow's default.
        seen_end: As for `claim`.
        grace: As for `claim`.

    Returns:
        The run, and whether this call started it.

    Raises:
        InputError: Kubeflow refuses the run.
        Stopped: Kubeflow cannot be reached.
    """
    digest, name = inputs_of(prepared), prepared.filter
    return claim(
        store,
        digest,
        name=f"{name}-{digest[:8]}-{secrets.token_hex(3)}",
        start=lambda named: kubeflow.start(version, named, prepared.parameters, experiment=name, service_account=account),
        find=kubeflow.find,
        active=kubeflow.active,
        cancel=kubeflow.cancel,
        seen_end=seen_end,
        grace=grace,
    )


def inputs_of(prepared: Prepared) -> Digest:
    """Return the digest that a run is claimed under.

    Args:
        prepared: What the run is started with.

    Returns:
        The digest of pipeline and inputs.
    """
    return digest_json({"pipeline": prepared.pipeline, **prepared.inputs})
