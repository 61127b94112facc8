"""What a machine or a cluster lacks for a run: a check for each thing that a run needs.

A check makes the call that the run itself would make first, so it can't say otherwise than the run does. None costs money but
the oracle's, which is asked once and only where the user says so, and none fetches a model. All of them together take some
two seconds where everything answers.
"""

from __future__ import annotations

import asyncio
import os
import platform
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Literal

from distillery.components.runtime.extras import MODULES
from distillery.components.runtime.outside_errors import told
from distillery.components.runtime.step import EXIT_CODES, cause_of
from distillery.components.store import Address, in_bucket, open_store
from distillery.filters.errors import InputError, Stopped, install_line
from distillery.filters.filter import Filter
from distillery.filters.spec import ONLINE
from distillery.pipelines.versions import PIPELINES

if TYPE_CHECKING:
    from distillery.components.labeling.oracles.base import Oracle
    from distillery.pipelines.cluster.kubeflow import Kubeflow

Status = Literal["ok", "absent", "fault"]
GROUPS: Final = {"trainer": "trainer.kubeflow.org", "kueue": "kueue.x-k8s.io"}
NEEDED: Final = {
    "trainer": "install Kubeflow Trainer 2 for trainer=trainjob; pod needs none",
    "kueue": "install Kueue for scoring Jobs that wait for their turn; without it they start at once",
}
PRIVATE: Final = ("store", "base model", "oracle", "kubeflow", "pipeline")  # they name places of the user
BUILT_ON: Final = ("boto3", "kfp", "kubernetes", "pydantic", "typer")
SECONDS: Final = 20.0  # patience with Kubernetes
ARTICLE: Final = (
    "Town hall gets a new roof",
    "The town council voted on Monday to replace the leaking roof of the town hall before winter. The work costs 400,000 "
    "and is paid from savings. Solar panels are planned for next year, once the new beams have been tested.",
)


@dataclass(frozen=True)
class Check:
    """What one check found.

    Attributes:
        name: What was checked.
        status: ok; absent where it isn't there and nobody said that it is needed; fault where a run would fail.
        what: What is there, or what is wrong.
        hint: How to mend it; empty where nothing needs it.
        code: The exit code that a run would end with for this, 0 where it would not end.
    """

    name: str
    status: Status
    what: str
    hint: str = ""
    code: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the check as `check --json` prints it.

        Returns:
            JSON values by field.
        """
        return {key: getattr(self, key) for key in ("name", "status", "what", "hint")}


class Absent(Exception):
    """What a check looked for isn't there, and need not be. The two texts are what, and how to get it."""


def run_check(name: str, check: Callable[[], str]) -> Check:
    """Make one check.

    Args:
        name: What is checked.
        check: Returns what is there; raises Absent, or what a run would raise.

    Returns:
        What it found.
    """
    try:
        return Check(name, "ok", check())
    except Absent as absent:
        return Check(name, "absent", *absent.args)
    except Exception as error:
        shown = told(error)
        if shown is None:
            raise
        where = f"{shown.where}: " if isinstance(shown, InputError) and shown.where else ""
        return Check(name, "fault", f"{where}{shown.what}", shown.hint, EXIT_CODES[cause_of(shown)])


def checks(
    flt: Filter | None, *, store: str, prices: str = "", call: bool = False, endpoint: str = "", namespace: str = ""
) -> Iterator[Check]:
    """Make all checks, one by one.

    Args:
        flt: The filter of the run to come; None to look at the machine alone.
        store: The store's address.
        prices: A file of prices; empty for none.
        call: True to ask the oracle once, which may cost a fraction of a cent.
        endpoint: Address of Kubeflow Pipelines; empty where there is none to check.
        namespace: The user's namespace in Kubeflow; empty on an installation for one.

    Yields:
        What each found.
    """
    yield run_check("python", lambda: f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield run_check("distillery", lambda: version("llm-distillery"))
    for extra in dict.fromkeys(MODULES.values()):
        yield run_check(f"extra {extra}", lambda extra=extra: _extra(extra))  # type: ignore[misc]
    yield run_check("store", lambda: _store(store))
    if flt is not None:
        yield run_check("base model", lambda: _base(flt, store))
        yield run_check("oracle", lambda: _oracle(flt, call))
        yield run_check("price", lambda: _price(flt, prices))
    yield from _kubeflow(endpoint, namespace)
    yield from _kubernetes()


def _extra(extra: str) -> str:
    modules = [module for module, of in MODULES.items() if of == extra]
    if missing := [module for module in modules if find_spec(module) is None]:
        raise Absent(f"lacks {', '.join(missing)}", install_line(extra))
    asked = re.compile(rf"^([\w.-]+).*extra == [\"']{extra}[\"']$")
    names = [match[1] for line in requires("llm-distillery") or () if (match := asked.match(line))]
    return ", ".join(f"{name} {_version_of(name)}" for name in names if name != "llm-distillery")


def _store(uri: str) -> str:
    address = Address.parse(uri)
    if not address.in_bucket and not address.local.exists():
        there = next(folder for folder in address.local.parents if folder.exists())
        if not os.access(there, os.W_OK | os.X_OK):
            raise InputError("can't be written", where=str(there), hint="allow it, or name another place: {store}")
        return f"{address.local} isn't there yet, and can be made"
    opened = open_store(uri)
    if in_bucket(uri):
        return f"{opened.uri}: written, and conditional writes are honoured"
    return f"{opened.uri}: can be written"


def _base(flt: Filter, store: str) -> str:
    from distillery.components.preflight.base_model import require_base
    from distillery.components.student.resolve import NotFetched, resolve_base

    address = Address.parse(store)
    there = open_store(store, write=False) if address.in_bucket or address.local.exists() else None
    student = flt.spec.student
    if there is not None and address.in_bucket:
        require_base(there, flt)
        return f"{student.baseModel} is mirrored, whole and measured"
    try:
        base = resolve_base(student.baseModel, student.revision, there, fetch=False)
    except NotFetched as error:
        raise Absent(f"{error.where} {error.what}", error.hint) from None
    return f"{student.baseModel} is on this machine, base {base.digest[:12]}"


def _oracle(flt: Filter, call: bool) -> str:
    from distillery.components.labeling.oracles.base import open_oracle

    said = flt.spec.oracle
    name = f"{said.provider} {said.model}".strip()
    if said.provider == "replay" and said.replies is None:
        raise Absent("replay without recorded replies: for labels that exist", "give --labels, or name another oracle.provider")
    unasked = said.provider == "replay" or said.provider in ONLINE  # recordings; a job of minutes
    oracle = open_oracle(flt)

    async def once() -> str:
        try:
            if not call or unasked:
                return f"{name}: what it needs is set{'' if unasked else '; --call asks it once'}"
            return f"{name} {await asyncio.wait_for(_asked(flt, oracle), said.timeoutSeconds)}"
        except TimeoutError:
            raise Stopped(f"{name} gave no answer in {said.timeoutSeconds:g} s", hint="try again later") from None
        finally:
            await oracle.close()

    return asyncio.run(once())


async def _asked(flt: Filter, oracle: Oracle) -> str:
    """Ask the oracle about an article of our own, and read the reply as the label step does."""
    from distillery.components.articles.articles import Article
    from distillery.components.labeling.oracles.base import OracleError, Request
    from distillery.components.labeling.replies import read_reply
    from distillery.filters.prompt import article_part, prompt_prefix

    article, began = Article("check", *ARTICLE), monotonic()
    try:
        reply = await oracle.ask(Request(article, prompt_prefix(flt), article_part(flt, *ARTICLE), 1))
    except OracleError as error:
        raise Stopped(str(error), hint="mend what it says, or try again later") from None
    seconds = monotonic() - began
    try:
        read_reply(flt, article, reply)
    except ValueError as error:
        hint = "name a model that follows the schema, or raise oracle.maxOutputTokens"
        raise InputError(f"answered in {seconds:.1f} s what can't be used: {error}", where="spec.oracle", hint=hint) from None
    usage = reply.usage
    tokens = f", {usage.input_tokens:,} tokens in and {usage.output_tokens:,} out" if usage else ", without a count of tokens"
    return f"answered in {seconds:.1f} s with a score for each dimension{tokens}"


def _price(flt: Filter, prices: str) -> str:
    from distillery.components.labeling.oracles.prices import no_price, price_of, read_prices

    if (found := price_of(flt, read_prices(prices))) is None:
        unknown = no_price(flt)
        raise Absent(f"{unknown.where}: {unknown.what}; a budget can't be kept", unknown.hint)
    price, date = found
    return f"${price.input:g} a million tokens in, ${price.output:g} out ({date})"


def _kubeflow(endpoint: str, namespace: str) -> Iterator[Check]:
    if not endpoint:
        yield Check("kubeflow", "absent", "no address is given", "give --endpoint URL or set KFP_ENDPOINT to check it")
        return
    from distillery.pipelines.cluster.kubeflow import Kubeflow

    opened: list[Kubeflow] = []

    def server() -> str:
        opened.append(Kubeflow(endpoint, namespace))
        return f"{endpoint}: {opened[0].server_version() or 'a version that it does not tell'}"

    yield run_check("kubeflow", server)
    for pipeline in PIPELINES if opened else ():
        yield run_check(f"pipeline {pipeline}", lambda name=pipeline: _published(opened[0], name))  # type: ignore[misc]


def _published(kubeflow: Kubeflow, pipeline: str) -> str:
    newest = kubeflow.published(pipeline)
    return f"{newest.name} with {', '.join(kubeflow.images(newest))}"


def _kubernetes() -> Iterator[Check]:
    from distillery.components.remote import kubernetes as kube

    versions: list[dict[str, str]] = []

    def server() -> str:
        try:
            versions.append(kube.api_versions(seconds=SECONDS))
        except kube.NoCluster as error:
            raise Absent(error.what, f"{error.hint} to check it") from None
        return kube.server_version(seconds=SECONDS)

    yield run_check("kubernetes", server)
    for name, group in GROUPS.items() if versions else ():
        yield run_check(name, lambda name=name, group=group: _served(name, group, versions[0]))  # type: ignore[misc]


def _served(name: str, group: str, versions: dict[str, str]) -> str:
    if group not in versions:
        raise Absent(f"no {group} on this cluster", NEEDED[name])
    return f"{group} {versions[group]}"


def bug_report(found: list[Check]) -> str:
    """Return what a report of a fault should carry, as Markdown; no key, article or path of the user's is in it.

    Args:
        found: What the checks found.

    Returns:
        A table of the checks, then the versions of what the project is built on.
    """
    left_out = "left out: it names places of yours"
    shown = [replace(check, what=left_out) if check.name.startswith(PRIVATE) else check for check in found]
    rows = [f"| {check.name} | {check.status} | {check.what.replace('|', ' ')} |" for check in shown]
    versions = [f"- {name} {_version_of(name)}" for name in BUILT_ON]
    return "\n".join(["| check | status | what |", "|---|---|---|", *rows, "", *versions])


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "is not installed"
