"""A local Vertex AI, as wide as the oracle needs it: generateContent, context caches, batch jobs, and the bucket they use.

It speaks the REST of those services to their real client libraries, at one address: `oracle.baseUrl` for the first three,
STORAGE_EMULATOR_HOST for the bucket (google-cloud-storage knows that variable).
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import google_crc32c

from tests.labeling.oracles.servers import (
    MODEL_VERSION,
    Fault,
    HttpRequest,
    HttpResponse,
    Server,
    article_key,
    reply_text,
    tokens,
)

VERTEX_ERRORS: dict[Fault, tuple[int, str, str, list[dict[str, Any]]]] = {
    "429": (429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later.", []),
    "429-after": (429, "RESOURCE_EXHAUSTED", "Resource exhausted.",
                  [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}]),
    "quota": (429, "RESOURCE_EXHAUSTED", "Quota exceeded for generate_requests_per_day: GenerateRequestsPerDay", []),
    "403-billing": (403, "PERMISSION_DENIED", "This API method requires billing to be enabled.",
                    [{"reason": "BILLING_DISABLED"}]),
    "403": (403, "PERMISSION_DENIED", "Permission aiplatform.endpoints.predict denied", []),
    "404": (404, "NOT_FOUND", "Publisher Model was not found or your project does not have access to it.", []),
    "400": (400, "INVALID_ARGUMENT", "Request contains an invalid argument.", []),
    "500": (500, "INTERNAL", "Internal error encountered.", []),
    "503": (503, "UNAVAILABLE", "The service is currently unavailable.", []),
    "504": (504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete.", []),
}  # fmt: skip
DONE = ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED", "JOB_STATE_EXPIRED")


class VertexServer(Server):
    """An endpoint that answers as Vertex AI does, online and by batch.

    Faults of calls and batch rows: those of VERTEX_ERRORS, 401 (which quotes the token), hang, cut, garbage, malformed,
    no_usage, length, safety, prompt_blocked, empty.
    jobs: fate of the jobs in the order of their creation: "" (succeeds), cancelled, expired (half of the rows done), failed,
    denied, or lost (made, but the answer to the creation is a 503).
    cache_minimum: tokens of the shortest prefix that can be cached.
    """

    def __init__(
        self,
        *,
        token: str | None = None,
        jobs: list[str] | None = None,
        cache_minimum: int = 1024,
        polls: int = 2,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.token, self.fates, self.cache_minimum, self.polls = token, list(jobs or []), cache_minimum, polls
        self.caches: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.objects: dict[str, bytes] = {}
        self._uploads: dict[str, str] = {}
        self._made = 0

    async def answer(self, request: HttpRequest) -> HttpResponse:
        address = urlsplit(request.path)
        path, query = unquote(address.path), {name: values[0] for name, values in parse_qs(address.query).items()}
        if "/storage/v1/" in path:
            return self._storage(request, path, query)
        given = request.headers.get("authorization", "")
        if self.token is not None and given != f"Bearer {self.token}":
            return error(401, "UNAUTHENTICATED", f"Request had invalid credentials: {given}")
        if path.endswith(":generateContent"):
            with self.call():
                return await self._generate(request, given)
        if found := re.search(r"/(projects/[^/]+/locations/[^/]+)/(cachedContents|batchPredictionJobs)(?:/([^/:]+))?", path):
            parent, kind, name = found.groups()
            serve = self._cache if kind == "cachedContents" else self._job
            return serve(request, parent, name, query)
        return error(404, "NOT_FOUND", f"no such path: {path}")

    async def _generate(self, request: HttpRequest, given: str) -> HttpResponse:
        body = request.json()
        cache = body.get("cachedContent")
        if cache is not None and cache not in self.caches:
            return error(404, "NOT_FOUND", f"Not found: cached content metadata for {cache}.")
        prefix = (self.caches[cache] if cache else body)["systemInstruction"]["parts"][0]["text"]
        prompt = prefix + body["contents"][0]["parts"][0]["text"]
        fault = self.fault_for(article_key(prompt))
        if fault == "401":
            return error(401, "UNAUTHENTICATED", f"Request had invalid credentials: {given}")
        if fault == "hang":
            return HttpResponse(hang=True)
        await asyncio.sleep(self.latency)
        if fault in VERTEX_ERRORS:
            return error(*VERTEX_ERRORS[fault])
        if fault == "garbage":
            return HttpResponse(body=b"<html>upstream says hello</html>", headers={"content-type": "text/html"})
        return HttpResponse(
            body=self._complete(prompt, fault, tokens(prefix) if cache else 0), cut=40 if fault == "cut" else None
        )

    def _complete(self, prompt: str, fault: Fault, cached: int) -> dict[str, Any]:
        """A GenerateContentResponse, billed."""
        text = reply_text(prompt)
        text = text[: len(text) // 2] if fault in ("malformed", "length") else text
        thoughts = 7
        nothing = fault in ("safety", "prompt_blocked", "empty")
        given, output = tokens(prompt), 0 if nothing else tokens(text)
        if fault == "no_usage":
            given = cached = output = thoughts = 0
        self.counters.bill(article_key(prompt), given, cached, output + thoughts)
        usage = {
            "promptTokenCount": given,
            "candidatesTokenCount": output,
            "thoughtsTokenCount": thoughts,
            "cachedContentTokenCount": cached,
            "totalTokenCount": given + output + thoughts,
        }
        parts = [{"text": "Let me think.", "thought": True}, {"text": text}]
        finish = {"length": "MAX_TOKENS", "safety": "SAFETY"}.get(fault, "STOP")
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "finishReason": finish, "index": 0}
        if fault == "safety":
            del candidate["content"]
        reply: dict[str, Any] = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": MODEL_VERSION}
        if fault == "no_usage":
            del reply["usageMetadata"]
        if fault in ("prompt_blocked", "empty"):
            del reply["candidates"]
        if fault == "prompt_blocked":
            reply["promptFeedback"] = {"blockReason": "PROHIBITED_CONTENT"}
        return reply

    def _cache(self, request: HttpRequest, parent: str, name: str | None, query: dict[str, str]) -> HttpResponse:
        full = f"{parent}/cachedContents/{name}"
        if name is not None and full not in self.caches:
            return error(404, "NOT_FOUND", f"Not found: cached content metadata for {full}.")
        if request.method == "POST":
            body = request.json()
            size = tokens(body["systemInstruction"]["parts"][0]["text"])
            if size < self.cache_minimum:
                return error(
                    400,
                    "INVALID_ARGUMENT",
                    f"The cached content is of {size} tokens. The minimum token count is {self.cache_minimum}.",
                )
            self._made += 1
            self.counters.input_tokens += size
            full = f"{parent}/cachedContents/{self._made}"
            self.caches[full] = {**body, "name": full, "usageMetadata": {"totalTokenCount": size}, "expireTime": _later(body)}
            return HttpResponse(body=self.caches[full])
        if request.method == "PATCH":
            self.caches[full]["expireTime"] = _later(request.json())
            return HttpResponse(body=self.caches[full])
        if request.method == "DELETE":
            del self.caches[full]
            return HttpResponse(body={})
        return HttpResponse(body={"cachedContents": list(self.caches.values())} if name is None else self.caches[full])

    def _job(self, request: HttpRequest, parent: str, name: str | None, query: dict[str, str]) -> HttpResponse:
        if name is None and request.method == "POST":
            self._made += 1
            fate = self.fates.pop(0) if self.fates else ""
            job = {**request.json(), "name": f"{parent}/batchPredictionJobs/{self._made}", "state": "JOB_STATE_PENDING",
                   "createTime": datetime.now(UTC).isoformat()}  # fmt: skip
            self.jobs[job["name"]] = job | {"fate": fate, "polls": 0}
            return error(503, "UNAVAILABLE", "try again") if fate == "lost" else HttpResponse(body=job)
        if name is None:
            wanted = re.fullmatch(r'display_name[:=]"(.*?)(\*?)"', query.get("filter", ""))
            assert wanted, query
            jobs = [
                job
                for job in self.jobs.values()
                if job["displayName"].startswith(wanted[1]) and (wanted[2] or job["displayName"] == wanted[1])
            ]
            page = int(query.get("pageToken", "0"))  # one job a page, so that clients must turn them
            more = {"nextPageToken": str(page + 1)} if page + 1 < len(jobs) else {}
            return HttpResponse(body={"batchPredictionJobs": [_shown(job) for job in jobs[page : page + 1]], **more})
        job = self.jobs.get(f"{parent}/batchPredictionJobs/{name}", {})
        if not job:
            return error(404, "NOT_FOUND", f"no job {name}")
        if job["state"] not in DONE:
            job["polls"] += 1
            job["state"] = "JOB_STATE_RUNNING"
            if job["polls"] >= self.polls:
                self._finish(job)
        return HttpResponse(body=_shown(job))

    def _finish(self, job: dict[str, Any]) -> None:
        """Writes the replies last to first; a cancelled or expired job has half of them."""
        fate = job["fate"]
        if fate in ("failed", "denied"):
            job["state"] = "JOB_STATE_FAILED"
            job["error"] = (
                {"code": 7, "message": "the service agent may not read the bucket"}
                if fate == "denied"
                else {"code": 13, "message": "Internal error"}
            )
            return
        job["state"] = {"cancelled": "JOB_STATE_CANCELLED", "expired": "JOB_STATE_EXPIRED"}.get(fate, "JOB_STATE_SUCCEEDED")
        [source] = job["inputConfig"]["gcsSource"]["uris"]
        rows = [json.loads(line) for line in self.objects[source].splitlines()]
        rows = rows[: len(rows) // 2] if fate in ("cancelled", "expired") else rows
        lines = [json.dumps(self._row(row)) for row in reversed(rows)]
        folder = job["outputConfig"]["gcsDestination"]["outputUriPrefix"].rstrip("/") + "/prediction-model-1"
        job["outputInfo"] = {"gcsOutputDirectory": folder}
        half = len(lines) // 2
        self.objects[f"{folder}/predictions_0001.jsonl"] = "\n".join(lines[:half]).encode()
        self.objects[f"{folder}/predictions_0002.jsonl"] = "\n".join(lines[half:]).encode() + b"\n"

    def _row(self, row: dict[str, Any]) -> dict[str, Any]:
        asked = row["request"]
        prompt = asked["systemInstruction"]["parts"][0]["text"] + asked["contents"][0]["parts"][0]["text"]
        fault = self.fault_for(article_key(prompt))
        self.counters.calls += 1
        if fault in VERTEX_ERRORS:
            code, status, message, _ = VERTEX_ERRORS[fault]
            shown = {"error": {"code": code, "message": message, "status": status}}
            return {"status": f"Bad Request: {json.dumps(shown)}", "request": asked, "response": {}}
        return {"status": "", "processed_time": "2026-11-01T00:00:00Z", "request": asked,
                "response": self._complete(prompt, fault, 0)}  # fmt: skip

    def _storage(self, request: HttpRequest, path: str, query: dict[str, str]) -> HttpResponse:
        found = re.search(r"/storage/v1/b/([^/]+)/o(?:/(.+))?$", path)
        if not found:
            return HttpResponse(404, {"error": {"code": 404, "message": "no such path"}})
        bucket, name = found[1], found[2]
        if "/upload/" in path:
            return self._upload(request, bucket, query)
        if name is None:
            prefix = f"gs://{bucket}/{query.get('prefix', '')}"
            names = sorted(full for full in self.objects if full.startswith(prefix))
            return HttpResponse(body={"kind": "storage#objects", "items": [self._meta(full) for full in names]})
        full = f"gs://{bucket}/{name}"
        if full not in self.objects:
            return HttpResponse(404, {"error": {"code": 404, "message": f"No such object: {full}"}})
        if query.get("alt") != "media":
            return HttpResponse(body=self._meta(full))
        data, headers, status = self.objects[full], {"content-type": "application/octet-stream"}, 200
        if span := re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", "")):
            first, last = int(span[1]), min(int(span[2] or len(data)), len(data) - 1)
            if first >= len(data):
                return HttpResponse(416, {"error": {"code": 416, "message": "past the end"}})
            headers["content-range"] = f"bytes {first}-{last}/{len(data)}"
            data, status = data[first : last + 1], 206
        return HttpResponse(status, data, headers)

    def _upload(self, request: HttpRequest, bucket: str, query: dict[str, str]) -> HttpResponse:
        if query.get("uploadType") == "resumable" and request.method == "POST":
            name = query.get("name") or json.loads(request.body)["name"]
            self._uploads[str(len(self._uploads))] = full = f"gs://{bucket}/{name}"
            self.objects.setdefault(f"partial:{full}", b"")
            where = f"{self.origin}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={len(self._uploads) - 1}"
            return HttpResponse(body={}, headers={"location": where})
        if query.get("uploadType") == "resumable":
            full = self._uploads[query["upload_id"]]
            self.objects[f"partial:{full}"] += request.body
            span = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", request.headers.get("content-range", ""))
            have = len(self.objects[f"partial:{full}"])
            if span and (span[3] == "*" or have < int(span[3])):
                return HttpResponse(308, {}, {"range": f"bytes=0-{have - 1}"})
            self.objects[full] = self.objects.pop(f"partial:{full}")
            return HttpResponse(body=self._meta(full))
        boundary = re.search(r'boundary="?([^";]+)', request.headers["content-type"])
        assert boundary
        _, head, body, _ = request.body.split(b"--" + boundary[1].encode())
        name = json.loads(head.split(b"\r\n\r\n", 1)[1])["name"]
        full = f"gs://{bucket}/{name}"
        self.objects[full] = body.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")
        return HttpResponse(body=self._meta(full))

    def _meta(self, full: str) -> dict[str, Any]:
        bucket, _, name = full.removeprefix("gs://").partition("/")
        data = self.objects[full]
        check = base64.b64encode(google_crc32c.Checksum(data).digest()).decode()
        return {
            "kind": "storage#object",
            "name": name,
            "bucket": bucket,
            "generation": "1",
            "size": str(len(data)),
            "crc32c": check,
        }


def error(code: int, status: str, message: str, details: list[dict[str, Any]] | None = None) -> HttpResponse:
    return HttpResponse(code, {"error": {"code": code, "message": message, "status": status, "details": details or []}})


def _later(body: dict[str, Any]) -> str:
    return (datetime.now(UTC) + timedelta(seconds=float(body["ttl"].rstrip("s")))).isoformat()


def _shown(job: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in job.items() if key not in ("fate", "polls")}
