"""Types that the catalog does not have any more and we do not remember, as the log's Type message describes them.

It has the type's oid, and the name of the type under all domains. So a domain over a built-in type is known; another
type is known if there is one of that name now (it was made again), or if an extension gives it that name.
src/backend/replication/logical/proto.c, logicalrep_write_typ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .protocol import Type
from .types import EXTENSION_TYPES, TypeInfo


def lost_type(said: Type, named: TypeInfo | None) -> dict[int, TypeInfo]:
    """The type of message *said*, by oid, and its element if we have to make one up; nothing if it cannot be known.
    *named*: the type that has its name now."""
    if said.namespace == "pg_catalog":
        return _of_domain(said, named)
    if named is not None and named.kind != "d":
        return {said.oid: replace(named, oid=said.oid)}
    if said.name in EXTENSION_TYPES:
        return {said.oid: TypeInfo(said.oid, said.name, said.namespace, "b")}
    if said.name.removeprefix("_") in EXTENSION_TYPES:
        element = TypeInfo(-said.oid, said.name[1:], said.namespace, "b")
        return {said.oid: TypeInfo(said.oid, said.name, said.namespace, "b", element_oid=element.oid),
                element.oid: element}
    return {}


def _of_domain(said: Type, base: TypeInfo | None) -> dict[int, TypeInfo]:
    """A domain over built-in type *base*. Its modifier is not known, so the type is taken without one; for `bit` that
    would be one bit, so it is taken as varbit."""
    if said.name == "bit":
        return {said.oid: TypeInfo(said.oid, "varbit", said.namespace, "b")}
    if base is None:
        return {}
    return {said.oid: TypeInfo(said.oid, said.name, said.namespace, "d", base_oid=base.oid)}


def lost_types(said: Mapping[int, Type], named: Mapping[tuple[str, str], TypeInfo]) -> dict[int, TypeInfo]:
    """The types of all messages *said*; *named* has those that have their names now."""
    found: dict[int, TypeInfo] = {}
    for message in said.values():
        found |= lost_type(message, named.get((message.namespace, message.name)))
    return found
