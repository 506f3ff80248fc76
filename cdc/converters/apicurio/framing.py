"""Where Apicurio's AvroConverter writes a schema's id: before the value, or in a header of the record.

Source: Apicurio/apicurio-registry, `IdHandler` and its classes, `DefaultHeadersHandler`, `AvroSerdeHeaders`.
"""

from __future__ import annotations

from typing import Final

from cdc.config.options import option, settings
from cdc.core.errors import ConvertError

from .checks import only, refused
from .client import Ids

_FOUR: Final = "Default4ByteIdHandler"
_EIGHT: Final = "Legacy8ByteIdHandler"
_SIZES: Final = {
    _FOUR: 4, "OptimisticFallbackIdHandler": 4, "Confluent4ByteIdHandler": 4, "Legacy4ByteIdHandler": 4,
    _EIGHT: 8, "DefaultIdHandler": 8,
}
"""By class; OptimisticFallbackIdHandler differs only in what it reads. The last of each line are Apicurio 2's."""
_HEADERS: Final = "DefaultHeadersHandler"


def _id_bytes(name: str) -> int:
    size = _SIZES.get(name.strip().rpartition(".")[2] or _FOUR)
    if size is None:
        raise ValueError(f"allowed: {', '.join(_SIZES)}")
    return size


@settings
class FramingSettings:
    """The keys of Apicurio's `SerdeConfig` and `KafkaSerdeConfig`, without the converter's prefix."""

    apicurio_registry_id_handler: int = option(
        "apicurio.registry.id-handler", "CLASS", default=_FOUR, convert=_id_bytes,
        doc="Class that writes the id before the value: 4 bytes (Default4ByteIdHandler, OptimisticFallbackIdHandler)"
            " or 8 (Legacy8ByteIdHandler, DefaultIdHandler).")
    apicurio_registry_use_id: str = option(
        "apicurio.registry.use-id", default="contentId", one_of=("contentId", "globalId"),
        doc="Which id is written: the content's or the version's.")
    apicurio_registry_headers_enabled: bool = option(
        "apicurio.registry.headers.enabled", "BOOLEAN", default="false",
        doc="Write the id, as 8 bytes, and the encoding into headers, and nothing before the value.")
    apicurio_registry_headers_handler: str = option(
        "apicurio.registry.headers.handler", "CLASS", default=_HEADERS, importance="LOW", check=only(_HEADERS),
        doc="Class that writes headers; only DefaultHeadersHandler.")
    apicurio_registry_headers_key_globalId_name: str = option(  # noqa: N815
        "apicurio.registry.headers.key.globalId.name", default="apicurio.key.globalId", importance="LOW",
        doc="Header for the version's id of keys.")
    apicurio_registry_headers_value_globalId_name: str = option(  # noqa: N815
        "apicurio.registry.headers.value.globalId.name", default="apicurio.value.globalId", importance="LOW",
        doc="Header for the version's id of values.")
    apicurio_registry_headers_key_contentId_name: str = option(  # noqa: N815
        "apicurio.registry.headers.key.contentId.name", default="apicurio.key.contentId", importance="LOW",
        doc="Header for the content's id of keys.")
    apicurio_registry_headers_value_contentId_name: str = option(  # noqa: N815
        "apicurio.registry.headers.value.contentId.name", default="apicurio.value.contentId", importance="LOW",
        doc="Header for the content's id of values.")
    apicurio_registry_use_schema_from_headers: bool = option(
        "apicurio.registry.use-schema-from-headers", "BOOLEAN", default="false", importance="LOW",
        check=refused("a schema in a header"), doc="true is not supported: a table's schema is the one written.")


class Framing:
    """What stands before values, and in headers, on one side, key or value."""

    def __init__(self, settings: FramingSettings, is_key: bool) -> None:
        side = "key" if is_key else "value"
        name = f"apicurio_registry_headers_{side}_{settings.apicurio_registry_use_id}_name"
        self.in_headers = settings.apicurio_registry_headers_enabled
        self._size = settings.apicurio_registry_id_handler
        self._is_global = settings.apicurio_registry_use_id == "globalId"
        self._header: str = getattr(settings, name)
        self._encoding = f"apicurio.{side}.encoding", b"BINARY"

    def id(self, ids: Ids) -> int:
        """The one of *ids* that is written."""
        return ids.global_id if self._is_global else ids.content_id

    def prefix(self, ids: Ids) -> bytes:
        """Magic byte and the id; empty if it is in a header. Raises ConvertError if it does not fit."""
        number = self.id(ids)
        if self.in_headers:
            return b""
        if number >= 1 << (8 * self._size - 1):
            raise ConvertError(f"the schema's id does not fit {self._size} bytes", schema_id=number,
                               hint=f"Set apicurio.registry.id-handler to {_EIGHT}.")
        return b"\0" + number.to_bytes(self._size, "big")

    def headers(self, number: int) -> list[tuple[str, bytes]]:
        """The headers with the id *number*."""
        return [(self._header, number.to_bytes(8, "big")), self._encoding]
