"""A Schema Registry: Apicurio, whose ccompat API is Confluent's. From Maven Central."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

from tests.servers import fetch, java
from tests.servers.server import Server

# Not 3.0.9, which runs on Java 17: Maven refuses it, as the parent of its pom was never published.
VERSION = "3.3.3"
MINIMUM_JAVA = 21


class RegistryServer(Server):
    """One registry on a port of its own. It compares nothing by default: PUT `{url}/config` where a test is about that.

    Schemas live in memory and go with the process. *persistent* keeps them in a file over stop, kill and restart.
    """

    title = "Registry"

    def __init__(self, *, persistent: bool = False, heap: str = "384m") -> None:
        super().__init__()
        self._persistent = persistent
        self._heap = heap

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/apis/ccompat/v7"

    def _prepare(self, folder: Path) -> list[str]:
        runtime = java.fetch_java(MINIMUM_JAVA)
        artifact = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
        program = fetch.maven_archive(artifact, f"apicurio-registry-{VERSION}", "159 MB") / "quarkus-run.jar"
        options = {
            "quarkus.http.host": self.host,
            "quarkus.http.port": self.port,
            # Else every registry of the machine wants port 9000, on every address.
            "quarkus.management.host": self.host,
            "quarkus.management.port": 0,
            "java.io.tmpdir": folder,
        }
        if self._persistent:
            options["apicurio.datasource.url"] = f"jdbc:h2:file:{folder}/schemas"
        flags = [f"-Xmx{self._heap}", "-XX:+UseSerialGC", *java.QUICK_START]
        flags += [f"-D{name}={value}" for name, value in options.items()]
        return [str(runtime), *flags, "-jar", str(program)]

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/subjects", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
