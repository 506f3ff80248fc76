"""Which table has which topic, so that two tables do not meet in one unnoticed.

Names lose characters on their way to Kafka: `c$d` and `c#d` are both `c_d`, and long names are cut. Where the two
tables' keys are equal, one table's rows replace the other's in a compacted topic.
"""

from __future__ import annotations

from collections.abc import Iterable

from cdc.core.errors import ConfigError
from cdc.core.table import TableId
from cdc.debezium.naming import TopicNaming
from cdc.log import get_logger

log = get_logger(__name__)

Key = tuple[str, tuple[tuple[str, str], ...]]


class TopicOwners:
    """The tables of one connector by topic. A regex strategy with its key field sets tables in one topic apart, so
    they do not meet there."""

    def __init__(self, naming: TopicNaming, *, allow: bool = False) -> None:
        """*allow*: two tables in one topic are logged once, and not refused."""
        self._naming = naming
        self._allow = allow or naming.merges_on_purpose
        self._owners: dict[Key, tuple[TableId, int | None]] = {}
        self._told: set[tuple[TableId, TableId]] = set()

    def claim_all(self, tables: Iterable[tuple[TableId, int | None]]) -> None:
        """As `claim`, for tables with what identifies them."""
        for id, identity in tables:
            self.claim(id, identity)

    def claim(self, id: TableId, identity: int | None = None) -> None:
        """Note that *id* has its topic. A table that was renamed keeps its *identity*, if it has one, and its topic.

        Raises ConfigError, which names both tables, if another one has the topic.
        """
        key = self._naming.data_topic(id), self._naming.key_constant(id)
        owner, known = self._owners.setdefault(key, (id, identity))
        if owner == id:
            return
        if identity is not None and identity == known:
            self._owners[key] = id, identity
            return
        if not self._allow:
            raise ConfigError(
                f"Tables {owner} and {id} have the same topic, {key[0]}, and nothing in their keys sets them apart.",
                option="cdc.shared.topics",
                hint="Leave one of them out with table.exclude.list, rename it, choose a naming strategy that keeps "
                     "their names apart, such as SchemaUnicodeTopicNamingStrategy or DefaultUnicodeTopicNamingStrategy,"
                     " or set cdc.shared.topics=allow.")
        if (owner, id) not in self._told:
            self._told.add((owner, id))
            log.warning("tables_share_topic", topic=key[0], table=str(id), other_table=str(owner),
                        effect="rows with equal keys replace each other where the topic is compacted")

    def release(self, id: TableId) -> None:
        """*id* was dropped or renamed: its topic is free for another table."""
        key = self._naming.data_topic(id), self._naming.key_constant(id)
        if key in self._owners and self._owners[key][0] == id:
            del self._owners[key]
