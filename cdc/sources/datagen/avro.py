"""An Avro schema with `arg.properties` becomes a node that makes its rows.

Sources: Avro specification, "Schema Declaration"; avro-random-generator's README; and for the Connect schema of each
type confluentinc/schema-registry, `AvroData.toConnectSchema`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from cdc.core.schema import ARRAY, INT32, INT64, MAP, STRING, STRUCT, Field, Schema

from .randoms import JavaRandom
from .values import (
    DEFAULT_LENGTH,
    MAX_ROW_BYTES,
    SCALARS,
    Made,
    Node,
    Rules,
    checked,
    chosen,
    decimal_node,
    length,
    lengths,
    object_of,
    read_bytes,
    scalar,
    text_node,
)

_CONFLUENT: Final = "io.confluent.connect.avro."
_CONNECT: Final = "org.apache.kafka.connect.data."
_LOGICAL: Final = {
    ("int", "date"): Schema(INT32, name=f"{_CONNECT}Date", version=1),
    ("int", "time-millis"): Schema(INT32, name=f"{_CONNECT}Time", version=1),
    ("long", "timestamp-millis"): Schema(INT64, name=f"{_CONNECT}Timestamp", version=1),
}


def read(text: Any, made: Made) -> Node:
    """The node of schema *text*, JSON data. Raises ValueError with the place and the reason."""
    return _Reader(made).node(text, "", "")


class _Reader:
    """`_named` are the named types read so far, by full name; None while one is being read. All uses of a type share
    its node, and so its iterations."""

    def __init__(self, made: Made) -> None:
        self._made = made
        self._named: dict[str, Node | None] = {}

    def node(self, schema: Any, namespace: str, where: str, rules: Rules | None = None) -> Node:
        """The node of *schema*; *where* is the field's path, for errors. *rules*: those of the field around it, which
        apply if the schema has none."""
        try:
            if isinstance(schema, list):
                return self._union(schema, namespace, where)
            if isinstance(schema, str):
                return self._by_name({"type": schema}, schema, namespace, where, rules)
            if not isinstance(schema, Mapping) or "type" not in schema:
                raise ValueError("a type is a name, a list, or an object with type")
            if isinstance(schema["type"], list | Mapping):
                return self.node(schema["type"], namespace, where, schema.get("arg.properties", rules))
            return self._by_name(schema, schema["type"], namespace, where, rules)
        except _AtError:
            raise
        except ValueError as exc:
            raise _AtError(f"{where or 'the schema'}: {exc}") from exc

    def _by_name(self, schema: Mapping[str, Any], kind: Any, namespace: str, where: str, outer: Rules | None) -> Node:
        rules = checked(schema.get("arg.properties", outer or {}))
        if kind in SCALARS:
            return _annotated(self._scalar(schema, kind, rules), schema)
        makers: Mapping[str, Callable[[Mapping[str, Any], str, str, Rules], Node]] = {
            "record": self._record, "enum": self._enum, "fixed": self._fixed, "array": self._array, "map": self._map}
        if kind in makers:
            found = makers[kind](schema, namespace, where, rules)
            if found.most > MAX_ROW_BYTES:
                raise ValueError(f"a value could have {found.most >> 20} MiB; {MAX_ROW_BYTES >> 20} are the most")
            return found
        if kind == "null":
            raise ValueError("null stands in unions only")
        for name in (f"{namespace}.{kind}", str(kind)):
            if name in self._named:
                again = self._named[name]
                if again is None:
                    raise ValueError(f"{kind} contains itself, so its values would have no end")
                return chosen(again, rules["options"]) if "options" in rules else again
        raise ValueError(f"there is no type {kind}")

    def _scalar(self, schema: Mapping[str, Any], kind: str, rules: Rules) -> Node:
        logical = schema.get("logicalType")
        if kind == "bytes" and logical == "decimal":
            return self._decimal(schema, rules)
        node = scalar(kind, rules, self._made)
        return node._replace(schema=_LOGICAL.get((kind, str(logical)), node.schema))

    def _decimal(self, schema: Mapping[str, Any], rules: Rules) -> Node:
        precision, scale = schema.get("precision", 64), schema.get("scale", 0)
        if not isinstance(precision, int) or not isinstance(scale, int):
            raise ValueError("precision and scale must be whole numbers")
        node = decimal_node(precision, scale, rules)
        return chosen(node, rules["options"]) if "options" in rules else node

    def _begun(self, schema: Mapping[str, Any], namespace: str) -> tuple[str, str]:
        """The full name and the namespace of a named type, whose content is read now."""
        name = schema.get("name")
        if not isinstance(name, str) or not name:
            raise ValueError(f"a {schema['type']} needs a name")
        own = schema.get("namespace", namespace) or ""
        full = name if "." in name or not own else f"{own}.{name}"
        self._named[full] = None
        return full, full.rpartition(".")[0]

    def _ended(self, full: str, node: Node) -> Node:
        self._named[full] = node
        return node

    def _record(self, schema: Mapping[str, Any], namespace: str, where: str, rules: Rules) -> Node:
        full, own = self._begun(schema, namespace)
        fields = schema.get("fields")
        if not isinstance(fields, list) or not fields:
            raise ValueError("a record needs fields")
        nodes: list[tuple[str, Node]] = []
        notes = [(f"{_CONFLUENT}record.doc", schema["doc"])] if _is_text(schema.get("doc")) else []
        for field in fields:
            if not isinstance(field, Mapping) or not isinstance(field.get("name"), str) or "type" not in field:
                raise ValueError("a field needs a name and a type")
            name = field["name"]
            if name in (known for known, _ in nodes):
                raise ValueError(f"two fields are called {name}")
            node = self.node(field["type"], own, f"{where}.{name}" if where else name, field.get("arg.properties"))
            nodes.append((name, _with_default(node, field)))
            if _is_text(field.get("doc")):
                notes.append((f"{_CONFLUENT}field.doc.{name}", field["doc"]))
        made = Schema(STRUCT, name=full, parameters=tuple(notes),
                      fields=tuple(Field(name, node.schema) for name, node in nodes))
        makers = [node.make for _, node in nodes]
        node = Node(made, lambda rng: tuple([make(rng) for make in makers]), _record_reader(nodes),
                    sum(node.most for _, node in nodes))
        node = chosen(node, rules["options"]) if "options" in rules else node
        return self._ended(full, _annotated(node, schema))

    def _enum(self, schema: Mapping[str, Any], namespace: str, where: str, rules: Rules) -> Node:
        full, _ = self._begun(schema, namespace)
        symbols = schema.get("symbols")
        if not isinstance(symbols, list) or not symbols or not all(isinstance(each, str) for each in symbols):
            raise ValueError("an enum needs symbols")
        parameters = ((f"{_CONFLUENT}Enum", full), *((f"{_CONFLUENT}Enum.{each}", each) for each in symbols))

        def read_symbol(data: Any) -> str:
            if data not in symbols:
                raise ValueError(f"{str(data)[:80]} is none of the symbols")
            return str(data)

        made = Schema(STRING, name=full, parameters=parameters)
        node = Node(made, lambda rng: symbols[rng.below(len(symbols))], read_symbol)
        return self._ended(full, chosen(node, rules["options"]) if "options" in rules else node)

    def _fixed(self, schema: Mapping[str, Any], namespace: str, where: str, rules: Rules) -> Node:
        full, _ = self._begun(schema, namespace)
        size = schema.get("size")
        if not isinstance(size, int) or not 0 <= size <= 1 << 20:
            raise ValueError("a fixed needs a size, up to 1 MiB")
        if schema.get("logicalType") == "decimal":
            return self._ended(full, self._decimal(schema, rules))

        def read_fixed(data: Any) -> bytes:
            found = read_bytes(data)
            if len(found) != size:
                raise ValueError(f"a value of {full} has {size} bytes")
            return found

        node = Node(Schema("BYTES"), lambda rng: rng.data(size), read_fixed, size)
        return self._ended(full, chosen(node, rules["options"]) if "options" in rules else node)

    def _array(self, schema: Mapping[str, Any], namespace: str, where: str, rules: Rules) -> Node:
        if "items" not in schema:
            raise ValueError("an array needs items")
        items = self.node(schema["items"], namespace, f"{where}[]")
        size = lengths(rules) or DEFAULT_LENGTH

        def read_list(data: Any) -> list[Any]:
            if not isinstance(data, list):
                raise ValueError("a value of an array is a list")
            return [items.read(each) for each in data]

        node = Node(Schema(ARRAY, items=items.schema),
                    lambda rng: [items.make(rng) for _ in range(length(rng, size))], read_list, size[1] * items.most)
        return chosen(node, rules["options"]) if "options" in rules else node

    def _map(self, schema: Mapping[str, Any], namespace: str, where: str, rules: Rules) -> Node:
        if "values" not in schema:
            raise ValueError("a map needs values")
        values = self.node(schema["values"], namespace, f"{where}{{}}")
        size = lengths(rules) or DEFAULT_LENGTH
        key_rules = checked(object_of(rules, "keys")) if "keys" in rules else {"length": 1}
        key = text_node(key_rules)
        key = chosen(key, key_rules["options"]) if "options" in key_rules else key

        def make(rng: JavaRandom) -> dict[str, Any]:
            return {key.make(rng): values.make(rng) for _ in range(length(rng, size))}

        def read_map(data: Any) -> dict[str, Any]:
            if not isinstance(data, Mapping):
                raise ValueError("a value of a map is an object")
            return {str(name): values.read(each) for name, each in data.items()}

        node = Node(Schema(MAP, keys=Schema(STRING), items=values.schema), make, read_map,
                    size[1] * (key.most + values.most))
        return chosen(node, rules["options"]) if "options" in rules else node

    def _union(self, members: Sequence[Any], namespace: str, where: str) -> Node:
        nodes = [None if each == "null" or each == {"type": "null"} else self.node(each, namespace, where)
                 for each in members]
        real = [node for node in nodes if node is not None]
        if not real or len(members) - len(real) > 1:
            raise ValueError("a union needs a type beside null")
        if len(members) == 2 and len(real) == 1:
            only = real[0]

            def make_only(rng: JavaRandom) -> Any:
                node = nodes[rng.below(2)]
                return None if node is None else node.make(rng)

            return Node(only.schema.as_optional(), make_only,
                        lambda data: None if data is None else only.read(data), only.most)
        return _several(nodes, members)


def _is_text(doc: Any) -> bool:
    return isinstance(doc, str) and doc != ""


def _several(nodes: Sequence[Node | None], members: Sequence[Any]) -> Node:
    """A union that is more than a type or null: a struct with one field for each type, one of which has a value."""
    names = [_member_name(node, member) for node, member in zip(nodes, members, strict=True) if node is not None]
    if len(set(names)) < len(names):
        raise ValueError(f"two types of a union have the name {next(n for n in names if names.count(n) > 1)}")
    real = [node for node in nodes if node is not None]
    schema = Schema(STRUCT, name=f"{_CONFLUENT}Union", optional=len(real) < len(nodes), fields=tuple(
        Field(name, node.schema.as_optional()) for name, node in zip(names, real, strict=True)))

    def make(rng: JavaRandom) -> Any:
        drawn = nodes[rng.below(len(nodes))]
        return None if drawn is None else tuple([node.make(rng) if node is drawn else None for node in real])

    def read_one(data: Any) -> Any:
        if data is None and schema.optional:
            return None
        for place, node in enumerate(real):
            try:
                return tuple([node.read(data) if at == place else None for at in range(len(real))])
            except ValueError:
                continue
        raise ValueError("a value is of none of the union's types")

    return Node(schema, make, read_one, max(node.most for node in real))


def _member_name(node: Node, member: Any) -> str:
    if node.schema.name and not node.schema.name.startswith(_CONNECT):
        return node.schema.name.rpartition(".")[2]
    return str(member["type"] if isinstance(member, Mapping) else member)


def _with_default(node: Node, field: Mapping[str, Any]) -> Node:
    """*node* as the type of *field*: its default goes into the schema. A union's default is of its first type."""
    if field.get("default") is None:
        return node
    try:
        default = node.read(field["default"])
    except ValueError as exc:
        raise ValueError(f"the default of {field['name']}: {exc}") from exc
    marked = (*node.schema.parameters, (f"{_CONFLUENT}field.default", "true"))
    return node._replace(schema=replace(node.schema, default=default, parameters=marked))


def _record_reader(nodes: Sequence[tuple[str, Node]]) -> Callable[[Any], tuple[Any, ...]]:
    def read_record(data: Any) -> tuple[Any, ...]:
        if not isinstance(data, Mapping):
            raise ValueError("a value of a record is an object")
        unknown = [name for name in data if name not in dict(nodes)]
        if unknown:
            raise ValueError(f"the record has no field {unknown[0]}")
        found = []
        for name, node in nodes:
            if name not in data and not node.schema.optional and node.schema.default is None:
                raise ValueError(f"a value for field {name} is missing")
            found.append(node.read(data[name]) if name in data else node.schema.default)
        return tuple(found)

    return read_record


def _annotated(node: Node, schema: Mapping[str, Any]) -> Node:
    """*node* with what `connect.*` attributes say of its schema."""
    found, given = node.schema, dict[str, Any]()
    for attribute, kind in (("name", str), ("version", int), ("doc", str)):
        value = schema.get(f"connect.{attribute}")
        if value is not None:
            if not isinstance(value, kind):
                raise ValueError(f"connect.{attribute} must be a {'text' if kind is str else 'whole number'}")
            given[attribute] = value
    found = replace(found, **given) if given else found
    more = schema.get("connect.parameters")
    if isinstance(more, Mapping):
        found = replace(found, parameters=(*found.parameters, *((str(k), str(v)) for k, v in more.items())))
    return node if found is node.schema else node._replace(schema=found)


class _AtError(ValueError):
    """An error that says where it is."""
