"""The options of the datagen source. Documented by Confluent, "Datagen Source Connector": configuration reference
(`DatagenConnectorConfig.java`). Keys that begin with `cdc.` are this service's own.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Final

from cdc.config.checks import at_least
from cdc.config.framework import FRAMEWORK_OPTIONS
from cdc.config.options import option, settings
from cdc.config.table import OptionTable, Parsed
from cdc.core.late_regex import late_regex
from cdc.sources.shared.conversions import TOPIC_PART
from cdc.sources.shared.polled import PolledConfig, PolledOptions

from . import avro, json_schema
from .values import Made, Node

FOLDER: Final = Path(__file__).parent / "quickstarts"
_SOURCES: Final = ("schema.string", "schema.filename", "quickstart")
_MOST_BYTES: Final = 4 << 20
_COMMENT: Final = late_regex(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/', re.DOTALL)

QUICKSTARTS: Final[Mapping[str, tuple[str, str]]] = {
    "clickstream_codes": ("clickstream_codes_schema", "code"), "clickstream": ("clickstream_schema", "ip"),
    "clickstream_users": ("clickstream_users_schema", "user_id"), "orders": ("orders_schema", "orderid"),
    "ratings": ("ratings_schema", "rating_id"), "users": ("users_schema", "userid"),
    "users_": ("users_array_map_schema", "userid"), "pageviews": ("pageviews_schema", "viewtime"),
    "stock_trades": ("stock_trades_schema", "symbol"), "inventory": ("inventory", "id"), "product": ("product", "id"),
    "purchases": ("purchase", "id"), "transactions": ("transactions", "transaction_id"),
    "stores": ("stores", "store_id"),
    "credit_cards": ("credit_cards", "card_id"), "campaign_finance": ("campaign_finance", "candidate_id"),
    "fleet_mgmt_description": ("fleet_mgmt_description", "vehicle_id"),
    "fleet_mgmt_location": ("fleet_mgmt_location", "vehicle_id"),
    "fleet_mgmt_sensors": ("fleet_mgmt_sensors", "vehicle_id"), "pizza_orders": ("pizza_orders", "store_id"),
    "pizza_orders_completed": ("pizza_orders_completed", "store_id"),
    "pizza_orders_cancelled": ("pizza_orders_cancelled", "store_id"),
    "insurance_offers": ("insurance_offers", "offer_id"), "insurance_customers": ("insurance_customers", "customer_id"),
    "insurance_customer_activity": ("insurance_customer_activity", "activity_id"),
    "gaming_games": ("gaming_games", "id"), "gaming_players": ("gaming_players", "player_id"),
    "gaming_player_activity": ("gaming_player_activity", "player_id"),
    "payroll_employee": ("payroll_employee", "employee_id"),
    "payroll_employee_location": ("payroll_employee_location", "employee_id"),
    "payroll_bonus": ("payroll_bonus", "employee_id"), "syslog_logs": ("syslog_logs", "host"),
    "device_information": ("device_information", "device_ip"), "siem_logs": ("siem_logs", "hostname"),
    "shoes": ("shoes", "id"), "shoe_customers": ("shoe_customers", "id"), "shoe_orders": ("shoe_orders", "order_id"),
    "shoe_clickstream": ("shoe_clickstream", "product_id"),
}
"""For each quickstart its file, without `.avro`, and the field that is the key (Confluent's `Quickstart.java`)."""


@settings
class DatagenConfig(PolledConfig):
    """The settings of the datagen source. `schema` is the schema that the configuration names, as JSON data."""

    kafka_topic: str = option(
        "kafka.topic", importance="HIGH", required=True, check=TOPIC_PART, group="Datagen",
        doc="Topic of the records.",
    )
    quickstart: str | None = option(
        "quickstart", default=None, importance="HIGH", one_of=tuple(QUICKSTARTS), group="Datagen",
        doc="Name of a schema that comes with the connector.",
    )
    schema_string: str | None = option(
        "schema.string", default=None, importance="HIGH", group="Datagen",
        doc="An Avro schema with arg.properties, or a JSON schema.",
    )
    schema_filename: str | None = option(
        "schema.filename", default=None, importance="HIGH", group="Datagen",
        doc="File with such a schema.",
    )
    schema_keyfield: str | None = option(
        "schema.keyfield", default=None, importance="HIGH", group="Datagen",
        doc="Field that becomes the key; by default the quickstart's, else the key is null.",
    )
    max_interval: int = option(
        "max.interval", "LONG", default="500", importance="HIGH", group="Datagen",
        doc="Longest time between two records, in milliseconds: each time a random part of it passes. From 0 down, "
        "nothing waits.",
    )
    cdc_datagen_rate: float = option(
        "cdc.datagen.rate", "DOUBLE", default="0", check=at_least(0), group="Datagen",
        doc="Records a second, instead of max.interval; 0 leaves the pace to max.interval.",
    )
    iterations: int = option(
        "iterations", "INT", default="-1", importance="HIGH", group="Datagen",
        doc="Number of records; the task then ends. Less than 1 is without limit. It counts those before a restart.",
    )
    random_seed: int | None = option(
        "random.seed", "LONG", default=None, importance="LOW", group="Datagen",
        doc="The same number makes the same records.",
    )
    schema: Any = field(default=None, repr=False)

    @property
    def topic_prefix(self) -> str:
        """What stands for the server's name where all connectors have one."""
        return self.kafka_topic


OPTIONS: Final = OptionTable.of(DatagenConfig, others=FRAMEWORK_OPTIONS)


def node_of(schema: Any, made: Made) -> Node:
    """What makes the rows of *schema*, JSON data. Raises ValueError with the place and the reason."""
    node = json_schema.read(schema, made) if json_schema.looks_like(schema) else avro.read(schema, made)
    if node.schema.type != "STRUCT":
        raise ValueError("the schema must be of a record")
    return node


def _finite(text: str) -> float:
    """A number that a double can hold. Raises ValueError."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:80]} is no number that a schema can have")
    return number


def _whole(text: str) -> int:
    _finite(text)
    return int(text)


def parsed_text(text: str) -> Any:
    """A schema's text as JSON data; comments are left out, as Avro's reader does. Raises ValueError."""
    try:
        return json.loads(_COMMENT.sub(lambda found: found[1] or " ", text), parse_constant=_finite,
                          parse_float=_finite, parse_int=_whole)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def file_text(name: str) -> str:
    """The text of the file *name*, or of a quickstart's file of that name. Raises OSError, ValueError."""
    path = Path(name).expanduser()
    if not path.exists() and name in (f"{file}.avro" for file, _ in QUICKSTARTS.values()):
        path = FOLDER / name
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"it has more than {_MOST_BYTES >> 20} MiB")
    return path.read_text(encoding="utf-8")


def _check(parsed: Parsed, config: Mapping[str, str]) -> None:
    values, given = parsed.values, [key for key in _SOURCES if key in parsed.given]
    values["schema"] = None
    if len(given) != 1:
        parsed.problem(given[1] if given else "quickstart", f"set one of {', '.join(_SOURCES)}, and only one.")
        return
    if parsed.problems:
        return
    key, quickstart = given[0], values["quickstart"]
    try:
        if quickstart:
            file, field_name = QUICKSTARTS[quickstart]
            text = (FOLDER / f"{file}.avro").read_text(encoding="utf-8")
            values["schema_keyfield"] = values["schema_keyfield"] or field_name
        else:
            text = values["schema_string"] or file_text(values["schema_filename"])
        schema = parsed_text(text)
        node = node_of(schema, Made())
    except OSError as exc:
        parsed.problem(key, f"the file cannot be read: {exc.strerror}.")
    except (ValueError, RecursionError) as exc:
        parsed.problem(key, f"no schema that can be used: {exc}.")
    else:
        values["schema"] = schema
        names = [each.name for each in node.schema.fields]
        if values["schema_keyfield"] and values["schema_keyfield"] not in names:
            parsed.problem("schema.keyfield", f"the schema has no such field; it has {', '.join(names)}.")
    if values["cdc_datagen_rate"] and "max.interval" in parsed.given:
        parsed.note("max.interval", "is not used, because cdc.datagen.rate is set.")
    if "tasks.max" in parsed.given and config["tasks.max"].strip() not in ("", "1"):
        parsed.note("tasks.max", "one task makes all records; for more, use more connectors with seeds of their own.")


_READER: Final = PolledOptions(settings=DatagenConfig, table=OPTIONS, check=_check)
read_datagen, parse_datagen = _READER.read, _READER.parse
