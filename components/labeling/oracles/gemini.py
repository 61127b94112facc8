"""What Gemini's two routes on Vertex AI share: the request, the reading of a response, credentials and errors.

Both routes speak the same JSON, so a batch row and an online call are built and read by the same lines; client libraries
carry it. The rubric is the system instruction and the article the only content, as a cached prefix needs it, too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from distillery.components.labeling.oracles.base import OutOfCredit, RateLimited, RawReply, Refused, Request, Unavailable
from distillery.components.labeling.oracles.keys import NO_KEY, Key, needed_key
from distillery.components.labeling.oracles.schema import wire_schema
from distillery.components.labeling.oracles.usage import read_bill, read_usage
from distillery.components.labeling.oracles.waiting import retry_after, told_wait
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter

if TYPE_CHECKING:
    from google.auth.credentials import Credentials as GoogleCredentials

SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
FINISH: Final[Mapping[str, str]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"), "blocked"),
}
# A quota per minute passes; one per day, or an account without billing, does not.
CREDIT: Final = ("billing", "perday", "per day", "daily limit", "credit")


class Account(NamedTuple):
    """Who asks, in which project and region; `key` is the access token, if one is used."""

    credentials: GoogleCredentials
    project: str
    location: str
    key: Key


def account(flt: Filter) -> Account:
    """Find credentials, project and region.

    Args:
        flt: the filter; without oracle.apiKeyEnv, which names an access token, application default credentials are used.

    Returns:
        The account.

    Raises:
        InputError: there are no credentials or no project.
    """
    import google.auth
    from google.auth.exceptions import GoogleAuthError
    from google.oauth2.credentials import Credentials

    oracle = flt.spec.oracle
    key, default_project = NO_KEY, None
    credentials: GoogleCredentials
    if oracle.apiKeyEnv:
        key = needed_key(oracle.apiKeyEnv)
        credentials = Credentials(key.reveal())  # type: ignore[no-untyped-call]
    else:
        try:
            credentials, default_project = google.auth.default(scopes=SCOPES)
        except (GoogleAuthError, ValueError, OSError) as error:
            raise InputError(
                f"no credentials for Vertex AI: {type(error).__name__}",
                where="spec.oracle.provider",
                hint="run `gcloud auth application-default login`, mount a service account and set "
                "GOOGLE_APPLICATION_CREDENTIALS, or set oracle.apiKeyEnv",
            ) from None
    project = oracle.project or os.environ.get("GOOGLE_CLOUD_PROJECT") or default_project
    if not project:
        raise InputError("is not set", where="spec.oracle.project", hint="set it, or export GOOGLE_CLOUD_PROJECT=…")
    return Account(credentials, project, oracle.location or os.environ.get("GOOGLE_CLOUD_LOCATION") or "global", key)


def address(flt: Filter, who: Account) -> str:
    """Return where the service is.

    Args:
        flt: the filter.
        who: who asks.

    Returns:
        oracle.baseUrl, else the address of the region.
    """
    own = "aiplatform.googleapis.com" if who.location == "global" else f"{who.location}-aiplatform.googleapis.com"
    return flt.spec.oracle.baseUrl or f"https://{own}"


def generation_config(flt: Filter) -> dict[str, Any]:
    """Return the service's generationConfig: a JSON reply in the filter's schema, and the oracle's parameters.

    Args:
        flt: the filter.

    Returns:
        The JSON object.
    """
    oracle, schema = flt.spec.oracle, wire_schema(flt)
    properties = {
        name: {key: value.upper() if key == "type" else value for key, value in rule.items()}
        for name, rule in schema["properties"].items()
    }
    config: dict[str, Any] = {
        "maxOutputTokens": oracle.maxOutputTokens,
        "responseMimeType": "application/json",
        "responseSchema": {
            "type": "OBJECT",
            "properties": properties,
            "required": schema["required"],
            "propertyOrdering": list(properties),
        },
    }
    if oracle.temperature is not None:
        config["temperature"] = oracle.temperature
    if oracle.thinkingBudget is not None:
        config["thinkingConfig"] = {"thinkingBudget": oracle.thinkingBudget}
    return config


def contents(request: Request) -> list[dict[str, Any]]:
    """Return the article's part of a call.

    Args:
        request: the question.

    Returns:
        The service's `contents`.
    """
    return [{"role": "user", "parts": [{"text": request.part}]}]


def system_instruction(request: Request) -> dict[str, Any]:
    """Return the rubric's part of a call.

    Args:
        request: the question.

    Returns:
        The service's `systemInstruction`.
    """
    return {"parts": [{"text": request.prefix}]}


def read_response(response: object, key: Key) -> RawReply:
    """Read a response of the service.

    Args:
        response: the response, parsed as JSON.
        key: the key to hide in texts.

    Returns:
        The reply.

    Raises:
        Refused: it holds no reply; the error has what was billed all the same.
        Unavailable: it is no response.
    """
    if not isinstance(response, dict):
        raise Unavailable("the service's answer is not JSON", unknown=True)
    usage, unknown = read_bill(response)
    candidates = response.get("candidates")
    candidate = candidates[0] if isinstance(candidates, list) and candidates and isinstance(candidates[0], dict) else None
    if candidate is None:
        feedback = response.get("promptFeedback")
        blocked = feedback.get("blockReason") if isinstance(feedback, dict) else None
        raise Refused(
            key.message(f"the prompt is blocked: {blocked}" if blocked else "the service's answer holds no reply"),
            usage=usage,
            unknown=unknown,
        )
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    text = "".join(map(_part_text, parts if isinstance(parts, list) else []))
    finish = FINISH.get(str(candidate.get("finishReason")), "other")
    if not text and finish == "blocked":
        raise Refused(key.message(f"the reply is blocked: {candidate.get('finishReason')}"), usage=usage, unknown=unknown)
    return RawReply(text, read_usage(response, wrote=bool(text)), finish, str(response.get("modelVersion") or ""), key)


def _part_text(part: object) -> str:
    """Return what a part of the answer says: its text, or the arguments of a function call; a thought says nothing."""
    if not isinstance(part, dict) or part.get("thought"):
        return ""
    call = part.get("functionCall")
    arguments = call.get("args") if isinstance(call, dict) else None
    return str(part.get("text") or (json.dumps(arguments, ensure_ascii=False) if arguments else ""))


def mapped(code: int, message: object, details: object, headers: Mapping[str, str], key: Key) -> Exception:
    """Translate an HTTP error of the service.

    Args:
        code: the status.
        message: what the service says.
        details: the body, parsed as JSON.
        headers: the headers, by name in small letters.
        key: the key to hide in texts.

    Returns:
        One of the contract's errors, or an InputError.
    """
    words, text = f"{message} {details}".lower(), key.message(f"{code} {message}")
    told = told_wait(details)  # of a limit that ends soon; one of a day is a quota used up
    if code == 402 or (code in (400, 403, 429) and any(word in words for word in CREDIT) and not (code == 429 and told)):
        return OutOfCredit(text)
    wait = retry_after(headers) or told
    if code == 429:
        return RateLimited(text, retry_after=wait)
    if code == 409:  # not taken up, so not billed
        return Unavailable(text, retry_after=wait)
    if code in (408, 499) or code >= 500:
        usage, unknown = read_bill(details)
        return Unavailable(text, usage=usage, unknown=unknown, retry_after=wait)
    if code in (401, 403):
        where = key.where if key is not NO_KEY else "application default credentials"
        return InputError(
            f"Vertex AI refuses them: {text}",
            where=where,
            hint="check that they are valid, and that they may use Vertex AI in this project",
        )
    if code == 404:
        return InputError(
            f"Vertex AI has no such model here: {text}",
            where="spec.oracle",
            hint="check oracle.model, oracle.project and oracle.location",
        )
    return Refused(text)


def failed_credentials(error: Exception, key: Key) -> Exception:
    """Translate an error of google-auth, which could not get a token.

    Args:
        error: the error.
        key: the key that was used, if any.

    Returns:
        Unavailable where the network is the reason, else an InputError.
    """
    if getattr(error, "retryable", False) or "Transport" in type(error).__name__:
        return Unavailable(f"no access token: {type(error).__name__}")
    where = key.where if key is not NO_KEY else "application default credentials"
    return InputError(
        f"no access token can be had: {type(error).__name__}",
        where=where,
        hint="an access token lives an hour; for longer runs use a service account",
    )
