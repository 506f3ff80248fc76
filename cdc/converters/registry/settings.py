"""The settings of a Schema Registry client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from cdc.config.checks import at_least
from cdc.config.options import Option, option, settings
from cdc.config.table import OptionTable
from cdc.core.late_regex import late_regex

PREFIX: Final = "schema.registry."
_HEADERS: Final = Option(key="request.header.*", pattern=late_regex(r"request\.header\.(.+)"), importance="LOW",
                         doc="A header to send with every request to the registry.", private=True)


def _url_problem(urls: tuple[str, ...]) -> str | None:
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https", "mock") or not (parts.netloc or parts.scheme == "mock"):
            return "a list of http:// or https:// addresses is wanted"
        if (parts.scheme == "mock") != (urlsplit(urls[0]).scheme == "mock"):
            return "mock:// cannot be mixed with real registries"
    return None


@settings
class RegistrySettings:
    """The keys of Confluent's `SchemaRegistryClientConfig`, without the converter's prefix.

    All of them may have another `schema.registry.` in front; the Java client requires it for `ssl.*`.
    """

    schema_registry_url: tuple[str, ...] = option(
        "schema.registry.url", "LIST", required=True, importance="HIGH", check=_url_problem,
        doc="Addresses of the Schema Registry, in order of preference.")
    basic_auth_credentials_source: str = option(
        "basic.auth.credentials.source", default="URL", one_of=("URL", "USER_INFO", "SASL_INHERIT"),
        doc="Where user and password come from: the URL, basic.auth.user.info, or sasl.jaas.config.")
    basic_auth_user_info: str | None = option("basic.auth.user.info", "PASSWORD", default=None, doc="user:password.")
    sasl_jaas_config: str | None = option(
        "sasl.jaas.config", "PASSWORD", default=None, doc="JAAS text with username and password.")
    bearer_auth_credentials_source: str = option(
        "bearer.auth.credentials.source", default="STATIC_TOKEN", one_of=("STATIC_TOKEN", "OAUTHBEARER"),
        doc="Where the bearer token comes from: bearer.auth.token, or an OAuth server (client credentials).")
    bearer_auth_token: str | None = option(
        "bearer.auth.token", "PASSWORD", default=None, doc="The bearer token.")
    bearer_auth_issuer_endpoint_url: str | None = option(
        "bearer.auth.issuer.endpoint.url", default=None, doc="The OAuth server's token endpoint.")
    bearer_auth_client_id: str | None = option("bearer.auth.client.id", default=None, doc="Our client id there.")
    bearer_auth_client_secret: str | None = option(
        "bearer.auth.client.secret", "PASSWORD", default=None, doc="The client's secret.")
    bearer_auth_scope: str | None = option("bearer.auth.scope", default=None, doc="The scope to ask for.")
    bearer_auth_logical_cluster: str | None = option(
        "bearer.auth.logical.cluster", default=None, doc="Sent to the registry as target-sr-cluster.")
    bearer_auth_identity_pool_id: str | None = option(
        "bearer.auth.identity.pool.id", default=None, doc="Sent to the registry as Confluent-Identity-Pool-Id.")
    bearer_auth_cache_expiry_buffer_seconds: int = option(
        "bearer.auth.cache.expiry.buffer.seconds", "INT", default="300", importance="LOW", check=at_least(0),
        doc="How long before its end a token is replaced, in seconds.")
    ssl_truststore_type: str | None = option("ssl.truststore.type", default=None, doc="PEM.")
    ssl_truststore_location: str | None = option(
        "ssl.truststore.location", default=None, doc="PEM file of trusted certificates.")
    ssl_truststore_certificates: str | None = option(
        "ssl.truststore.certificates", default=None, doc="Trusted certificates as PEM text.")
    ssl_keystore_type: str | None = option("ssl.keystore.type", default=None, doc="PEM.")
    ssl_keystore_location: str | None = option(
        "ssl.keystore.location", default=None, doc="PEM file of key and certificate chain.")
    ssl_keystore_key: str | None = option(
        "ssl.keystore.key", "PASSWORD", default=None, doc="Private key as PEM text.")
    ssl_keystore_certificate_chain: str | None = option(
        "ssl.keystore.certificate.chain", default=None, doc="Certificate chain as PEM text.")
    ssl_key_password: str | None = option(
        "ssl.key.password", "PASSWORD", default=None, doc="Password of the private key.")
    ssl_endpoint_identification_algorithm: str = option(
        "ssl.endpoint.identification.algorithm", default="https",
        doc="https: check the name in the certificate; empty: do not.")
    proxy_host: str | None = option("proxy.host", default=None, importance="LOW",
                                    doc="Host of an HTTP proxy for the registry.")
    proxy_port: int = option("proxy.port", "INT", default="80", importance="LOW", doc="Port of the HTTP proxy.")
    http_connect_timeout_ms: int = option(
        "http.connect.timeout.ms", "INT", default="10000", importance="LOW", check=at_least(1),
        doc="Longest wait for a connection, its TLS handshake included, in ms.")
    http_read_timeout_ms: int = option(
        "http.read.timeout.ms", "INT", default="30000", importance="LOW", check=at_least(1),
        doc="Longest wait for a whole answer, in ms.")
    max_retries: int = option("max.retries", "INT", default="3", importance="LOW", check=at_least(0),
                              doc="How often all addresses are tried again before the registry counts as unavailable.")
    retries_wait_ms: int = option("retries.wait.ms", "INT", default="1000", importance="LOW", check=at_least(0),
                                  doc="Pause before all addresses are tried again, in ms; it doubles each time.")
    retries_max_wait_ms: int = option("retries.max.wait.ms", "INT", default="20000", importance="LOW",
                                      check=at_least(0), doc="Longest pause between two rounds, in ms.")


OPTIONS = OptionTable.of(RegistrySettings, _HEADERS)


def read_settings(config: Mapping[str, str]) -> tuple[RegistrySettings, dict[str, str]]:
    """The settings, and additional request headers. Raises ConfigError."""
    config = unprefixed(config)
    parsed = OPTIONS.parse(config, partial=True)
    parsed.check("Schema Registry client")
    if config.get("ssl.endpoint.identification.algorithm", "https").strip() == "":
        parsed.values["ssl_endpoint_identification_algorithm"] = ""
    headers = {match[1]: text for match, text in parsed.families[_HEADERS.key]}
    return RegistrySettings(**parsed.values), headers


def unprefixed(config: Mapping[str, str]) -> dict[str, str]:
    """*config* with `schema.registry.ssl.…` as `ssl.…`. If both are given, the longer form is used."""
    more = {key[len(PREFIX):]: text for key, text in config.items()
            if key.startswith(PREFIX) and key != "schema.registry.url"}
    return {**config, **more}
