"""The keys of Apicurio's converters, without the converter's prefix.

Source: Apicurio Registry, "Configuring Kafka serializers/deserializers"; Apicurio/apicurio-registry,
`SchemaResolverConfig`, `SerdeConfig`, `BaseKafkaSerDeConfig`.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from cdc.config.checks import at_least
from cdc.config.options import option, settings
from cdc.config.table import OptionTable

from .checks import only, refused

TOPIC: Final = "TopicIdStrategy"
SIMPLE_TOPIC: Final = "SimpleTopicIdStrategy"
RECORD: Final = "RecordIdStrategy"
TOPIC_RECORD: Final = "TopicRecordIdStrategy"
QUALIFIED: Final = "QualifiedRecordIdStrategy"
_RESOLVER: Final = "DefaultSchemaResolver"
STRATEGIES: Final = (TOPIC, SIMPLE_TOPIC, RECORD, TOPIC_RECORD, QUALIFIED)


def _strategy(name: str) -> str:
    short = name.strip().rpartition(".")[2] or TOPIC
    if short not in STRATEGIES:
        raise ValueError(f"allowed: {', '.join(STRATEGIES)}")
    return short


def _url_problem(url: str) -> str | None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https", "mock") or not parts.netloc:
        return "an http:// or https:// address is wanted"
    if "/apis/ccompat" in parts.path:
        return ("this is Confluent's interface; use io.confluent.connect.avro.AvroConverter with schema.registry.url,"
                " or the address of /apis/registry/v3")
    return None


@settings
class ApicurioSettings:
    """Which registry, how to reach it, and as what schemas are registered."""

    apicurio_registry_url: str = option(
        "apicurio.registry.url", required=True, importance="HIGH", check=_url_problem,
        doc="Address of Apicurio Registry; without a path, /apis/registry/v3 is added.")
    apicurio_registry_url_version: str = option(
        "apicurio.registry.url.version", default="", importance="LOW",
        doc="Version of its interface, 2 or 3; by default as the address says, else 3.")
    apicurio_registry_auto_register: bool = option(
        "apicurio.registry.auto-register", "BOOLEAN", default="false", importance="HIGH",
        doc="Register schemas that the registry does not have yet.")
    apicurio_registry_auto_register_if_exists: str = option(
        "apicurio.registry.auto-register.if-exists", default="FIND_OR_CREATE_VERSION",
        one_of=("FIND_OR_CREATE_VERSION", "CREATE_VERSION", "FAIL"),
        doc="If the artifact exists: take or make a version, always make one, or fail.")
    apicurio_registry_find_latest: bool = option(
        "apicurio.registry.find-latest", "BOOLEAN", default="false",
        doc="Write values under the artifact's latest version; needs auto-register=false.")
    apicurio_registry_artifact_group_id: str | None = option(
        "apicurio.registry.artifact.group-id", default=None, doc="Group of the artifacts; default without it.")
    apicurio_registry_artifact_artifact_id: str | None = option(
        "apicurio.registry.artifact.artifact-id", default=None,
        doc="Artifact for all schemas, instead of a strategy's.")
    apicurio_registry_artifact_version: str | None = option(
        "apicurio.registry.artifact.version", default=None, doc="Version of the artifact to use or make.")
    apicurio_registry_artifact_resolver_strategy: str = option(
        "apicurio.registry.artifact-resolver-strategy", "CLASS", default=TOPIC, convert=_strategy,
        doc="Strategy that names the artifact.")
    apicurio_registry_canonicalize: bool = option(
        "apicurio.registry.canonicalize", "BOOLEAN", default="false", importance="LOW",
        doc="Let the registry compare schemas in a canonical form.")
    apicurio_registry_dereference_schema: bool = option(
        "apicurio.registry.dereference-schema", "BOOLEAN", default="true", importance="LOW", effect="inert",
        why="a schema is always registered with the records within it", doc="Register a schema as one text.")
    apicurio_registry_schema_resolver: str = option(
        "apicurio.registry.schema-resolver", "CLASS", default=_RESOLVER, importance="LOW", check=only(_RESOLVER),
        doc="Class that finds schemas; only DefaultSchemaResolver.")
    apicurio_registry_serde_contract_rules_enabled: bool = option(
        "apicurio.registry.serde.contract-rules.enabled", "BOOLEAN", default="false", importance="LOW",
        check=refused("checking values by a contract's rules"), doc="true is not supported: rules are not applied.")
    apicurio_registry_auth_service_token_endpoint: str | None = option(
        "apicurio.registry.auth.service.token.endpoint", default=None, doc="An OAuth server's token endpoint.")
    apicurio_registry_auth_client_id: str | None = option(
        "apicurio.registry.auth.client.id", default=None, doc="Our client id there.")
    apicurio_registry_auth_client_secret: str | None = option(
        "apicurio.registry.auth.client.secret", "PASSWORD", default=None, doc="The client's secret.")
    apicurio_registry_auth_client_scope: str | None = option(
        "apicurio.registry.auth.client.scope", default=None, doc="The scope to ask for.")
    apicurio_registry_auth_username: str | None = option(
        "apicurio.registry.auth.username", default=None, doc="User for basic authentication.")
    apicurio_registry_auth_password: str | None = option(
        "apicurio.registry.auth.password", "PASSWORD", default=None, doc="The user's password.")
    apicurio_registry_tls_truststore_location: str | None = option(
        "apicurio.registry.tls.truststore.location", default=None, doc="PEM file of trusted certificates.")
    apicurio_registry_tls_truststore_type: str | None = option(
        "apicurio.registry.tls.truststore.type", default=None, doc="PEM.")
    apicurio_registry_tls_certificates: str | None = option(
        "apicurio.registry.tls.certificates", default=None, doc="Trusted certificates as PEM text.")
    apicurio_registry_tls_verify_host: bool = option(
        "apicurio.registry.tls.verify-host", "BOOLEAN", default="true", importance="LOW",
        doc="Check the name in the certificate.")
    apicurio_registry_proxy_host: str | None = option(
        "apicurio.registry.proxy.host", default=None, importance="LOW", doc="Host of an HTTP proxy.")
    apicurio_registry_proxy_port: int = option(
        "apicurio.registry.proxy.port", "INT", default="80", importance="LOW", doc="Port of the HTTP proxy.")
    apicurio_registry_retry_count: int = option(
        "apicurio.registry.retry-count", "INT", default="3", importance="LOW", check=at_least(0),
        doc="How often a failed request is repeated.")
    apicurio_registry_retry_backoff_ms: int = option(
        "apicurio.registry.retry-backoff-ms", "INT", default="300", importance="LOW", check=at_least(0),
        doc="Pause before a request is repeated, in ms; it doubles each time.")
    schemas_cache_config: int = option("schemas.cache.config", "INT", default="1000", importance="LOW", effect="inert",
                                       why="the cache is always large enough", doc="How many schemas are cached.")


COMMON: Final = OptionTable.of(ApicurioSettings).options
