"""A local OpenAI with files and batch jobs, as wide as the oracle needs it; calls within a job are answered as online ones."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.labeling.oracles.servers import HttpRequest, HttpResponse, OpenAIServer, _openai_error

ENDED = ("completed", "failed", "expired", "cancelled")
FAILED: dict[str, tuple[str, str]] = {
    "model": ("model_not_found", "The provided model is not supported by the Batch API."),
    "billing": ("billing_hard_limit_reached", "Billing hard limit has been reached"),
    "failed": ("server_error", "The server had an error"),
}


class OpenAIBatchServer(OpenAIServer):
    """Faults of rows are those of OpenAIServer.

    jobs: fate of the jobs in the order of their creation: "" (completes), expired or cancelled (half of the rows done, the
    others in the error file), lost (made, but the answer to the creation is a 503), or one of FAILED.
    polls: how often a job is looked at before it has ended. queue: bytes of a job that the account's queue takes, 0 for any;
    says: whether the refusal states the limit in tokens. busy: jobs that find the queue filled by others.
    """

    def __init__(
        self, *, jobs: list[str] | None = None, polls: int = 0, queue: int = 0, says: bool = True, busy: int = 0,
        page: int = 100, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        self.fates, self.polls, self.queue, self.says, self.busy, self.page = list(jobs or []), polls, queue, says, busy, page
        self.files: dict[str, bytes] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.looks: dict[str, int] = {}
        self.downloads: list[str] = []
        self.broken = 0  # downloads that break off

    async def answer(self, request: HttpRequest) -> HttpResponse:
        if self.key is not None and request.headers.get("authorization", "") != f"Bearer {self.key}":
            given = request.headers.get("authorization", "").removeprefix("Bearer ")
            return _openai_error(401, {"message": f"Incorrect API key provided: {given}."}, {})
        url = urlsplit(request.path)
        match [request.method, *url.path.removeprefix("/v1/").split("/")]:
            case ["POST", "files"]:
                return self._upload(request)
            case ["GET", "files", name, "content"]:
                return self._download(name)
            case ["POST", "batches"]:
                return await self._create(request.json())
            case ["GET", "batches"]:
                return self._list(parse_qs(url.query).get("after", [""])[0])
            case ["GET", "batches", name]:
                return HttpResponse(body=await self._look(name))
        return await super().answer(request)

    def _upload(self, request: HttpRequest) -> HttpResponse:
        edge = b"--" + request.headers["content-type"].partition("boundary=")[2].encode()
        parts = dict[str, bytes]()
        for part in request.body.split(edge)[1:-1]:
            head, _, body = part.strip(b"\r\n").partition(b"\r\n\r\n")
            parts[head.partition(b'name="')[2].partition(b'"')[0].decode()] = body
        assert parts["purpose"] == b"batch"
        name = f"file-{len(self.files)}"
        self.files[name] = parts["file"]
        return HttpResponse(body={"id": name, "object": "file", "bytes": len(parts["file"]), "created_at": 1,
                                  "filename": "x.jsonl", "purpose": "batch", "status": "processed"})  # fmt: skip

    def _download(self, name: str) -> HttpResponse:
        if name not in self.files:
            return _openai_error(404, {"message": f"No such File object: {name}"}, {})
        self.downloads.append(name)
        self.broken -= 1
        return HttpResponse(body=self.files[name], cut=len(self.files[name]) // 2 if self.broken >= 0 else None)

    async def _create(self, asked: dict[str, Any]) -> HttpResponse:
        name, fate = f"batch_{len(self.jobs)}", self.fates.pop(0) if self.fates else ""
        size = len(self.files[asked["input_file_id"]])
        assert (asked["endpoint"], asked["completion_window"]) == ("/v1/chat/completions", "24h")
        job: dict[str, Any] = {"id": name, "object": "batch", "status": "validating", "created_at": 2**33, "errors": None,
                               **asked, "output_file_id": None, "error_file_id": None, "fate": fate}  # fmt: skip
        if self.busy or (self.queue and size > self.queue):
            self.busy = max(0, self.busy - 1)
            limit = f" Limit: {(self.queue or 2**40) // 2:,} enqueued tokens." if self.says else ""
            message = f"Enqueued token limit reached for m in organization org-x.{limit} Please try again later."
            job |= {"status": "failed", "errors": {"data": [{"code": "token_limit_exceeded", "message": message}]}}
        elif fate in FAILED:
            code, message = FAILED[fate]
            job |= {"status": "failed", "errors": {"data": [{"code": code, "message": message, "line": None}]}}
        self.jobs[name], self.looks[name] = job, 0
        if fate == "lost":
            return _openai_error(503, {"message": "Overloaded"}, {})
        return HttpResponse(body=job)

    async def _look(self, name: str) -> dict[str, Any]:
        job = self.jobs[name]
        self.looks[name] += 1
        rows = [json.loads(line) for line in self.files[job["input_file_id"]].splitlines()]
        if job["status"] not in ENDED:
            job |= {"status": "in_progress", "request_counts": {"total": len(rows), "completed": 0, "failed": 0}}
        if job["status"] == "in_progress" and self.looks[name] > self.polls:
            await self._finish(job, rows)
        return job

    async def _finish(self, job: dict[str, Any], rows: list[dict[str, Any]]) -> None:
        cut = job["fate"] if job["fate"] in ("expired", "cancelled") else ""
        done = rows[: len(rows) // 2] if cut else rows
        out, errors = [], []
        for row in done:
            headers = {"authorization": f"Bearer {self.key}"}
            request = HttpRequest(row["method"], row["url"], headers, json.dumps(row["body"]).encode())
            answered = await super().answer(request)
            body = answered.body.decode() if isinstance(answered.body, bytes) else answered.body
            reply = {"id": "r", "custom_id": row["custom_id"], "error": None,
                     "response": {"status_code": answered.status, "request_id": "q", "body": body}}  # fmt: skip
            (out if answered.status == 200 else errors).append(reply)
        for row in rows[len(done) :]:
            errors.append({"id": "r", "custom_id": row["custom_id"], "response": None,
                           "error": {"code": f"batch_{cut}", "message": "This request could not be executed."}})  # fmt: skip
        for name, replies in (("output_file_id", out), ("error_file_id", errors)):
            if replies:
                job[name] = f"file-{len(self.files)}"
                self.files[job[name]] = "".join(json.dumps(one) + "\n" for one in reversed(replies)).encode()
        job |= {
            "status": cut or "completed",
            "request_counts": {"total": len(rows), "completed": len(out), "failed": len(errors)},
        }

    def _list(self, after: str) -> HttpResponse:
        newest = list(reversed(self.jobs.values()))
        start = next((n + 1 for n, job in enumerate(newest) if job["id"] == after), 0)
        page = newest[start : start + self.page]
        return HttpResponse(body={"object": "list", "data": page, "has_more": start + self.page < len(newest)})
