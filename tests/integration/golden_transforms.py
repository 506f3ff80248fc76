"""The cases of tests/golden/transforms: which script ran, with which connector options and which transforms.

A step is `alias=Class {options} [predicate]`; `!` negates. `D:` stands for Debezium's package; other classes are
Kafka's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

_KAFKA: Final = "org.apache.kafka.connect.transforms."
_STEP: Final = re.compile(r"(\w+)=([\w.:$]+)(?: \{(.*?)\})?(?: \[(!?)(\w+)\])?(?:; |$)")
_PREDICATES: Final = {
    "lines": ("TopicNameMatches", {"pattern": ".*[.]lines"}),
    "orders": ("TopicNameMatches", {"pattern": ".*[.]orders"}),
    "msg": ("TopicNameMatches", {"pattern": "srv[.]message"}),
    "toasty": ("TopicNameMatches", {"pattern": ".*toasty"}),
    "nokey": ("TopicNameMatches", {"pattern": ".*nokey"}),
    "moved": ("HasHeaderKey", {"name": "__debezium.newkey"}),
    "dead": ("RecordIsTombstone", {}),
}


@dataclass(frozen=True)
class Case:
    """One recording. *snapshot*: the script ran before the connector, which only took a snapshot."""

    name: str
    databases: tuple[str, ...]
    steps: str
    script: str = "transforms"
    options: dict[str, str] = field(default_factory=dict)
    snapshot: bool = False

    def config(self) -> dict[str, str]:
        """The keys `transforms…` and `predicates…`."""
        found: dict[str, str] = {}
        aliases: list[str] = []
        used: list[str] = []
        for match in _STEP.finditer(self.steps):
            alias, name, options, negated, predicate = match.groups()
            aliases.append(alias)
            prefix = f"transforms.{alias}."
            found[f"{prefix}type"] = _class(name)
            for option in (options or "").split("; "):
                if option:
                    key, _, text = option.partition("=")
                    found[prefix + key] = text
            if predicate:
                used.append(predicate)
                found[f"{prefix}predicate"] = predicate
            if negated:
                found[f"{prefix}negate"] = "true"
        assert aliases
        found["transforms"] = ",".join(aliases)
        for predicate in dict.fromkeys(used):
            kind, keys = _PREDICATES[predicate]
            found[f"predicates.{predicate}.type"] = f"{_KAFKA}predicates.{kind}"
            found |= {f"predicates.{predicate}.{key}": text for key, text in keys.items()}
        if used:
            found["predicates"] = ",".join(dict.fromkeys(used))
        return found


def _class(name: str) -> str:
    if name.startswith("D:"):
        return f"io.debezium.transforms.{name[2:]}"
    return name if name.startswith("io.") else f"{_KAFKA}{name}"


_ALL = ("postgres", "mysql", "mariadb")
_BOTH = ("postgres", "mysql")
_PG = ("postgres",)
_MYSQL = ("mysql",)
_UNWRAP = "u=D:ExtractNewRecordState"
_MODE = "delete.tombstone.handling.mode"
_TYPES = {"column.propagate.source.type": ".*"}
_CONNECT = {"time.precision.mode": "connect"}

KAFKA: Final = (
    Case("insert-field", _MYSQL, f"{_UNWRAP}; a=InsertField$Value {{static.field=origin; static.value=shop; "
         "topic.field=topic!; partition.field=part}; b=InsertField$Key {static.field=tenant; static.value=t1} "
         "[!nokey]"),
    Case("insert-field-envelope", _MYSQL, "a=InsertField$Value {static.field=site; static.value=x}"),
    Case("replace-field", _PG, f"{_UNWRAP}; a=ReplaceField$Value {{include=id,cust,qty,oid,line,sku; "
         "renames=cust:customer,sku:article}; b=ReplaceField$Key {renames=id:order_id; exclude=line}"),
    Case("replace-field-exclude", _PG, "a=ReplaceField$Value {exclude=before,transaction,ts_us,ts_ns}"),
    Case("mask-replacement", _MYSQL, f"{_UNWRAP} {{{_MODE}=drop}}; m=MaskField$Value {{fields=cust,note; "
         "replacement=***}; n=MaskField$Value {fields=qty,big,sm,f8; replacement=7}"),
    Case("value-to-key", _MYSQL, f"{_UNWRAP} {{{_MODE}=drop}}; k=ValueToKey {{fields=cust,id}} [orders]; "
         "x=ExtractField$Key {field=cust} [orders]"),
    Case("extract-after", _PG, "x=ExtractField$Value {field=after} [!msg]; y=ExtractField$Key {field=id} [orders]"),
    Case("hoist", _PG, f"{_UNWRAP}; h=HoistField$Value {{field=row}}; k=HoistField$Key {{field=k}}"),
    Case("flatten", _PG, "f=Flatten$Value {delimiter=_}; g=Flatten$Key"),
    Case("cast", _BOTH, f"{_UNWRAP}; c=Cast$Value {{spec=id:int64,qty:string,paid:string,sm:int8,big:float64,f8:int32,"
         "d:int64,cust:string,line:boolean,absent:int8} [!toasty]"),
    Case("timestamp-string", _PG, f"{_UNWRAP} {{{_MODE}=drop}}; t=TimestampConverter$Value {{field=placed; "
         "target.type=string; format=yyyy-MM-dd'T'HH:mm:ss.SSS'Z'} [orders]; v=TimestampConverter$Value {field=d; "
         "target.type=string; format=EEE dd/MM/yy} [orders]", options=_CONNECT),
    Case("timestamp-unix", _MYSQL, f"{_UNWRAP} {{{_MODE}=drop}}; t=TimestampConverter$Value {{field=placed; "
         "target.type=Date} [orders]; v=TimestampConverter$Value {field=placed_us; target.type=unix; "
         "unix.precision=microseconds} [orders]; w=TimestampConverter$Value {field=d; target.type=Timestamp} [orders]",
         options=_CONNECT),
    Case("set-schema", _PG, f"{_UNWRAP} {{{_MODE}=delete-to-tombstone}}; s=SetSchemaMetadata$Value {{"
         "schema.name=com.shop.Row; schema.version=7}; k=SetSchemaMetadata$Key {schema.name=com.shop.Key}"),
    Case("header-from", _BOTH, f"{_UNWRAP} {{{_MODE}=drop}}; h=HeaderFrom$Value {{fields=cust,price,placed; "
         "headers=c,p,w; operation=move} [orders]; k=HeaderFrom$Key {fields=id; headers=k; operation=copy} [orders]"),
    Case("insert-drop-headers", _PG, "a=InsertHeader {header=n; value.literal=3.5}; b=InsertHeader {header=l; "
         "value.literal=[1,2]}; c=InsertHeader {header=t; value.literal=2024-01-02T03:04:05.678Z}; "
         "d=InsertHeader {header=n; value.literal=txt}; x=DropHeaders {headers=__debezium.newkey,l}"),
    Case("filter", _MYSQL, "f=Filter [dead]; g=Filter [!orders]; h=Filter [moved]"),
    Case("regex-router", _BOTH, f"{_UNWRAP}; r=RegexRouter {{regex=([^.]+)[.](?<db>[^.]+)[.](.*); "
         "replacement=$3-${db}}"),
    Case("chain", _MYSQL, f"{_UNWRAP} {{add.fields=op,source.table; {_MODE}=rewrite}}; i=InsertField$Value {{"
         "static.field=env; static.value=prod}; c=Cast$Value {spec=qty:float64,__deleted:boolean} [orders]; "
         "k=ValueToKey {fields=cust} [orders]; x=ExtractField$Key {field=cust} [orders]; "
         "r=RegexRouter {regex=srv[.]smt[.](.*); replacement=dw.$1}"),
    Case("outbox-time-router", _MYSQL, "o=D:outbox.EventRouter {table.field.event.timestamp=ev_ts}; "
         "t=TimestampRouter {timestamp.format=yyyy-MM-dd; topic.format=${topic}-${timestamp}}", "outbox"),
)
"""Recordings in which Kafka's transforms take part."""

CASES: Final = (
    Case("unwrap", _ALL, _UNWRAP),
    Case("unwrap-rewrite", _PG, f"{_UNWRAP} {{{_MODE}=rewrite}}"),
    Case("unwrap-rewrite-with-tombstone", _MYSQL, f"{_UNWRAP} {{{_MODE}=rewrite-with-tombstone}}"),
    Case("unwrap-delete-to-tombstone", _PG, f"{_UNWRAP} {{{_MODE}=delete-to-tombstone}}"),
    Case("unwrap-add-fields", _PG, f"{_UNWRAP} {{add.fields=op,table,source.ts_ms,source.snapshot,source.db,"
         f"before.cust,nope; {_MODE}=rewrite}}"),
    Case("unwrap-add-fields-names", ("mysql", "mariadb"), f"{_UNWRAP} {{add.fields=op:operation,source.table:tbl,ts_ms,"
         "connector; add.fields.prefix=m_; add.headers=op,table:src,source.ts_ms; add.headers.prefix=h.}"),
    Case("unwrap-route", _PG, f"{_UNWRAP} {{route.by.field=sku; {_MODE}=drop}} [lines]"),
    Case("unwrap-null-not-default", _BOTH, f"{_UNWRAP} {{replace.null.with.default=false}}"),
    Case("unwrap-truncate", _MYSQL, f"{_UNWRAP} {{add.fields=op}}", options={"skipped.operations": "none"}),
    Case("unwrap-snapshot", _PG, f"{_UNWRAP} {{add.fields=op,source.snapshot}}", snapshot=True),
    Case("changed", _PG, "c=D:ExtractChangedRecordState {header.changed.name=Changed; "
         "header.unchanged.name=Unchanged}"),
    Case("changed-drop-fields", _MYSQL, "c=D:ExtractChangedRecordState {header.unchanged.name=Unchanged}; "
         f"{_UNWRAP} {{drop.fields.header.name=Unchanged; drop.fields.keep.schema.compatible=false}}"),
    Case("schema-to-new-record", _BOTH, "s=D:ExtractSchemaToNewRecord", options=_TYPES),
    Case("header-to-value", _PG, "i=InsertHeader {header=app; value.literal=42}; j=InsertHeader {header=zone; "
         "value.literal=eu}; h=D:HeaderToValue {headers=app,zone; fields=app,source.zone; operation=move} [!dead]"),
    Case("partition-routing", _PG, "p=D:partitions.PartitionRouting {partition.payload.fields=change.cust,change.oid; "
         "partition.topic.num=4}",
         options={"tombstones.on.delete": "false", "table.include.list": "smt.orders,smt.lines"}),
    Case("timezone", _PG, "z=D:TimezoneConverter {converted.timezone=America/New_York}"),
    Case("timezone-unwrapped", _MYSQL, f"{_UNWRAP}; z=D:TimezoneConverter {{converted.timezone=+05:30; "
         "include.list=topic:srv.smt.orders:placed_us,placed_tz}"),
    Case("timezone-connect-exclude", _MYSQL, "z=D:TimezoneConverter {converted.timezone=Asia/Kolkata; "
         "exclude.list=source:orders:placed_us}", options=_CONNECT),
    Case("logical-message", _PG, "l=io.debezium.connector.postgresql.transforms.DecodeLogicalDecodingMessageContent "
         "{fields.null.include=true} [msg]"),
    Case("read-to-insert", _MYSQL, "r=io.debezium.connector.mysql.transforms.ReadToInsertEvent", snapshot=True),
    Case("outbox", _BOTH, "o=D:outbox.EventRouter", "outbox"),
    Case("outbox-expand", _PG, "o=D:outbox.EventRouter {table.expand.json.payload=true}", "outbox"),
    Case("outbox-placement", _PG, "o=D:outbox.EventRouter {table.fields.additional.placement=tenant:header:x-tenant,"
         "type:envelope:eventType,ver:envelope,part:partition; table.field.event.timestamp=ev_ts}", "outbox"),
    Case("outbox-error", _PG, "o=D:outbox.EventRouter {table.op.invalid.behavior=error}", "outbox"),
    Case("outbox-custom", _PG, "o=D:outbox.EventRouter {table.field.event.id=event_id; "
         "table.field.event.key=entity_key; table.field.event.payload=body; route.by.field=entity; "
         "route.topic.replacement=${routedByValue}-events; table.fields.additional.placement=kind:header:eventKind,"
         "region:envelope,part:partition:p}", "events"),
    Case("reroute", _ALL, r"r=D:ByLogicalTableRouter {topic.regex=(.*)orders_[0-9]+; topic.replacement=$1orders_all}",
         "shards"),
    Case("reroute-plain-key-unwrap", _MYSQL, "r=D:ByLogicalTableRouter {topic.regex=(.*)orders_(.*); "
         f"topic.replacement=$1orders; key.enforce.uniqueness=false}}; {_UNWRAP}", "shards"),
    Case("schema-change-filter", _MYSQL, "f=D:SchemaChangeEventFilter {schema.change.event.exclude.list=ALTER,"
         "TRUNCATE}", "shards", {"include.schema.changes": "true"}),
    *KAFKA,
)
