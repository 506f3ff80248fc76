"""What a client of the REST interface may set in a connector's configuration.

Whoever may send a configuration must not thereby read the files of this machine, or let it load code. So options that
name files are allowed below the folders of `cdc.rest.allowed.paths` only, URLs must be of the web, and settings that
make a library load or run something are refused. Which config providers clients may use, `config.providers` says; which
settings of Kafka clients, `connector.client.config.override.policy`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from cdc.config.secrets import is_reference, shown_key
from cdc.config.table import Problem
from cdc.core.late_regex import late_regex

PATHS: Final = "cdc.rest.allowed.paths"
_FILES: Final = late_regex(
    r"(?!(schema|database)\.history\.).*\.(location|keytab|file|filename|path|directory|passfile)"
    r"|database\.(ssl(cert|key|rootcert|crl|crldir)|ssl\.(key|trust)store)", re.IGNORECASE)
_RUNS: Final = late_regex(
    r".*\.(plugin\.library\.paths|sasl\.kerberos\.kinit\.cmd|ssl\.engine\.location|ssl\.engine\.id|ssl\.providers"
    r"|opaque|.*_cb)", re.IGNORECASE)
_URL: Final = late_regex(r".*\.(url|urls)", re.IGNORECASE)
_JDBC_FILES: Final = late_regex(r"ssl(cert|key|rootcert|ca)|servercertificate|passfile|service", re.IGNORECASE)
_JAAS_FILE: Final = late_regex(r"""\b(?:keyTab|file|ticketCache)\s*=\s*["']?([^"';\s]+)""", re.IGNORECASE)

_KERBEROS: Final = late_regex(r".*\.sasl\.kerberos\.(principal|service\.name|keytab)", re.IGNORECASE)
_JAAS_VALUE: Final = late_regex(r"""=\s*(?:"([^"]*)"|'([^']*)'|([^"'\s;]*))""")
_NO_SHELL: Final = late_regex(r"[\w.@/:=+-]*", re.ASCII)
"""librdkafka puts these into a line for the shell: CONFIGURATION.md, sasl.kerberos.kinit.cmd."""


def problems(config: Mapping[str, str], allowed: Sequence[Path]) -> list[Problem]:
    """What a client may not set, with the way out."""
    found = []
    for key, text in config.items():
        if _RUNS.fullmatch(key) and text.strip():
            found.append(Problem(shown_key(key), "may not be set over REST, because it makes a library load or run "
                                                 "something.", "Set it in a file of the worker."))
        elif _goes_to_a_shell(key, text):
            found.append(Problem(shown_key(key), "a value for Kerberos may have letters, digits and . @ / : = + - _ "
                                                 "only.", "Set it in a file of the worker."))
        elif _FILES.fullmatch(key) or "sasl.jaas.config" in key:
            found += _file_problems(key, text, allowed)
        elif key == "connection.url":
            found += _jdbc_problems(key, text, allowed)
        elif _URL.fullmatch(key):
            found += _url_problems(key, text)
    return found


def _goes_to_a_shell(key: str, text: str) -> bool:
    """Whether a setting for Kerberos has characters that mean something to a shell."""
    values = [text.strip()] if _KERBEROS.fullmatch(key) else []
    if key.endswith("sasl.jaas.config") and "krb5" in text.lower():
        values = ["".join(match) for match in _JAAS_VALUE.findall(text)]
    return not all(_NO_SHELL.fullmatch(each) or is_reference(each) for each in values)


def _file_problems(key: str, text: str, allowed: Sequence[Path]) -> Iterator[Problem]:
    names = _JAAS_FILE.findall(text) if "jaas" in key else [text.strip()]
    for name in names:
        if not name or name.lstrip().startswith("-----BEGIN") or is_reference(name):
            continue  # what a reference gives is the worker's own
        if not _is_below(name, allowed):
            yield Problem(shown_key(key), "a client of the REST interface may not name this file.",
                          f"Let the worker allow its folder: {PATHS}=FOLDER,…; or configure the connector by a file.")


def _is_below(name: str, allowed: Sequence[Path]) -> bool:
    try:
        path = Path(name).expanduser().resolve()
    except (OSError, RuntimeError, ValueError):  # no such user, a loop of links, or a character that no name has
        return False
    return any(path.is_relative_to(folder) for folder in allowed)


def _jdbc_problems(key: str, text: str, allowed: Sequence[Path]) -> Iterator[Problem]:
    """The files that a JDBC URL names: SQLite's, and those of certificates and options of a server."""
    scheme, _, rest = text.strip().partition("jdbc:")[2].partition(":")
    files = [_sqlite_file(rest.partition("?")[0])] if scheme.lower() == "sqlite" else [
        unquote(value) for name, _, value in (part.partition("=") for part in rest.partition("?")[2].split("&"))
        if _JDBC_FILES.fullmatch(name)]
    for name in files:
        yield from _file_problems(key, name or ".", allowed)


def _sqlite_file(name: str) -> str:
    """The file of a name as SQLite opens it (SQLite documentation, "URI Filenames")."""
    return unquote(name.removeprefix("file:")) if name.startswith("file:") else name


def _url_problems(key: str, text: str) -> Iterator[Problem]:
    for part in text.split(","):
        try:
            scheme = urlsplit(part.strip()).scheme if "://" in part else ""
        except ValueError:
            yield Problem(shown_key(key), "is no URL.", "Write http://HOST:PORT or https://HOST:PORT.")
            continue
        if scheme.lower() not in ("", "http", "https", "mock"):
            yield Problem(shown_key(key), f"a URL with the scheme {scheme} may not be set over REST.",
                          "Use http or https.")
