"""The text of a Protobuf file, byte for byte as Confluent's converter registers it.

Source: confluentinc/schema-registry, `ProtobufSchemaUtils.toString`. The text of google/protobuf/wrappers.proto, which
stands for schemas of single values, is `ProtobufSchema` of `com.google.protobuf.WrappersProto` printed by it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .messages import ProtoField, ProtoFile, ProtoMessage

WRAPPER_MESSAGES: Final = (("DoubleValue", "double"), ("FloatValue", "float"), ("Int64Value", "int64"),
                           ("UInt64Value", "uint64"), ("Int32Value", "int32"), ("UInt32Value", "uint32"),
                           ("BoolValue", "bool"), ("StringValue", "string"), ("BytesValue", "bytes"))
"""The messages of wrappers.proto and the types of their fields, in the file's order."""
_WRAPPERS_HEAD: Final = '''syntax = "proto3";
package google.protobuf;

option java_package = "com.google.protobuf";
option java_outer_classname = "WrappersProto";
option java_multiple_files = true;
option go_package = "google.golang.org/protobuf/types/known/wrapperspb";
option cc_enable_arenas = true;
option objc_class_prefix = "GPB";
option csharp_namespace = "Google.Protobuf.WellKnownTypes";

'''
_VALUE_FIRST: Final = frozenset(("precision", "scale"))
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "'": "\\'", '"': '\\"', "\a": "\\a", "\b": "\\b", "\f": "\\f",
                                 "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"})


def file_text(file: ProtoFile) -> str:
    """The text of *file*."""
    if file.wrapper:
        return _WRAPPERS_HEAD + "".join(f'message {name} {{\n  {kind} value = 1 [json_name = "value"];\n}}\n'
                                        for name, kind in WRAPPER_MESSAGES)
    text = 'syntax = "proto3";\n'
    if file.package is not None:
        text += f"package {file.package};\n"
    if file.imports:
        text += "\n" + "".join(f'import "{name}";\n' for name in file.imports)
    return text + "\n" + "\n".join(_message(file.message)) + "\n"


def _message(message: ProtoMessage) -> list[str]:
    if not message.fields and not message.nested:
        return [f"message {message.name} {{}}"]
    lines = [f"message {message.name} {{"]
    lines += _indented(line for field in message.fields for line in _field(field))
    if message.nested:
        lines.append("")
        lines += _indented(line for nested in message.nested for line in _message(nested))
    lines.append("}")
    return lines


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _field(field: ProtoField) -> list[str]:
    label = f"{field.label} " if field.label else ""
    head = f"{label}{field.type} {field.name} = {field.number}"
    if not field.parameters:
        return [f"{head};"]
    lines = [f"{head} [(confluent.field_meta) = {{", "  params: ["]
    for index, (key, value) in enumerate(field.parameters):
        members = [f'key: "{key.translate(_ESCAPES)}"', f'value: "{value.translate(_ESCAPES)}"']
        first, second = reversed(members) if key in _VALUE_FIRST else members
        last = index == len(field.parameters) - 1
        lines += ["    {", f"      {first},", f"      {second}", "    }" if last else "    },"]
    return [*lines, "  ]", "}];"]
