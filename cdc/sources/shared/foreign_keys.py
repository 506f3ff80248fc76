"""Keys that belong to something else than the connector that was given them: whose they are.

They are no misspellings, so the remark says whose key it is. Keys that limit what is captured are errors in any case.
Debezium documentation, "Connector properties" of each connector; Kafka documentation, "Kafka Connect Configs".
"""

from __future__ import annotations

import re
from typing import Final

POSTGRES: Final = "PostgreSQL connector"
MYSQL: Final = "MySQL and MariaDB connectors"

_OWNERS: Final = (  # compiled when they are needed, which is seldom
    (POSTGRES, r"plugin\.name|slot\..+|publication\..+|publish\.via\.partition\.root|replica\.identity\.autoset\.values"
               r"|offset\.mismatch\.strategy|(?:flush\.)?lsn\..+|status\.update\.interval\.ms|xmin\.fetch\.interval\.ms"
               r"|(?:interval|hstore)\.handling\.mode|money\.fraction\.digits|schema\.refresh\.mode"
               r"|database\.(?:dbname|ssl(?:mode|cert|key|password|rootcert|factory)|tcpKeepAlive)"
               r"|toasted\.value\.placeholder|truncate\.handling\.mode|message\.prefix\..+|cdc\.(?:binary|streaming)"
               r"|cdc\.(?:spool\.directory|name\.columns|debezium\.faults)"
               r"|internal\.(?:create\.slot\.command\.timeout|slot\.seek\.to\.known\.offset\.on\.start)"
               r"|database\.connection\.factory\.class"),
    (MYSQL, r"database\.server\.id(?:\.offset)?|database\.ssl\.(?:mode|(?:key|trust)store(?:\.password)?)"
            r"|database\.(?:jdbc\.driver|protocol)|connect\.(?:timeout\.ms|keep\.alive(?:\.interval\.ms)?)"
            r"|binlog\..+|gtid\..+|include\.(?:schema\.changes|query)|bigint\.unsigned\.handling\.mode"
            r"|enable\.time\.adjuster|min\.row\.count\.to\.stream\.results|inconsistent\.schema\.handling\.mode"
            r"|event\.deserialization\.failure\.handling\.mode|ddl\.parser\.(?:type|mode)|use\.nongraceful\.disconnect"
            r"|resolve\.create\.table\.like\.schema|incremental\.snapshot\.allow\.schema\.changes"
            r"|database\.allowPublicKeyRetrieval|cdc\.(?:unlogged\.changes|uniform\.values)"),
    ("SQL Server connector", r"database\.(?:instance|applicationIntent|encrypt|trustServerCertificate)"
                             r"|max\.iteration\.transactions|data\.query\.mode|streaming\.fetch\.size"
                             r"|incremental\.snapshot\.option\.recompile"),
    ("Oracle connector", r"log\.mining\..+|lob\.enabled|rac\.nodes|database\.(?:pdb\.name|connection\.adapter|url)"
                         r"|database\.(?:out\.server\.name|oracle\.version)|archive\..+|openlogreplicator\..+"
                         r"|xstream\..+"),
    ("MongoDB connector", r"mongodb\..+|capture\.(?:mode|scope|target|start)(?:\..+)?|field\.renames|cursor\..+"
                          r"|json\.serialization\.mode"),
    ("sink connectors", r"topics(?:\.regex)?|(?:insert|pk|primary\.key|delete)\.(?:mode|fields|enabled)"
                        r"|primary\.key\.fields|auto\.(?:create|evolve)|table\.name\.format|schema\.evolution|flush\.size"
                        r"|rotate\..+|behavior\.on\.(?:null|malformed)\..+|(?:s3|gcs|es|elasticsearch)\..+|format\.class"
                        r"|storage\.class|partitioner\.class|quote\.identifiers|consumer\.max\.poll\.records"),
    ("JDBC connectors", r"connection\.(?:url|user|username|password|attempts|backoff\.ms)|(?:incrementing|timestamp)\."
                        r"column\.name|mode|query|numeric\.mapping|dialect\.name|table\.types|batch\.max\.rows"),
    ("managed connectors of Confluent Cloud", r"kafka\.(?:api\.(?:key|secret)|auth\.mode|endpoint)|output\.(?:data"
                                              r"|key)\.format|after\.state\.only|json\.output\.decimal\.format"),
    ("worker", r"bootstrap\.servers|group\.id|(?:config|offset|status)\.storage\..+|offset\.flush\..+|rest\..+"
               r"|listeners|plugin\.path|internal\.(?:key|value)\.converter.*|config\.providers.*"),
)  # fmt: skip


def owner(key: str, own: str) -> str:
    """Whose key *key* is, as a person would say it; empty if it is nobody's we know, or that of *own*."""
    return next((name for name, pattern in _OWNERS if name != own and re.fullmatch(pattern, key)), "")
