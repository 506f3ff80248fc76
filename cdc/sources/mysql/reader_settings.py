"""What does not change while a log is read: the connector's options, and what the server is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field

from cdc.core.dataclass import dataclass
from cdc.core.table import TableId
from cdc.debezium.filters import Filters
from cdc.sources.mysql.ddl.tokens import Dialect
from cdc.sources.shared.warnings import Warnings

from .collations import Collations
from .flavor import Flavor
from .schema_changes import SchemaChangeSchemas, Scope


@dataclass(frozen=True)
class ReaderSettings:
    """For one `ChangeReader`."""

    flavor: Flavor
    dialect: Dialect
    """Of statements under an empty sql_mode; each statement says its own."""
    collations: Collations
    filters: Filters
    scope: Scope
    schemas: SchemaChangeSchemas | None
    """None: statements give no records (`include.schema.changes`)."""
    follows: Callable[[str], bool]
    """Whether rows of a source, named as in `resume.source_filter`, are delivered (`gtid.source.filter.dml.events`)."""
    transaction_metadata: bool
    """`provide.transaction.metadata`."""
    include_query: bool
    comments: bool
    """Whether schema changes have comments (`MySqlConfig.keep_comments`)."""
    on_inconsistency: str
    """`inconsistent.schema.handling.mode`: fail, warn or skip."""
    clock_us: Callable[[], int]
    """µs since 1970."""
    warnings: Warnings = field(default_factory=Warnings)
    """The source's."""
    changed_besides: Callable[[TableId], str | None] = lambda id: None
    """As `Lookup.changed_besides`."""
    watches: Callable[[TableId], bool] = lambda id: False
    """Which tables are watched (`EmittedTable.watched`)."""
