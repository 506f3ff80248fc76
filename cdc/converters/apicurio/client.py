"""Apicurio Registry's own interface, versions 2 and 3: ids of artifacts' versions.

Source: Apicurio Registry, "Core REST API"; Apicurio/apicurio-registry, `RegistryClientFacadeImpl` and
`RegistryClientFacadeImpl_v2`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import quote, urlsplit

from cdc.config.secrets import scrub
from cdc.converters.registry.client import MAX_MESSAGE, MAX_SCRUBBED
from cdc.converters.registry.exchange import Stop
from cdc.converters.registry.http import RegistryHttp
from cdc.converters.registry.oauth import Client, OauthTokens
from cdc.converters.registry.settings import RegistrySettings
from cdc.core.errors import ConfigError, RegistryConnectionError, RegistryRefusedError
from cdc.core.late_regex import late_regex

from .settings import ApicurioSettings

JSON_TYPE: Final = "application/json"
_API: Final = late_regex(r"/apis/registry/v[23]/?$")
_MAX_ID: Final = (1 << 63) - 1


class Artifact(NamedTuple):
    """What a schema is registered as. *kind*: `AVRO` or `KCONNECT`."""

    group: str
    name: str
    kind: str


class Ids(NamedTuple):
    global_id: int
    content_id: int


class ArtifactRegistry(Protocol):
    """Every method blocks, and raises RegistryConnectionError (retriable) or RegistryRefusedError (final)."""

    def check(self) -> None:
        """Check that there is a registry and that it accepts our credentials."""
        ...

    def create(self, artifact: Artifact, text: str) -> Ids:
        """The version of *artifact* with *text*; if there is none, it is made, by `auto-register.if-exists`."""
        ...

    def find(self, artifact: Artifact, text: str) -> Ids:
        """The version of *artifact* that has *text* already."""
        ...

    def version(self, artifact: Artifact, version: str | None) -> tuple[Ids, str]:
        """Ids and text of a version; the latest one without *version*."""
        ...

    def counts(self) -> dict[str, float]:
        """As `registry.client.SchemaRegistry.counts`."""
        ...

    def close(self) -> None: ...


def open_artifacts(settings: ApicurioSettings, stop: Stop | None = None) -> ArtifactRegistry:
    """The registry at `apicurio.registry.url`. It connects on first use. Raises ConfigError."""
    url = settings.apicurio_registry_url
    if urlsplit(url).scheme == "mock":
        return MockArtifacts.named(url)
    second = settings.apicurio_registry_url_version.lower().lstrip("v").startswith("2") or (
        not settings.apicurio_registry_url_version and "/apis/registry/v2" in url)
    base = url if _API.search(url) else f"{url.rstrip('/')}/apis/registry/{'v2' if second else 'v3'}"
    return (ArtifactsV2 if second else ArtifactsV3)(_http(settings, base, stop), settings)


def _http(settings: ApicurioSettings, url: str, stop: Stop | None) -> RegistryHttp:
    s = settings
    transport = RegistrySettings(
        schema_registry_url=(url,), ssl_truststore_location=s.apicurio_registry_tls_truststore_location,
        ssl_truststore_certificates=s.apicurio_registry_tls_certificates,
        ssl_truststore_type=s.apicurio_registry_tls_truststore_type,
        ssl_endpoint_identification_algorithm="https" if s.apicurio_registry_tls_verify_host else "",
        proxy_host=s.apicurio_registry_proxy_host, proxy_port=s.apicurio_registry_proxy_port,
        max_retries=s.apicurio_registry_retry_count, retries_wait_ms=s.apicurio_registry_retry_backoff_ms)
    tokens = None
    if s.apicurio_registry_auth_service_token_endpoint:
        _needed(s, "client.id", "client.secret")
        tokens = OauthTokens(Client(
            s.apicurio_registry_auth_service_token_endpoint, s.apicurio_registry_auth_client_id or "",
            s.apicurio_registry_auth_client_secret or "", s.apicurio_registry_auth_client_scope), transport, stop=stop)
    elif s.apicurio_registry_auth_username:
        _needed(s, "password")
        transport = RegistrySettings(**{
            **{name: getattr(transport, name) for name in RegistrySettings.__dataclass_fields__},
            "basic_auth_credentials_source": "USER_INFO",
            "basic_auth_user_info": f"{s.apicurio_registry_auth_username}:{s.apicurio_registry_auth_password}"})
    return RegistryHttp(transport, {}, stop, tokens=tokens, content_type=JSON_TYPE, name="Apicurio Registry",
                        address="apicurio.registry.url",
                        truststore="apicurio.registry.tls.truststore.location")


def _needed(settings: ApicurioSettings, *keys: str) -> None:
    for key in keys:
        name = f"apicurio.registry.auth.{key}"
        if not getattr(settings, name.replace(".", "_")):
            raise ConfigError(f"{name} is missing", option=name, hint="The other apicurio.registry.auth keys need it.")


class _Artifacts:
    def __init__(self, http: RegistryHttp, settings: ApicurioSettings) -> None:
        self._http = http
        self._settings = settings

    def check(self) -> None:
        status, answer = self._http.request("GET", "/system/info", retries=0)
        if status in (401, 407):
            raise _refused(status, answer, registry=self._http.shown())

    def counts(self) -> dict[str, float]:
        return self._http.counts.copy()

    def close(self) -> None:
        self._http.close()

    def ask(self, method: str, path: str, body: Any = None, **context: Any) -> Any:
        status, answer = self._http.request(method, path, body)
        if status != 200:
            raise _refused(status, answer, registry=self._http.shown(), **context)
        return answer

    def ids(self, found: Any, **context: Any) -> Ids:
        """Raises RegistryRefusedError if *found* is not the metadata of a version."""
        found = found if isinstance(found, Mapping) else {}
        numbers: list[Any] = [found.get(key) for key in ("globalId", "contentId")]
        if not all(type(number) is int and 0 <= number <= _MAX_ID for number in numbers):
            raise RegistryRefusedError("Apicurio Registry answers without the ids of a version",
                                       registry=self._http.shown(), **context,
                                       hint="Check apicurio.registry.url, its version included.")
        return Ids(*numbers)

    def text(self, ids: Ids) -> str:
        """The text of a version. It is JSON; we only compare it."""
        status, answer = self._http.request("GET", f"/ids/globalIds/{ids.global_id}")
        if status != 200 or answer is None:
            raise _refused(status, answer, registry=self._http.shown(), global_id=ids.global_id)
        return json.dumps(answer)


class ArtifactsV3(_Artifacts):
    """Paths below /apis/registry/v3."""

    def create(self, artifact: Artifact, text: str) -> Ids:
        s = self._settings
        body = {"artifactId": artifact.name, "artifactType": artifact.kind,
                "firstVersion": {"content": {"content": text, "contentType": JSON_TYPE}}}
        if s.apicurio_registry_artifact_version:
            body["firstVersion"]["version"] = s.apicurio_registry_artifact_version  # type: ignore[index]
        query = f"ifExists={s.apicurio_registry_auto_register_if_exists}&canonical={_flag(s)}"
        found = self.ask("POST", f"/groups/{_quoted(artifact.group)}/artifacts?{query}", body, artifact=artifact.name)
        return self.ids(found.get("version") if isinstance(found, Mapping) else None, artifact=artifact.name)

    def find(self, artifact: Artifact, text: str) -> Ids:
        query = (f"groupId={_quoted(artifact.group)}&artifactId={_quoted(artifact.name)}&artifactType={artifact.kind}"
                 f"&canonical={_flag(self._settings)}&orderby=globalId&order=desc&limit=100")
        found = self.ask("POST", f"/search/versions?{query}", text.encode(), artifact=artifact.name)
        versions = found.get("versions") if isinstance(found, Mapping) else None
        usable = [each for each in versions or () if isinstance(each, Mapping) and each.get("state") != "DISABLED"]
        if not usable:
            raise _refused(404, None, registry=self._http.shown(), artifact=artifact.name)
        return self.ids(usable[0], artifact=artifact.name)

    def version(self, artifact: Artifact, version: str | None) -> tuple[Ids, str]:
        path = (f"/groups/{_quoted(artifact.group)}/artifacts/{_quoted(artifact.name)}/versions/"
                f"{_quoted(version or 'branch=latest')}")
        ids = self.ids(self.ask("GET", path, artifact=artifact.name), artifact=artifact.name)
        return ids, self.text(ids)


class ArtifactsV2(_Artifacts):
    """Paths below /apis/registry/v2."""

    def create(self, artifact: Artifact, text: str) -> Ids:
        s = self._settings
        exists = {"FIND_OR_CREATE_VERSION": "RETURN_OR_UPDATE", "FAIL": "FAIL"}.get(
            s.apicurio_registry_auto_register_if_exists, "UPDATE")
        headers = {"X-Registry-ArtifactId": artifact.name, "X-Registry-ArtifactType": artifact.kind}
        if s.apicurio_registry_artifact_version:
            headers["X-Registry-Version"] = s.apicurio_registry_artifact_version
        path = f"/groups/{_quoted(artifact.group)}/artifacts?ifExists={exists}&canonical={_flag(s)}"
        status, answer = self._http.request("POST", path, text.encode(), headers=headers)
        if status != 200:
            raise _refused(status, answer, registry=self._http.shown(), artifact=artifact.name)
        return self.ids(answer, artifact=artifact.name)

    def find(self, artifact: Artifact, text: str) -> Ids:
        path = (f"/groups/{_quoted(artifact.group)}/artifacts/{_quoted(artifact.name)}/meta"
                f"?canonical={_flag(self._settings)}")
        found = self.ask("POST", path, text.encode(), artifact=artifact.name)
        return self.ids(found, artifact=artifact.name)

    def version(self, artifact: Artifact, version: str | None) -> tuple[Ids, str]:
        path = f"/groups/{_quoted(artifact.group)}/artifacts/{_quoted(artifact.name)}"
        path += f"/versions/{_quoted(version)}/meta" if version else "/meta"
        ids = self.ids(self.ask("GET", path, artifact=artifact.name), artifact=artifact.name)
        return ids, self.text(ids)


class MockArtifacts:
    """Artifacts within this process, for tests."""

    _scopes: Final[dict[str, MockArtifacts]] = {}

    def __init__(self) -> None:
        self.versions: dict[tuple[str, str], list[tuple[Ids, str]]] = {}
        self.kinds: dict[str, str] = {}
        self._last = 100

    @classmethod
    def named(cls, scope: str) -> MockArtifacts:
        return cls._scopes.setdefault(scope, cls())

    def check(self) -> None:
        """It always answers."""

    def create(self, artifact: Artifact, text: str) -> Ids:
        versions = self.versions.setdefault(artifact[:2], [])
        self.kinds[artifact.name] = artifact.kind
        for ids, known in versions:
            if known == text:
                return ids
        self._last += 1
        versions.append((Ids(self._last, self._last + 900), text))
        return versions[-1][0]

    def find(self, artifact: Artifact, text: str) -> Ids:
        for ids, known in self.versions.get(artifact[:2], ()):
            if known == text:
                return ids
        raise _refused(404, None, artifact=artifact.name)

    def version(self, artifact: Artifact, version: str | None) -> tuple[Ids, str]:
        if artifact[:2] not in self.versions:
            raise _refused(404, None, artifact=artifact.name)
        return self.versions[artifact[:2]][-1]

    def counts(self) -> dict[str, float]:
        return {}

    def close(self) -> None:
        """There is nothing to release."""


def _refused(status: int, answer: Any, **context: Any) -> RegistryRefusedError | RegistryConnectionError:
    """The error for a failed request, with the registry's own words and a hint."""
    fields = answer if isinstance(answer, dict) else {}
    said = fields.get("title") or fields.get("message") or fields.get("detail")
    said = scrub(said[:MAX_SCRUBBED])[:MAX_MESSAGE] if isinstance(said, str) else ""
    context["status"] = status
    if status >= 500:
        return RegistryConnectionError(f"Apicurio Registry failed: {said or 'no reason given'}", **context)
    what, hint = _MEANINGS.get(status, ("this does not answer as Apicurio Registry does",
                                        "Check apicurio.registry.url, its version included."))
    if status == 409 and "already exists" in said:  # storage/error/ArtifactAlreadyExistsException.java
        what, hint = _EXISTS
    if fields.get("name") == "RuleViolationException":  # 400 since 3.3
        what, hint = _INCOMPATIBLE if said.startswith("Incompatible artifact") else _INVALID
    return RegistryRefusedError(f"{what}: {said}" if said else what, hint=hint, **context)


_EXISTS: Final = ("the artifact or its version exists already",
                  "Set apicurio.registry.auto-register.if-exists=FIND_OR_CREATE_VERSION, and leave out"
                  " apicurio.registry.artifact.version.")
_INVALID: Final = ("Apicurio Registry calls the schema invalid",
                   "A name may be illegal in the format: try schema.name.adjustment.mode=avro and"
                   " field.name.adjustment.mode=avro.")
_INCOMPATIBLE: Final = ("the schema is not compatible with the artifact's earlier versions",
                        "Change the artifact's compatibility rule, or undo the table's change.")
_MEANINGS: Final[dict[int, tuple[str, str]]] = {
    400: _INVALID,
    401: ("Apicurio Registry does not accept our credentials", "Check the apicurio.registry.auth keys."),
    403: ("Apicurio Registry denies access", "Let this user read and write the artifact."),
    404: ("the schema is not registered", "Register it, or set apicurio.registry.auto-register=true."),
    407: ("the proxy wants credentials", "Check apicurio.registry.proxy.host and apicurio.registry.proxy.port."),
    409: _INCOMPATIBLE,
    413: ("the schema is larger than Apicurio Registry takes", "Set connect.meta.data=false, or raise its limit."),
    422: _INVALID,
}
"""By HTTP status."""


def _flag(settings: ApicurioSettings) -> str:
    return "true" if settings.apicurio_registry_canonicalize else "false"


def _quoted(text: str) -> str:
    return quote(text, safe="=")
