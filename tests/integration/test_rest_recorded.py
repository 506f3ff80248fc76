"""The requests about a PostgreSQL connector that a real Kafka Connect with Debezium answered, sent to ours.

As `tests/unit/rest/test_recorded.py`, whose table has what may differ. A request with `await` is repeated until its
answer contains that text, as it was when it was recorded.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Database
from tests.fault.pipeline import Process
from tests.servers.process import wait_until
from tests.unit.rest.test_recorded import ask, difference, differences, recorded

NAME = "connect-rest-postgres"


@pytest.mark.parametrize("postgres", ["postgres15"], indirect=True)
def test_the_recorded_requests_get_the_same_answers(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE items (id int PRIMARY KEY, name text); INSERT INTO items VALUES (1, 'a')")
    places = {"HOST": database.server.host, "PORT": str(database.server.port), "DBNAME": database.name}
    known = differences("recorded_postgres_differences")
    worker = {"sink.type": "file", "sink.file.path": str(tmp_path / "events"), "listeners": "http://127.0.0.1:0",
              "offset.storage.file.filename": str(tmp_path / "offsets"), "offset.flush.interval.ms": "200"}
    with Process(tmp_path, {"worker.properties": worker}) as process:
        process.start()
        wait_until(lambda: bool(process.url), 60, "the service to listen")
        url = process.url
        for number, asked in enumerate(recorded(NAME)):
            text = json.dumps(asked["request"])
            for place, value in places.items():
                text = text.replace(json.dumps(place), json.dumps(value))
            asked = {**asked, "request": json.loads(text)}
            if "await" in asked:
                wait_until(lambda asked=asked: asked["await"] in json.dumps(ask(url, asked)[2]), 60,  # type: ignore[misc]
                           f"{asked['await']} in the answer to request {number}", 0.1)
            found = difference(url, asked)
            wanted, _ = known.get(number, ("", ""))
            assert not found or (wanted and found.startswith(wanted)), (
                f"request {number}, {asked['method']} {asked['path']} {asked['request']}: {found}")
