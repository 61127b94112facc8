"""The routes, as an ASGI application."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from distillery.components.articles.articles import Article
from distillery.components.serving.batching import Answers, Batcher, Closed, Full
from distillery.components.serving.limits import ApiKeys, Bodies, Gone, Receive, Refused
from distillery.components.serving.metrics import Metrics
from distillery.components.serving.models import Model, Shelf
from distillery.components.serving.open_inference import infer_answer, metadata, read_infer
from distillery.components.serving.requests import as_json, read_score, score_answer
from distillery.filters.errors import InputError

INLINE_BYTES = 64 * 2**10  # larger bodies are parsed in a thread, while others are answered
CLIENT_GONE = 499  # nobody reads it; it is counted
FAULT = 500

Handler = Callable[[Request], Awaitable[Response]]


class Service:
    """What the routes share.

    Args:
        shelf: the models that serve.
        batcher: scores.
        bodies: reads bodies.
        keys: who may ask.
        metrics: what is counted.
        behind: says why the channel's adapter doesn't serve, of a filter; "" where it does.
        say: takes a line for the log.
        draining: True once the server takes no more requests.
    """

    def __init__(
        self,
        shelf: Shelf,
        batcher: Batcher,
        *,
        bodies: Bodies | None = None,
        keys: ApiKeys | None = None,
        metrics: Metrics | None = None,
        behind: Callable[[str], str] = lambda name: "",
        say: Callable[[str], None] = lambda line: None,
        draining: Callable[[], bool] = lambda: False,
    ) -> None:
        self.shelf, self.batcher = shelf, batcher
        self.bodies, self.keys, self.metrics = bodies or Bodies(), keys or ApiKeys(None), metrics or Metrics()
        self.behind, self.say, self.draining = behind, say, draining

    def ready(self) -> dict[str, Any]:
        """Return whether requests may come, and what serves them.

        Returns:
            JSON values: `ready`, and of each model what it is, and why the channel's adapter doesn't serve where that is so.
        """
        models = []
        for name in self.shelf.names():
            behind, model = self.behind(name), self.model(name)
            why = {"behind": behind} if behind else {}
            models.append({"name": name, "version": model.adapter, "plan": model.plan, **why})
        return {"ready": not self.draining(), "models": models}

    def model(self, name: str, version: str = "") -> Model:
        """Return what serves under a name now.

        Args:
            name: of the filter; "" where the server has one only.
            version: the adapter that it must be; "" for any.

        Returns:
            The model.

        Raises:
            Refused: 404 where nothing is served under it, or another version; 400 where it has to be named.
        """
        names = self.shelf.names()
        if not name and len(names) > 1:
            raise Refused(400, "no filter is named", where="filter", hint=f"one of {', '.join(names)}")
        model = self.shelf.get(name or names[0])
        if model is None:
            raise Refused(404, f"{name[:80]!r} is not served here", where="filter", hint=f"one of {', '.join(names)}")
        if version not in ("", model.adapter):
            raise Refused(404, "another version is served", where="version", hint=f"version {model.adapter}")
        return model

    async def answers(self, model: Model, articles: list[Article], receive: Receive) -> Answers:
        """Return what the model says of articles.

        Args:
            model: scores all of them.
            articles: of one request.
            receive: gives the next ASGI message, which is the client's going away.

        Returns:
            An answer for each article.

        Raises:
            Refused: 429 where too many wait, 503 where the server is going down.
            Gone: the client has gone; what was not begun is not done.
        """
        try:
            future = self.batcher.submit(model, articles)
        except Full as error:
            raise Refused(429, "too many articles wait", hint="send fewer at a time", again=error.seconds) from None
        except Closed:
            raise Refused(503, "the server is shutting down", hint="ask another one", again=1) from None
        waiting, leaving = asyncio.wrap_future(future), asyncio.create_task(_left(receive))
        both: set[asyncio.Future[Any]] = {waiting, leaving}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                raise Gone
            answers = waiting.result()
        finally:
            waiting.cancel()
            leaving.cancel()
        self.metrics.answered(model, answers)
        return answers


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def build(service: Service) -> Starlette:
    """Build the application.

    Args:
        service: what the routes share.

    Returns:
        An ASGI application.
    """

    async def score(request: Request) -> Response:
        async with service.bodies.read(request.headers, request.receive) as body:
            asked = read_score(body) if len(body) <= INLINE_BYTES else await asyncio.to_thread(read_score, body)
            model = service.model(asked.filter)
            answers = await service.answers(model, asked.articles, request.receive)
        return _json(score_answer(model, answers))

    async def infer(request: Request) -> Response:
        if "inference-header-content-length" in request.headers:
            raise Refused(400, "binary tensors are not read", hint="send JSON")
        async with service.bodies.read(request.headers, request.receive) as body:
            model = named(request)
            asked = read_infer(body) if len(body) <= INLINE_BYTES else await asyncio.to_thread(read_infer, body)
            answers = await service.answers(model, asked.articles, request.receive)
        return _json(infer_answer(model, asked, answers))

    def named(request: Request) -> Model:
        return service.model(request.path_params["name"], request.path_params.get("version", ""))

    async def server(request: Request) -> Response:
        return _json(as_json({"name": "llm-distillery", "version": version("llm-distillery"), "extensions": []}))

    async def models(request: Request) -> Response:
        return _json(as_json({"models": service.shelf.names()}))

    async def model(request: Request) -> Response:
        return _json(as_json(metadata(named(request))))

    async def model_ready(request: Request) -> Response:
        return _json(as_json({"name": named(request).filter.name, "ready": True}))

    async def live(request: Request) -> Response:
        return _json(as_json({"live": True}))

    async def ready(request: Request) -> Response:
        found = service.ready()
        try:
            service.keys.require(request.headers)
        except Refused:  # a probe; what is served is not for everybody
            del found["models"]
        return _json(as_json(found), 200 if found["ready"] else 503)

    async def metrics(request: Request) -> Response:
        text = service.metrics.exposition(lambda: (service.batcher.waiting, service.bodies.held))
        return Response(text, headers={"content-type": service.metrics.TYPE})

    def route(path: str, handler: Handler, method: str = "GET", *, public: bool = False) -> Route:
        return Route(path, _guarded(service, path, handler, public=public), methods=[method])

    one = "/v2/models/{name}"
    routes = [
        route("/score", score, "POST"),
        route("/metrics", metrics),
        route("/v2", server),
        route("/v2/health/live", live, public=True),
        route("/v2/health/ready", ready, public=True),
        route("/v2/models", models),
        *(route(f"{path}/infer", infer, "POST") for path in (one, f"{one}/versions/{{version}}")),
        *(route(f"{path}/ready", model_ready) for path in (one, f"{one}/versions/{{version}}")),
        *(route(path, model) for path in (one, f"{one}/versions/{{version}}")),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _no_route})


def _guarded(service: Service, path: str, handler: Handler, *, public: bool) -> Handler:
    """Wrap a handler: the key is asked for, faults become answers, and all is counted."""

    async def guarded(request: Request) -> Response:
        began = time.monotonic()
        try:
            if not public:
                service.keys.require(request.headers)
            response = await handler(request)
        except Exception as error:
            response = _fault(error, path)
            if response.status_code == FAULT:
                service.say(f"{path}: {type(error).__name__}: {error}")
        service.metrics.requests.labels(path, str(response.status_code)).inc()
        service.metrics.seconds.labels(path).observe(time.monotonic() - began)
        return response

    return guarded


def _fault(error: Exception, path: str) -> Response:
    if isinstance(error, Gone):
        return Response(status_code=CLIENT_GONE)
    if isinstance(error, InputError):
        error = Refused(400, error.what, where=error.where, hint=error.hint)
    if not isinstance(error, Refused):
        error = Refused(FAULT, "a fault of this server; its log says more")
    headers = {"retry-after": str(error.again)} if error.again else {}
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    if error.status in (408, 413):  # what is left of the body is not read
        headers["connection"] = "close"
    return _json(as_json(error_body(error, path)), error.status, headers)


def error_body(error: Refused, path: str) -> dict[str, Any]:
    """Return what a client is told of a fault.

    Args:
        error: the fault.
        path: the route; the Open Inference Protocol wants a text for an error.

    Returns:
        JSON values.
    """
    parts = {"what": error.what, "where": error.where, "hint": error.hint}
    if not path.startswith("/v2"):
        return {"error": parts}
    place = f"{error.where}: " if error.where else ""
    return {"error": f"{place}{error.what}" + (f"; {error.hint}" if error.hint else ""), **parts}


def _json(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(body, status, {"content-type": "application/json", **(headers or {})})


async def _no_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    allowed = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    what = "the method is not allowed here" if status == 405 else "there is nothing here"
    path = request.url.path
    return _json(as_json(error_body(Refused(status, what, where=path[:200]), path)), status, allowed)
