-- What cdc needs on MySQL 8.0 or later. Run this as an administrator; change the names first.
-- Before, in the server's configuration (needs a restart, or the parameter group of a managed server):
--    log_bin                          The server writes a binary log. This is the default.
--    server_id = 1                    Not 0. No other server, replica or database.server.id may use the same number.
--    gtid_mode = ON, enforce_gtid_consistency = ON
--                                     A position is then valid on every server of the topology, so the connector
--                                     survives a failover. Without GTIDs, a position is a file name and a place in it.
--    binlog_format = ROW              The log holds rows, not statements. This is the default.

-- 1. Settings that can be changed while the server runs. Sessions that are already open keep the old values.
SET PERSIST binlog_row_image = 'FULL';     -- whole rows before and after; MINIMAL leaves out unchanged columns
SET PERSIST binlog_row_metadata = 'FULL';  -- the log itself holds the columns' names, signs, character sets and labels
--    How long the server keeps its log, so how long the connector may be stopped before it needs a new snapshot; the
--    default is 30 days:
--    SET PERSIST binlog_expire_logs_seconds = 604800;
--    Only for include.query=true:
--    SET PERSIST binlog_rows_query_log_events = ON;

-- 2. A login that may read the log and ask for its position. The first snapshot needs SELECT, and so does a table whose
--    structure must be looked up; without SELECT, cdc does not even see the table.
CREATE USER 'cdc'@'%' IDENTIFIED BY 'change me';
GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'cdc'@'%';
GRANT SELECT ON shop.* TO 'cdc'@'%';

-- 3. For the first start only. cdc holds a global read lock while it opens a transaction and reads the log's position.
--    Since 8.0.23, FLUSH_TABLES is enough instead of RELOAD. If a managed server refuses the global lock:
--    GRANT LOCK TABLES ON shop.*; cdc then locks each captured table. snapshot.locking.mode=none needs neither; use it
--    only if nobody writes to the database meanwhile.
GRANT RELOAD ON *.* TO 'cdc'@'%';

-- 4. Only if heartbeats write to the database (heartbeat.action.query). They move the position on in a quiet database:
CREATE TABLE shop.cdc_heartbeat (id int PRIMARY KEY, at timestamp(3) NOT NULL);
GRANT INSERT, UPDATE ON shop.cdc_heartbeat TO 'cdc'@'%';
--    heartbeat.interval.ms=10000
--    heartbeat.action.query=INSERT INTO shop.cdc_heartbeat VALUES (1, now(3)) ON DUPLICATE KEY UPDATE at = now(3)

-- To see the log files, who reads them, and which transactions the server has executed and removed:
--    SHOW BINARY LOGS; SHOW REPLICAS; SELECT @@gtid_executed, @@gtid_purged;
