"""SetSchemaMetadata (`org.apache.kafka.connect.transforms.SetSchemaMetadata`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cdc.config.options import option, settings
from cdc.config.table import OptionTable
from cdc.core.errors import ConfigError
from cdc.core.schema import STRUCT, Schema
from cdc.core.view import PerSchema, RecordView

from .part import PartTransform, configured, data_error, filled, replace_null_option


@settings
class SetSchemaMetadataSettings:
    schema_name: str | None = option("schema.name", default=None, importance="HIGH", doc="New name of the schema.")
    schema_version: int | None = option("schema.version", "INT", default=None, importance="HIGH",
                                        doc="New version of the schema.")
    replace_null_with_default: bool = replace_null_option()


OPTIONS = OptionTable.of(SetSchemaMetadataSettings)


class SetSchemaMetadata(PartTransform):
    """Renames the schema of the key or the value, a struct, or sets its version; the rest of it stays as it is."""

    def __init__(self, config: Mapping[str, str], is_key: bool) -> None:
        super().__init__(is_key)
        self._settings = configured(SetSchemaMetadataSettings, OPTIONS, config, "SetSchemaMetadata")
        if self._settings.schema_name is None and self._settings.schema_version is None:
            raise ConfigError("Neither schema name nor version configured", option="schema.name")
        self._updated = PerSchema(self._build)

    def apply(self, view: RecordView) -> RecordView:
        schema = self.schema(view)
        if schema is None:
            if self.value(view) is None:
                return view
            raise data_error("Schema required for [updating schema metadata]")
        if schema.type != STRUCT:
            raise data_error("Cannot list fields on non-struct type")
        value = self.value(view)
        if value is not None:
            value = filled(schema, value, self._settings.replace_null_with_default)
        return self.replace(view, self._updated(schema), value)

    def _build(self, schema: Schema) -> Schema:
        name, version = self._settings.schema_name, self._settings.schema_version
        return replace(schema, name=schema.name if name is None else name,
                       version=schema.version if version is None else version)
