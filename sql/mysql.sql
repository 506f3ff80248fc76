-- What cdc needs on MySQL 8.0 or later. Run as an administrator; change the names.
-- Before, in the server's configuration (a restart, or the parameter group of a managed server):
--    log_bin                          there is a binary log at all; the default
--    server_id = 1                    not 0, and no other server, replica or database.server.id has it
--    gtid_mode = ON, enforce_gtid_consistency = ON
--                                     positions mean the same on every server of the topology, so a failover is survived;
--                                     without them a position is a file's name and a place in it
--    binlog_format = ROW              the log has rows, not statements; the default

-- 1. Settings that can be changed while it runs. Sessions that are open keep the old ones.
SET PERSIST binlog_row_image = 'FULL';     -- whole rows before and after; with MINIMAL unchanged columns are missing
SET PERSIST binlog_row_metadata = 'FULL';  -- names, signs, charsets and labels of columns in the log itself
--    How long the connector may be stopped without needing a new snapshot; the default is 30 days:
--    SET PERSIST binlog_expire_logs_seconds = 604800;
--    Only for include.query=true:
--    SET PERSIST binlog_rows_query_log_events = ON;

-- 2. A login that may read the log, and where it begins and ends. SELECT is for the first snapshot and for tables whose
--    structure must be looked up; without it a table is not even seen.
CREATE USER 'cdc'@'%' IDENTIFIED BY 'change me';
GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'cdc'@'%';
GRANT SELECT ON shop.* TO 'cdc'@'%';

-- 3. For the first start only: a read lock, for as long as it takes to open a transaction and to read the log's position.
--    (FLUSH_TABLES in place of RELOAD is enough since 8.0.23. On a managed server that refuses the global lock: GRANT LOCK
--    TABLES ON shop.*, and the captured tables are locked one and all. None of them with snapshot.locking.mode=none, which
--    is for when nobody writes meanwhile.)
GRANT RELOAD ON *.* TO 'cdc'@'%';

-- 4. Only where heartbeats write (heartbeat.action.query), so that positions move on in a quiet database:
CREATE TABLE shop.cdc_heartbeat (id int PRIMARY KEY, at timestamp(3) NOT NULL);
GRANT INSERT, UPDATE ON shop.cdc_heartbeat TO 'cdc'@'%';
--    heartbeat.interval.ms=10000
--    heartbeat.action.query=INSERT INTO shop.cdc_heartbeat VALUES (1, now(3)) ON DUPLICATE KEY UPDATE at = now(3)

-- To see what is there, who reads it, and since when:
--    SHOW BINARY LOGS; SHOW REPLICAS; SELECT @@gtid_executed, @@gtid_purged;
