"""Message classes of the `protobuf` library for our files, so that it can read what we write."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2, wrappers_pb2
from google.type import date_pb2, timeofday_pb2

from cdc.converters.protobuf.messages import ProtoFile, ProtoMessage

_Field = descriptor_pb2.FieldDescriptorProto
_NAMED = {"double": _Field.TYPE_DOUBLE, "float": _Field.TYPE_FLOAT, "int32": _Field.TYPE_INT32,
          "int64": _Field.TYPE_INT64, "bool": _Field.TYPE_BOOL, "string": _Field.TYPE_STRING,
          "bytes": _Field.TYPE_BYTES}


def message_class(file: ProtoFile) -> Any:
    """The class for the file's message."""
    pool = descriptor_pool.DescriptorPool()
    for known in (timestamp_pb2, wrappers_pb2, date_pb2, timeofday_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    pool.Add(_decimal())
    made = descriptor_pb2.FileDescriptorProto(name="t.proto", package=file.package or "", syntax="proto3",
                                              dependency=file.imports)
    _fill(made.message_type.add(), file.message)
    pool.Add(made)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(file.full_name))


def _fill(made: Any, message: ProtoMessage) -> None:
    made.name = message.name
    for field in message.fields:
        found = made.field.add(name=field.name, number=field.number, label=_Field.LABEL_OPTIONAL)
        if field.label == "repeated":
            found.label = _Field.LABEL_REPEATED
        if field.label == "optional":
            found.proto3_optional = True
            found.oneof_index = len(made.oneof_decl)
            made.oneof_decl.add(name=f"_{field.name}")
        if field.type in _NAMED:
            found.type = _NAMED[field.type]
        else:
            found.type_name = field.type
    for nested in message.nested:
        _fill(made.nested_type.add(), nested)


def _decimal() -> Any:
    """confluent/type/decimal.proto (confluentinc/schema-registry, protobuf-types)."""
    made = descriptor_pb2.FileDescriptorProto(name="confluent/type/decimal.proto", package="confluent.type",
                                              syntax="proto3")
    message = made.message_type.add(name="Decimal")
    for number, (name, kind) in enumerate((("value", _Field.TYPE_BYTES), ("precision", _Field.TYPE_UINT32),
                                           ("scale", _Field.TYPE_INT32)), 1):
        message.field.add(name=name, number=number, type=kind, label=_Field.LABEL_OPTIONAL)
    return made
