"""An example of another package's plugins: a transform, a predicate, a converter, a custom
converter, a post-processor and a sink.

Its `pyproject.toml` would say:

    [project.entry-points."cdc.plugins"]
    acme = "acme_cdc:PLUGINS"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cdc.config.options import option, settings
from cdc.config.table import OptionTable
from cdc.core.custom import ConvertedField, Register
from cdc.core.errors import ConvertError, TransformError
from cdc.core.interfaces import Ack, Outgoing, SinkSettings
from cdc.core.schema import STRING, STRUCT, Schema
from cdc.core.view import RecordView, Struct
from cdc.plugins import Plugin


@settings
class LabelSettings:
    header: str = option("header", required=True, doc="Name of the header.")
    field: str = option("field", default="op", doc="Field of the value that it holds.")


OPTIONS = OptionTable.of(LabelSettings)


class Label:
    """Copies a text field of the value into a header."""

    def __init__(self, config: Mapping[str, str]) -> None:
        """*config*: the keys below `transforms.NAME.`, without that prefix; they were checked with `OPTIONS`."""
        self.settings = LabelSettings(**OPTIONS.parse(config).values)

    def apply(self, view: RecordView) -> RecordView:
        schema = view.value_schema
        if schema is None or schema.type != STRUCT:
            return view
        try:
            text = Struct(schema, view.value)[self.settings.field]
        except KeyError:
            raise TransformError(f"There is no field {self.settings.field}.") from None
        view.add_header(self.settings.header, Schema(STRING), text)
        return view


class HasKey:
    """True if the record has a key."""

    def __init__(self, config: Mapping[str, str]) -> None:
        """Nothing can be configured."""

    def test(self, view: RecordView) -> bool:
        return view.key_schema is not None


class HexConverter:
    """Text and bytes as hexadecimal digits."""

    def __init__(self, stop: object = None) -> None:
        """*stop* ends a converter's waits; this one has none."""

    def configure(self, settings: Mapping[str, str], is_key: bool) -> None:
        """Nothing can be configured."""

    def from_connect(self, topic: str, schema: Schema | None, value: Any) -> bytes | None:
        if value is None:
            return None
        if not isinstance(value, (str, bytes)):
            raise ConvertError("only text and bytes have hexadecimal digits", topic=topic)
        return (value.encode() if isinstance(value, str) else value).hex().encode()


@settings
class IsbnSettings:
    schema_name: str = option("schema.name", required=True, doc="Name of the schema of the values.")


ISBN_OPTIONS = OptionTable.of(IsbnSettings)


class Isbn:
    """Text columns called isbn become text without hyphens: Debezium's example of a custom converter."""

    def __init__(self, config: Mapping[str, str]) -> None:
        """*config*: the connector's keys below `NAME.`, without that prefix; they were checked with `ISBN_OPTIONS`."""
        self.schema = Schema(STRING, name=IsbnSettings(**ISBN_OPTIONS.parse(config).values).schema_name)

    def converter_for(self, field: ConvertedField, register: Register) -> None:
        if field.name == "isbn" and field.schema.type == STRING:
            register(self.schema, lambda text: text.replace("-", ""))


class Stamp:
    """A post-processor: every change of a row gets a header."""

    def __init__(self, config: Mapping[str, str]) -> None:
        self.text = config.get("text", "")

    def apply(self, view: RecordView) -> None:
        view.add_header("stamp", Schema(STRING), self.text)


class MemorySink:
    """Keeps what it gets, and loses it at the end."""

    def __init__(self) -> None:
        self.kept: list[Outgoing] = []

    def start(self) -> None:
        """Nothing to open."""

    def interrupt(self) -> None:
        """Nothing here waits."""

    def fence(self) -> None:
        """Nothing of another process is on its way here."""

    def send(self, batch: Sequence[Outgoing], first: int, ack: Ack) -> int:
        for index in range(first, len(batch)):
            self.kept.append(batch[index])
            ack.delivered()
        return len(batch)

    def poll(self, timeout: float) -> None:
        """Everything is delivered at once."""

    def flush(self, timeout: float) -> int:
        return 0

    def close(self) -> None:
        """Nothing to close."""

    def metrics(self) -> Mapping[str, float]:
        return {}


def build(_settings: SinkSettings) -> MemorySink:
    """The sink for `sink.type=acme`."""
    return MemorySink()


PLUGINS = [
    Plugin("transform", "com.acme.kafka.Label", "acme_cdc:Label", options="acme_cdc:OPTIONS"),
    Plugin("predicate", "com.acme.kafka.HasKey", "acme_cdc:HasKey"),
    Plugin("converter", "com.acme.kafka.HexConverter", "acme_cdc:HexConverter"),
    Plugin("custom converter", "com.acme.kafka.Isbn", "acme_cdc:Isbn", options="acme_cdc:ISBN_OPTIONS"),
    Plugin("post processor", "com.acme.kafka.Stamp", "acme_cdc:Stamp"),
    Plugin("sink", "acme", "acme_cdc:build"),
]
