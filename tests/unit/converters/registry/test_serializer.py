"""What the converters of a Schema Registry share: a refused schema tells the difference, options without effect."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from cdc.converters.avro.converter import AvroConverter
from cdc.converters.json_schema.converter import JsonSchemaConverter
from cdc.converters.protobuf.converter import ProtobufConverter
from cdc.converters.registry.client import MockRegistry, refused
from cdc.converters.registry.serializer import RegistryConverter
from cdc.core.errors import RegistryRefusedError
from cdc.core.schema import INT32, INT64, STRING, Schema, optional, struct

_scopes = itertools.count()
OLD = struct("srv.t.Value", [("id", Schema(INT32)), ("amount", Schema(INT32))])
NEW = struct("srv.t.Value", [("id", Schema(INT32)), ("amount", optional(STRING)), ("more", Schema(INT64))])
DIFFERENCES: list[tuple[type[RegistryConverter], str]] = [
    (AvroConverter, "more is a field here only"),
    (JsonSchemaConverter, "amount may be null here and is required there; amount is string here and integer there; more"
                          " is a property here only"),
    (ProtobufConverter, "Value.amount is string 2 here and int32 2 there; Value.more is a field here only"),
]


class Strict(MockRegistry):
    """Refuses every second version of a subject, as an incompatible one."""

    def register(self, subject: str, text: str, normalize: bool = False, schema_type: str = "AVRO") -> int:
        if self.subjects.get(subject):
            raise refused(409, {"error_code": 409, "message": "incompatible"}, subject=subject)
        return super().register(subject, text, normalize, schema_type)


def make(kind: type[RegistryConverter], **settings: str) -> Any:
    made = kind()
    made.configure({"schema.registry.url": f"mock://shared{next(_scopes)}"}
                   | {key.replace("_", "."): value for key, value in settings.items()}, False)
    return made


@pytest.mark.parametrize(("kind", "difference"), DIFFERENCES, ids=lambda each: getattr(each, "__name__", ""))
def test_an_incompatible_schema_tells_the_difference_and_the_choices(kind: type[RegistryConverter], difference: str,
                                                                     ) -> None:
    made = make(kind)
    made._registry = Strict()
    made.schema_id("t", OLD)
    with pytest.raises(RegistryRefusedError, match="not compatible") as caught:
        made.schema_id("t", NEW)
    assert caught.value.context["difference"].startswith(difference)
    assert caught.value.context["subject"] == "t-value"
    for choice in ("undo the change", "compatibility", "another topic"):
        assert choice in caught.value.hint


@pytest.mark.parametrize("kind", [kind for kind, _ in DIFFERENCES])
def test_options_of_all(kind: type[RegistryConverter]) -> None:
    made = make(kind, schemas_cache_config="5", max_schemas_per_subject="7", normalize_schemas="true",
                ignore_default_for_nullables="true", generalized_sum_type_support="true")
    assert not made.null_is_default
    assert made.serializer.normalize_schemas
    with_number = make(kind, auto_register_schemas="false", use_schema_id="1")
    with pytest.raises(RegistryRefusedError, match="not registered"):
        with_number.schema_id("t", OLD)
