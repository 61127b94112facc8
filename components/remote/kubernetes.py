"""The Kubernetes API, from inside a pod or by KUBECONFIG; each request is tried again through an outage of three minutes.

The generated client waits for ever for a reply, so every request has 30 s. What the API refuses is said in one line, with what
to do; an account that may not do something is the commonest of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from distillery.components.remote.retry import PATIENCE, is_outage, retry
from distillery.filters.errors import InputError, Stopped
from distillery.filters.strict_json import loads

TIMEOUT = (5, 30)  # to connect, to reply
SETTINGS = "distillery"  # ConfigMap
TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
T = TypeVar("T")


class NoCluster(InputError):
    """No Kubernetes is at hand: this is no pod, and no kubeconfig names a cluster."""

    def __init__(self) -> None:
        super().__init__("no cluster is at hand", hint="set KUBECONFIG")


def connection() -> Any:
    """Return how the cluster at hand is reached, read anew: a token may have run out meanwhile.

    Returns:
        A Configuration of the Kubernetes client.

    Raises:
        NoCluster: there is none.
        InputError: KUBECONFIG names no kubeconfig.
    """
    in_pod = bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and TOKEN.is_file()
    files = os.environ.get("KUBECONFIG") or "~/.kube/config"  # an empty one counts as none, as kubectl has it
    if not in_pod and not any(os.path.exists(os.path.expanduser(file)) for file in files.split(os.pathsep)):
        raise NoCluster  # before the client is imported, which takes half a second
    from kubernetes import client, config
    from yaml import YAMLError

    found = client.Configuration()
    try:
        if in_pod:
            config.load_incluster_config(client_configuration=found)
        else:
            context, proxy = _context(files)
            config.load_kube_config(files, context=context, client_configuration=found)
            found.proxy = proxy
    except (config.ConfigException, OSError) as error:
        raise NoCluster from error
    except (YAMLError, LookupError, TypeError, AttributeError, ValueError) as error:
        what = f"no kubeconfig can be read from it ({type(error).__name__})"
        raise InputError(what, where=f"KUBECONFIG {files}", hint="see what `kubectl config view` says of it") from error
    return found


def _context(files: str) -> tuple[str | None, str | None]:
    """Return the context of the first file that names one, as kubectl and kopf do, and the proxy of its cluster.

    The client (30.1.0) by itself takes the last file's context, and reads no `proxy-url`.
    """
    from kubernetes.config.kube_config import KubeConfigMerger

    configs = list(KubeConfigMerger(files).config_files.values())
    name = next((each["current-context"] for each in configs if each.get("current-context")), None)

    def first(kind: str, name: Any) -> Mapping[str, Any]:
        named = (each for config in configs for each in config.get(f"{kind}s") or [] if each["name"] == name)
        return next((each.get(kind) or {} for each in named), {})

    return name, first("cluster", first("context", name).get("cluster")).get("proxy-url")


@lru_cache(maxsize=1)
def _api_client() -> Any:
    configuration = connection()
    from kubernetes import client

    try:
        return client.ApiClient(configuration)
    except ValueError as error:  # of urllib3, for a scheme that it doesn't know; the address may hold a key
        what = f"a proxy of the scheme {str(configuration.proxy).partition('://')[0]} can't be used"
        raise InputError(what, where="proxy-url in KUBECONFIG", hint="name one of http:// or https://") from error


def batch() -> Any:
    """Return the API of Jobs.

    Returns:
        A client of the cluster at hand.

    Raises:
        InputError: there is none.
    """
    from kubernetes import client

    return client.BatchV1Api(_api_client())


def core() -> Any:
    """Return the API of pods, their logs and ConfigMaps.

    Returns:
        A client of the cluster at hand.

    Raises:
        InputError: there is none.
    """
    from kubernetes import client

    return client.CoreV1Api(_api_client())


def custom() -> Any:
    """Return the API of objects of a CustomResourceDefinition.

    Returns:
        A client of the cluster at hand.

    Raises:
        InputError: there is none.
    """
    from kubernetes import client

    return client.CustomObjectsApi(_api_client())


def api_versions(*, seconds: float = PATIENCE) -> dict[str, str]:
    """Return the groups of the API that the cluster serves; every account may ask for them.

    Args:
        seconds: how long an outage may last.

    Returns:
        The preferred version, by group.

    Raises:
        InputError: there is no cluster, or it refuses.
        Stopped: the API server can't be reached for longer.
    """
    api = _api_client()
    from kubernetes import client

    groups = ask(client.ApisApi(api).get_api_versions, seconds=seconds).groups
    return {group.name: group.preferred_version.version for group in groups}


def server_version(*, seconds: float = PATIENCE) -> str:
    """Return the version of the API server.

    Args:
        seconds: how long an outage may last.

    Returns:
        Its version, as v1.34.4.

    Raises:
        InputError: there is no cluster, or it refuses.
        Stopped: the API server can't be reached for longer.
    """
    from kubernetes import client

    return str(ask(client.VersionApi(_api_client()).get_code, seconds=seconds).git_version)


def ask(request: Callable[..., T], *args: Any, seconds: float = PATIENCE, **kwargs: Any) -> T:
    """Make a request to the API server, and make it again while there is an outage.

    Args:
        request: a method of what `batch`, `core` or `custom` returned.
        *args: what it is called with.
        seconds: how long an outage may last.
        **kwargs: what it is called with.

    Returns:
        What the request returned.

    Raises:
        KeyError: there is no such object (404).
        FileExistsError: it exists already, or was changed meanwhile (409).
        InputError: the request is refused.
        Stopped: the API server can't be reached for longer.
    """
    from kubernetes.client.exceptions import ApiException

    try:
        return retry("Kubernetes", lambda: request(*args, _request_timeout=TIMEOUT, **kwargs), seconds=seconds)
    except ApiException as error:
        if error.status == 404:
            raise KeyError(reason(error)) from error
        if error.status == 409:
            raise FileExistsError(reason(error)) from error
        if is_outage(error):
            raise Stopped(f"Kubernetes answers {error.status}", hint="the same command later goes on") from error
        hint = (
            "bind this account to the Roles run-scoring and run-training (manifests/base)" if error.status in (401, 403) else ""
        )
        raise InputError(f"Kubernetes refuses: {reason(error)}", hint=hint) from error
    except Exception as error:
        if not is_outage(error):
            raise
        # Only the kind of error: messages of HTTP clients carry addresses that may carry keys.
        what = f"Kubernetes can't be reached ({type(error).__name__})"
        raise Stopped(what, hint="check KUBECONFIG; the same command later goes on") from error


def create(request: Callable[..., T], *args: Any) -> T:
    """Create an object with strict validation, so that a field that the cluster doesn't know is an error and not dropped.

    Args:
        request: a method of what `batch` or `custom` returned that creates an object.
        *args: what it is called with.

    Returns:
        What the request returned.

    Raises:
        KeyError: the cluster has no such kind.
        FileExistsError: there is an object of this name.
        InputError: the object is refused.
        Stopped: the API server can't be reached for longer.
    """
    return ask(request, *args, field_validation="Strict")


def log_lines(pod: str, namespace: str, *, seconds: float = PATIENCE, **asked: Any) -> list[str]:
    """Return the lines of a pod's log; a newline alone ends one, since bars of progress hold carriage returns.

    The log is read as bytes: the generated client raises for one that is no UTF-8, and takes one that is JSON for a value.

    Args:
        pod: its name.
        namespace: where it is.
        seconds: how long an outage may last.
        **asked: more parameters of the request, such as the container.

    Returns:
        Lines without their newline; what is no UTF-8 is replaced.

    Raises:
        KeyError: there is no such pod.
        InputError: its log can't be had, or not yet.
        Stopped: the API server can't be reached for longer.
    """

    def read(*args: Any, **more: Any) -> bytes:
        data: bytes = core().read_namespaced_pod_log(*args, _preload_content=False, **more).data
        return data

    *lines, rest = ask(read, pod, namespace, seconds=seconds, **asked).decode("utf-8", "replace").split("\n")
    return [*lines, rest] if rest else lines


def reason(error: Any) -> str:
    """Return what an ApiException says, in the API server's words.

    Args:
        error: the exception.

    Returns:
        Its message; status and reason where it has none.
    """
    try:
        return str(loads(error.body)["message"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return f"{error.status} {error.reason}"


def cluster_settings(namespace: str) -> Mapping[str, str]:
    """Return the ConfigMap `distillery` of a namespace.

    Args:
        namespace: the namespace.

    Returns:
        Its settings by name; empty where there is no such ConfigMap.
    """
    try:
        return dict(ask(core().read_namespaced_config_map, SETTINGS, namespace).data or {})
    except KeyError:
        return {}
