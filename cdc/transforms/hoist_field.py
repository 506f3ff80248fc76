"""HoistField (`org.apache.kafka.connect.transforms.HoistField`)."""

from __future__ import annotations

from collections.abc import Mapping

from cdc.config.options import option, settings
from cdc.config.table import OptionTable
from cdc.core.schema import STRUCT, Field, Schema
from cdc.core.view import PerSchema, RecordView

from .part import PartTransform, configured


@settings
class HoistFieldSettings:
    field: str = option("field", required=True, doc="Name of the field that the key or value becomes.")


OPTIONS = OptionTable.of(HoistFieldSettings)


class HoistField(PartTransform):
    """Wraps the key or the value, also a null, in a struct with one field; without a schema, in a map."""

    def __init__(self, config: Mapping[str, str], is_key: bool) -> None:
        super().__init__(is_key)
        self._name = configured(HoistFieldSettings, OPTIONS, config, "HoistField").field
        self._wrapped = PerSchema(lambda schema: Schema(STRUCT, fields=(Field(self._name, schema),)))

    def apply(self, view: RecordView) -> RecordView:
        schema, value = self.schema(view), self.value(view)
        if schema is None:
            return self.replace(view, None, {self._name: value})
        return self.replace(view, self._wrapped(schema), (value,))
