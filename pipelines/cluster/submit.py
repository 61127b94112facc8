"""Starts the `distill` pipeline on a cluster: local files are uploaded, and equal inputs are one run while it lasts."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from distillery.components.articles.input_files import given, local_file
from distillery.components.artifacts.filter import publish_filter
from distillery.components.store import Store, digest_file, digest_json, open_store
from distillery.components.store.layout import input_key
from distillery.filters.errors import InputError
from distillery.pipelines.cluster.claims import Claim, claim
from distillery.pipelines.cluster.kubeflow import Kubeflow, Published

FILE_OVERRIDES = ("oracle.replies", "data.articles", "data.labels")


def upload(store: Store, path: str, *, parameter: str) -> str:
    """The address of a file that pods can read: what is in an object store as it is, a local file's copy in this one.

    Raises InputError, naming the parameter, where nothing is there.
    """
    if path.startswith("s3://"):
        folder, _, name = path.rpartition("/")
        if open_store(folder, write=False).etag(name) is None:
            raise InputError("no such object", where=f"{parameter} {path}", hint="check bucket and key")
        return path
    with local_file(path, parameter=parameter) as file:
        key = input_key(digest_file(file), file.name)
        if not store.exists(key):
            store.put(key, file)
    return f"{store.uri}/{key}"


def uploaded_overrides(store: Store, overrides: Sequence[str]) -> list[str]:
    """Overrides that name a file on this machine name its copy in the store."""
    done = []
    for override in overrides:
        path, sign, value = override.partition("=")
        key = path.strip().removeprefix("spec.")
        named = key in FILE_OVERRIDES and value not in ("", "null")
        done.append(f"{path}{sign}{upload(store, value, parameter=f'--set {key}')}" if named else override)
    return done


def arguments(
    store: Store,
    *,
    ref: str,
    articles: str,
    labels: str,
    profile: str,
    overrides: Sequence[str],
    marks: str,
    **others: Any,
) -> tuple[dict[str, Any], dict[str, Any], str]:
    """What a run is started with (pipeline parameters, what its inputs' digest covers, the filter's name); local files are
    uploaded.

    The filter, too, with profile and overrides already in it: the image may have another one under its name. Raises
    InputError for what the first step would refuse.
    """
    from distillery.components.preflight.preflight import resolve

    flt = resolve(ref, profile=profile, overrides=overrides)  # with the paths as typed: they are named in errors
    articles, labels = given(articles, labels, filter_articles=flt.spec.data.articles, filter_labels=flt.spec.data.labels)
    articles = articles and upload(store, articles, parameter="--articles")
    labels = labels and upload(store, labels, parameter="--labels")
    if marks and marks not in ("reference", "prefilter"):
        marks = upload(store, marks, parameter="--marks")
    sent = uploaded_overrides(store, overrides)
    if flt.spec.oracle.replies and not any("oracle.replies=" in override for override in sent):
        sent.append(f"oracle.replies={upload(store, flt.spec.oracle.replies, parameter='spec.oracle.replies')}")
    key = publish_filter(store, resolve(ref, profile=profile, overrides=sent))
    settings = {"articles": articles, "labels": labels, "marks": marks, **others}
    parameters = {"store": store.uri, "filter": f"{store.uri}/{key}", **settings}
    inputs = {"filter": key, **settings, "data": _version(articles or labels)}
    # Parameters left at their defaults are the pipeline's own business, and stay out of the form in the UI.
    return {key: value for key, value in parameters.items() if value not in ("", [], 0)}, inputs, flt.name


def _version(uri: str) -> str | None:
    folder, _, name = uri.rpartition("/")
    return open_store(folder, write=False).etag(name)


def start(
    kubeflow: Kubeflow,
    store: Store,
    version: Published,
    name: str,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Any],
    *,
    account: str = "",
) -> Claim:
    """Starts a run of filter `name`, or finds the unfinished one of the same inputs."""
    digest = digest_json({"pipeline": "distill", **inputs})
    return claim(
        store,
        digest,
        name=f"{name}-{digest[:8]}-{secrets.token_hex(3)}",
        start=lambda named: kubeflow.start(version, named, parameters, experiment=name, service_account=account),
        find=kubeflow.find,
        active=kubeflow.active,
        cancel=kubeflow.cancel,
    )
