"""Defaults as a real server prints them, read from its catalog.

What each becomes is what Debezium makes of it (debezium-connector-postgres, PostgresSchemaIT and the recordings in
tests/golden).
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from cdc.sources.postgres.catalog import read_catalog
from cdc.sources.postgres.defaults import default_value
from cdc.sources.postgres.types import resolve
from cdc.sources.shared.columns import Default
from tests.conftest import Database

CONFIG = SimpleNamespace(
    decimal_handling_mode="precise", time_precision_mode="adaptive", binary_handling_mode="bytes",
    interval_handling_mode="numeric", hstore_handling_mode="json", money_fraction_digits=2,
    include_unknown_datatypes=False, unavailable_value_placeholder="x", cdc_debezium_faults=False)

NOTHING = Default(None, True)
UNREAD = Default(None, False)

COLUMNS: dict[str, Any] = {
    "serial": 0, "smallserial": 0, "bigserial": 0, "int GENERATED ALWAYS AS IDENTITY": NOTHING, "int": NOTHING,
    "int DEFAULT 42": 42, "int NOT NULL DEFAULT -7": -7, "int DEFAULT (-7)": -7, "int DEFAULT '-7'": -7,
    "int DEFAULT 1 + 2": UNREAD, "int DEFAULT abs(-1)": 0, "int DEFAULT NULL": NOTHING,
    "int DEFAULT NULL::int": NOTHING,
    "bigint DEFAULT 9223372036854775807": 9223372036854775807, "bigint DEFAULT -9223372036854775808": -(2**63),
    "smallint DEFAULT 32767": 32767, "real DEFAULT 1.1": 1.1, "float8 DEFAULT 2.5": 2.5,
    "float8 DEFAULT -1e300": -1e300,
    "float8 DEFAULT 'NaN'": UNREAD, "numeric(6,3) DEFAULT 1.500": b"\x05\xdc", "numeric(6,3) DEFAULT 2": b"\x07\xd0",
    "numeric(6,1) DEFAULT 1.55": UNREAD, "numeric(6,2) DEFAULT -1": b"\x9c", "numeric(5,0) DEFAULT random()": b"\0",
    "numeric DEFAULT 0": UNREAD, "numeric(19,4) DEFAULT NULL::numeric": NOTHING,
    "bit(1) DEFAULT B'1'": True, "bit(2) DEFAULT B'11'": b"\3", "varbit(5) DEFAULT B'110'": b"\6",
    "bool DEFAULT true": True, "bool DEFAULT 'f'": False, "bool DEFAULT (NOT true)": False,
    "char(10) DEFAULT 'abcd'": "abcd", "varchar(100) DEFAULT 'abcde'": "abcde", "text DEFAULT 'hey ''q'''": "hey 'q'",
    "text DEFAULT E'a\\\\b\\n''c'": "a\\b\n'c", "text DEFAULT ''": "", "text DEFAULT 'text(parens)'": "text(parens)",
    "text DEFAULT concat('foo', 'bar')": "", "text DEFAULT 'a' || 'b'": "a",
    "text DEFAULT CURRENT_USER": "CURRENT_USER",
    "text DEFAULT NULL::text": NOTHING, "text NOT NULL DEFAULT 'dflt'": "dflt",
    "json DEFAULT '{\"a\": 1}'": '{"a": 1}', "jsonb DEFAULT '{}'": "{}", "jsonb DEFAULT jsonb_build_object()": "{}",
    "uuid DEFAULT '76019d1a-ad2e-4b22-96e9-1a6d6543c818'::uuid": "76019d1a-ad2e-4b22-96e9-1a6d6543c818",
    "uuid DEFAULT gen_random_uuid()": "00000000-0000-0000-0000-000000000000",
    "date DEFAULT '2021-03-19'::date": 18705, "date DEFAULT now()": 0, "date DEFAULT CURRENT_DATE": 0,
    "date DEFAULT 'now'::text::date": UNREAD, "time DEFAULT '12:34'::time": 45240000000,
    "time(3) DEFAULT '12:34'": 45240000,
    "time DEFAULT LOCALTIME": 0, "timestamp DEFAULT '2021-03-20 13:44:28'": 1616247868000000,
    "timestamp(3) DEFAULT '2021-03-20 13:44:28'": 1616247868000, "timestamp DEFAULT LOCALTIMESTAMP(2)": 0,
    "timestamp DEFAULT (now() AT TIME ZONE 'utc')": 0, "timestamp DEFAULT CURRENT_TIMESTAMP + interval '1 day'": UNREAD,
    "timestamptz DEFAULT '2021-03-20 14:44:28 +1'::timestamptz": "2021-03-20T13:44:28.000000Z",
    "timestamptz DEFAULT now()": "1970-01-01T00:00:00.000000Z",
    "timestamptz(3) DEFAULT CURRENT_TIMESTAMP": "1970-01-01T00:00:00.000Z",
    "interval DEFAULT interval '1 hour'": 3600000000, "interval DEFAULT make_interval(hours := 1)": 0,
    "mood DEFAULT 'ok'": "ok", "mood DEFAULT NULL": NOTHING, "mood DEFAULT lower('OK')::mood": NOTHING,
    "posint DEFAULT 5": NOTHING, "int[] DEFAULT '{1,2}'": NOTHING, "bytea DEFAULT '\\x00'": NOTHING,
    "inet DEFAULT '::1'": NOTHING, "money DEFAULT 1": NOTHING, "oid DEFAULT 1": NOTHING,
}


def test_defaults_are_what_debezium_makes_of_them(database: Database) -> None:
    with database.connect(autocommit=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET DateStyle = 'ISO'")
        connection.execute("CREATE TYPE mood AS ENUM ('sad', 'ok')")
        connection.execute("CREATE DOMAIN posint AS int")
        for at, column in enumerate(COLUMNS):
            connection.execute(f"CREATE TABLE t{at} (c {column})")
        catalog = read_catalog(connection)
        tables = {relation.name: relation for relation in catalog.relations.values()}
        wrong = {}
        for at, (column, wanted) in enumerate(COLUMNS.items()):
            found = tables[f"t{at}"].columns[0]
            info = catalog.types[found.type_oid]
            resolved = resolve(info, found.typmod, config=CONFIG, types=catalog.types)
            assert resolved is not None
            default = default_value(found.default, info.name, resolved.codec, typmod=found.typmod,
                                    is_enum=info.kind == "e")
            if default != (wanted if isinstance(wanted, Default) else Default(wanted, True)):
                wrong[column] = (found.default, default)
    assert not wrong
