"""The Schema Registry as a converter needs it: ids for schemas, and the schemas that are registered.

Source: Confluent documentation, "Schema Registry API Reference". Other registries with this API (Karapace, Apicurio's
ccompat) give the same answers to the requests made here.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from typing import Any, Final, Protocol
from urllib.parse import quote, urlsplit

from cdc.config.secrets import scrub
from cdc.core.errors import RegistryConnectionError, RegistryRefusedError

from .exchange import Stop
from .http import RegistryHttp
from .settings import read_settings

AVRO: Final = "AVRO"
PROTOBUF: Final = "PROTOBUF"
MAX_MESSAGE: Final = 600
"""How many characters of the registry's own message we show: a report on incompatibility can contain whole schemas."""
MAX_SCRUBBED: Final = 10 * MAX_MESSAGE
MAX_ID: Final = (1 << 31) - 1
"""Records have an id as a signed integer of four bytes."""
MAX_IDS: Final = 200_000
"""How many ids are kept, by subject and schema. When there are more, all are dropped and asked for when needed."""


class SchemaRegistry(Protocol):
    """Ids and texts of schemas. Every method blocks, and raises RegistryConnectionError (retriable) or
    RegistryRefusedError (final)."""

    def check(self) -> None:
        """Check, with one request, that there is a registry and that it accepts our credentials."""
        ...

    def register(self, subject: str, text: str, normalize: bool = False, schema_type: str = AVRO) -> int:
        """The schema's id. If *subject* does not have the schema, it becomes a new version. *schema_type*: `AVRO`,
        `JSON` or `PROTOBUF`."""
        ...

    def lookup(self, subject: str, text: str, normalize: bool = False, schema_type: str = AVRO) -> int:
        """The id of a schema that *subject* has already."""
        ...

    def latest(self, subject: str) -> tuple[int, str]:
        """Id and text of the subject's newest version."""
        ...

    def schema_text(self, schema_id: int) -> str: ...

    def associated_subjects(self, topic: str, cluster: str, is_key: bool) -> list[str]:
        """The subjects associated with *topic*; empty if the registry does not support associations."""
        ...

    def counts(self) -> dict[str, float]:
        """`requests`, `failures` (no address answered) and `seconds` spent on them, so far. From any thread."""
        ...

    def close(self) -> None: ...


def open_registry(config: Mapping[str, str], stop: Stop | None = None) -> SchemaRegistry:
    """The registry in a converter's *config*, which is without prefix. It connects on first use.

    `mock://name` is a registry within this process, the same for every user of that name. Raises ConfigError.
    """
    settings, headers = read_settings(config)
    first = settings.schema_registry_url[0]
    if first.startswith("mock:"):
        return MockRegistry.named(urlsplit(first).netloc)
    tokens = None
    if settings.bearer_auth_credentials_source == "OAUTHBEARER":
        from .oauth import oauth_tokens  # seldom needed

        tokens = oauth_tokens(settings, stop)
    return HttpRegistry(RegistryHttp(settings, headers, stop, tokens=tokens))


class HttpRegistry:
    """A registry over HTTP. It keeps ids by subject and schema text, so each is requested once."""

    def __init__(self, http: RegistryHttp) -> None:
        self._http = http
        self._ids: dict[tuple[str, bytes], int] = {}

    def check(self) -> None:
        status, answer = self._http.request("GET", "/schemas/types", retries=0)
        if status in (401, 407):
            raise refused(status, answer, registry=self._http.shown())

    def register(self, subject: str, text: str, normalize: bool = False, schema_type: str = AVRO) -> int:
        return self._id(subject, text, f"/subjects/{quote(subject, safe='')}/versions{_query(normalize)}", schema_type)

    def lookup(self, subject: str, text: str, normalize: bool = False, schema_type: str = AVRO) -> int:
        return self._id(subject, text, f"/subjects/{quote(subject, safe='')}{_query(normalize)}", schema_type)

    def latest(self, subject: str) -> tuple[int, str]:
        answer = self._ask("GET", f"/subjects/{quote(subject, safe='')}/versions/latest", subject=subject)
        return self._id_in(answer, subject=subject), self._text_in(answer, subject=subject)

    def schema_text(self, schema_id: int) -> str:
        return self._text_in(self._ask("GET", f"/schemas/ids/{schema_id}", schema_id=schema_id), schema_id=schema_id)

    def associated_subjects(self, topic: str, cluster: str, is_key: bool) -> list[str]:
        kind = "key" if is_key else "value"
        path = f"/associations/resources/{quote(cluster, safe='')}/{quote(topic, safe='')}"
        status, answer = self._http.request("GET", f"{path}?resourceType=topic&associationType={kind}")
        if status == 404:
            return []
        if status != 200 or not isinstance(answer, list):
            raise refused(status, answer, registry=self._http.shown(), topic=topic)
        subjects = [found["subject"] for found in answer
                    if isinstance(found, dict) and isinstance(found.get("subject"), str)]
        if len(subjects) < len(answer):
            raise self._odd("an association without a subject", topic=topic)
        return subjects

    def counts(self) -> dict[str, float]:
        return self._http.counts.copy()

    def close(self) -> None:
        self._http.close()

    def _id(self, subject: str, text: str, path: str, schema_type: str) -> int:
        key = (subject, _digest(path, text))
        body = {"schema": text} if schema_type == AVRO else {"schema": text, "schemaType": schema_type}
        found = self._ids.get(key)
        if found is None:
            found = self._id_in(self._ask("POST", path, body, subject=subject), subject=subject)
            if len(self._ids) >= MAX_IDS:
                self._ids.clear()
            self._ids[key] = found
        return found

    def _id_in(self, answer: Mapping[str, Any], **context: Any) -> int:
        found = answer.get("id")
        if type(found) is not int or not 0 <= found <= MAX_ID:
            raise self._odd("an id that is no positive 32-bit integer", **context)
        return found

    def _text_in(self, answer: Mapping[str, Any], **context: Any) -> str:
        found = answer.get("schema")
        if not isinstance(found, str):
            raise self._odd("a schema that is no text", **context)
        return found

    def _odd(self, what: str, **context: Any) -> RegistryRefusedError:
        return RegistryRefusedError(f"the Schema Registry answers with {what}", registry=self._http.shown(), **context,
                                    hint="Check schema.registry.url, and what stands between us and the registry.")

    def _ask(self, method: str, path: str, body: Any = None, **context: Any) -> dict[str, Any]:
        status, answer = self._http.request(method, path, body)
        if status != 200 or not isinstance(answer, dict) or not ("id" in answer or "schema" in answer):
            raise refused(status, answer, registry=self._http.shown(), **context)
        return answer


def refused(status: int, answer: Any, **context: Any) -> RegistryRefusedError | RegistryConnectionError:
    """The error for a failed request, with the registry's own code and a hint."""
    fields = answer if isinstance(answer, dict) else {}
    code = fields.get("error_code")
    code = code if isinstance(code, int) else None
    said = fields.get("message")
    said = scrub(said[:MAX_SCRUBBED])[:MAX_MESSAGE] if isinstance(said, str) else ""
    context |= {"status": status, "error_code": code}
    if status >= 500:
        return RegistryConnectionError(f"the Schema Registry failed: {said or 'no reason given'}", **context)
    what, hint = _MEANINGS.get(code or 0) or _MEANINGS.get(status) or ("the Schema Registry refused", "")
    if code is None and status not in (401, 403, 407, 409, 413, 422):
        what, hint = "this does not answer as a Schema Registry does", "Check schema.registry.url, its path included."
    return RegistryRefusedError(f"{what}: {said}" if said else what, hint=hint, **context)


_CREDENTIALS = ("the Schema Registry does not accept our credentials",
                "Check basic.auth.credentials.source and basic.auth.user.info, or the bearer.auth.* keys.")
_NOT_REGISTERED = ("the schema is not registered",
                   "Register it, or set auto.register.schemas=true.")
_INVALID = ("the Schema Registry calls the schema invalid",
            "A name may be illegal in the format: try schema.name.adjustment.mode=avro and"
            " field.name.adjustment.mode=avro.")
_MEANINGS: Final[dict[int, tuple[str, str]]] = {
    401: _CREDENTIALS,
    403: ("the Schema Registry denies access", "Grant this user read and write on the subject."),
    407: ("the proxy wants credentials", "Check proxy.host and proxy.port."),
    409: ("the schema is not compatible with the subject's earlier versions",
          "Change the subject's compatibility level (NONE lets every change through), or undo the table's change."),
    413: ("the schema is larger than the Schema Registry takes", "Set connect.meta.data=false, or raise its limit."),
    422: _INVALID,
    42201: _INVALID,
    42205: ("the subject takes no writes now", "Set its mode to READWRITE."),
    40401: _NOT_REGISTERED,
    40402: _NOT_REGISTERED,
    40403: _NOT_REGISTERED,
}


class MockRegistry:
    """A registry within this process, for tests and demonstrations: no compatibility rules, nothing is stored."""

    _scopes: Final[dict[str, MockRegistry]] = {}
    _scopes_lock: Final = threading.Lock()

    def __init__(self) -> None:
        self.schemas: dict[int, str] = {}
        self.subjects: dict[str, list[int]] = {}
        self.associations: dict[tuple[str, bool], list[str]] = {}
        self._lock = threading.Lock()

    @classmethod
    def named(cls, scope: str) -> MockRegistry:
        """The registry that this process has under the name *scope*."""
        with cls._scopes_lock:
            return cls._scopes.setdefault(scope, cls())

    def check(self) -> None:
        """It always answers."""

    def register(self, subject: str, text: str, normalize: bool = False, schema_type: str = AVRO) -> int:
        with self._lock:
            found = next((number for number, known in self.schemas.items() if known == text), None)
            if found is None:
                if schema_type != PROTOBUF and not _is_json(text):
                    raise refused(422, {"error_code": 42201, "message": "not JSON"}, subject=subject)
                found = len(self.schemas) + 1
                self.schemas[found] = text
            versions = self.subjects.setdefault(subject, [])
            if found not in versions:
                versions.append(found)
            return found

    def lookup(self, subject: str, text: str, normalize: bool = False, schema_type: str = AVRO) -> int:
        for number in self.subjects.get(subject, ()):
            if self.schemas[number] == text:
                return number
        raise refused(404, {"error_code": 40403, "message": "Schema not found"}, subject=subject)

    def latest(self, subject: str) -> tuple[int, str]:
        if subject not in self.subjects:
            raise refused(404, {"error_code": 40401, "message": "Subject not found"}, subject=subject)
        number = self.subjects[subject][-1]
        return number, self.schemas[number]

    def schema_text(self, schema_id: int) -> str:
        if schema_id not in self.schemas:
            raise refused(404, {"error_code": 40403, "message": "Schema not found"}, schema_id=schema_id)
        return self.schemas[schema_id]

    def associated_subjects(self, topic: str, cluster: str, is_key: bool) -> list[str]:
        return self.associations.get((topic, is_key), [])

    def counts(self) -> dict[str, float]:
        return {}

    def close(self) -> None:
        """There is nothing to release."""


def _query(normalize: bool) -> str:
    return "?normalize=true" if normalize else ""


def _digest(path: str, text: str) -> bytes:
    """A key for the cache, so that it need not keep the text of every schema."""
    return hashlib.blake2b(f"{path}\n{text}".encode(), digest_size=20).digest()


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
