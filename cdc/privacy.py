"""What of a connector's configuration people may see, and what they should know about its safety at start."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from cdc.config.framework import FRAMEWORK_OPTIONS
from cdc.config.secrets import is_secret_key, sealed
from cdc.config.table import OptionTable
from cdc.core.late_regex import late_regex
from cdc.kafka.settings import is_client_key
from cdc.log import get_logger
from cdc.plugins import Plugin, converter_options

log = get_logger(__name__)

_CLIENT: Final = late_regex(
    r"(?:(?:producer|consumer|admin)\.override|(?:schema|database)\.history\.internal\.(?:producer|consumer))\.(.+)")
_HISTORY: Final = late_regex(r"(?:schema|database)\.history\.(?:internal\.)?kafka\.(?:topic|bootstrap\.servers)")
_CONVERTER: Final = late_regex(r"(?:key|value|header)\.converter\.(?:schema\.registry\.(?!url$))?(.+)")
_FLAGS: Final = ("true", "false")
_FRAMEWORK: Final = OptionTable(FRAMEWORK_OPTIONS)


def public_config(config: Mapping[str, str], plugin: Plugin) -> dict[str, str]:
    """A connector's *config* for people: values that are not known to be harmless become `Secret`.

    Harmless are the options that are declared so, by *plugin*, Kafka Connect, a converter or a Kafka client; and true
    and false. All others are hidden, because an undeclared key may hold anything.
    """
    table = plugin.load_options()
    return sealed(config, lambda key: table.shows(key) or _FRAMEWORK.shows(key) or _is_known(key) or (
        config[key].strip().lower() in _FLAGS and not is_secret_key(key)))


def _is_known(key: str) -> bool:
    if is_secret_key(key):
        return False
    client, converter = _CLIENT.fullmatch(key), _CONVERTER.fullmatch(key)
    if client is not None:
        return is_client_key(client[1])
    if converter is not None:
        return any(table.shows(converter[1]) for table in converter_options())
    return _HISTORY.fullmatch(key) is not None


_UNVERIFIED: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "database_sslmode": ("database.sslmode", {
        "allow": "verify-full", "prefer": "verify-full", "require": "verify-full", "disable": "verify-full"}),
    "database_ssl_mode": ("database.ssl.mode", {
        "preferred": "verify_identity", "required": "verify_identity", "disabled": "verify_identity",
        "disable": "verify-full", "trust": "verify-full"}),
}
"""By attribute of a source's settings: the option, and for each mode in which the server is not verified the mode in
which it is."""
_OFF: Final = ("disable", "disabled")


def warn_of_database(config: Any, connector: str) -> None:
    """Log a warning if *connector*'s connection to the database is not encrypted, or its server not verified."""
    hosts = [host.strip() for host in str(config.database_hostname).split(",")]
    if all(host.startswith("/") for host in hosts):
        return  # Unix sockets
    for attribute, (option, better) in _UNVERIFIED.items():
        mode = str(getattr(config, attribute, "")).lower()
        if mode in better and not (mode in _OFF and all(map(is_loopback, hosts))):
            log.warning("database_not_verified", connector=connector, option=option, mode=mode,
                        effect="somebody on the way to the server can read the data or answer in its place",
                        hint=f"Set {option}={better[mode]} and the certificates to trust.")


def warn_of_kafka(client: Mapping[str, str], role: str) -> None:
    """Log a warning if a Kafka client of *role* sends a password that is not encrypted, or does not verify brokers."""
    protocol = client.get("security.protocol", "PLAINTEXT").strip().upper()
    mechanism = (client.get("sasl.mechanism") or client.get("sasl.mechanisms") or "").strip().upper()
    if protocol == "SASL_PLAINTEXT" and mechanism == "PLAIN":
        log.warning("kafka_password_in_clear", client=role, option="security.protocol",
                    hint="Set security.protocol=SASL_SSL, or a mechanism that does not send the secret, such as"
                         " SCRAM-SHA-512.")
    for option in ("enable.ssl.certificate.verification", "ssl.endpoint.identification.algorithm"):
        if protocol.endswith("SSL") and client.get(option, "true").strip().lower() in ("", "none", "false"):
            log.warning("kafka_not_verified", client=role, option=option,
                        effect="somebody on the way to a broker can answer in its place", hint=f"Remove {option}.")


def warn_of_listeners(listeners: Sequence[str]) -> None:
    """Log a warning for each address of the REST interface that others can reach, where it asks nobody for a
    password."""
    for listener in listeners:
        if not is_loopback(urlsplit(listener).hostname or ""):
            log.warning("rest_without_authentication", listener=listener, option="listeners",
                        hint="Set cdc.rest.users.file or cdc.rest.tokens.file, or listen on 127.0.0.1.")


def is_loopback(host: str) -> bool:
    """Whether *host* is this machine and nobody else can reach it. An empty host means all interfaces."""
    bare = re.sub(r"^\[(.*)\](:\d+)?$", r"\1", host.strip())
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    if bare.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False
