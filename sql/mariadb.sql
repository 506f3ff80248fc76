-- What cdc needs on MariaDB 10.6 or later. Run as an administrator; change the names.
-- Before, in the server's configuration (a restart):
--    log_bin = binlog                 there is a binary log at all; by default there is none
--    server_id = 1                    no other server, replica or database.server.id has it: GTIDs are told apart by it
--    binlog_format = ROW              and the settings below, which SET GLOBAL keeps only until the next restart

-- 1. Settings that can be changed while it runs. Sessions that are open keep the old ones.
SET GLOBAL binlog_format = 'ROW';         -- the log has rows, not statements; the default is MIXED
SET GLOBAL binlog_row_image = 'FULL';     -- whole rows before and after; with MINIMAL unchanged columns are missing
SET GLOBAL binlog_row_metadata = 'FULL';  -- names, signs, charsets and labels of columns in the log itself
--    How long the connector may be stopped without needing a new snapshot; the default, 0, is for ever:
--    SET GLOBAL binlog_expire_logs_seconds = 604800;
--    For include.query=true statements are there by default (binlog_annotate_row_events).

-- 2. A login that may read the log, and where it begins and ends. SELECT is for the first snapshot and for tables whose
--    structure must be looked up; without it a table is not even seen. The snapshot needs no lock: MariaDB's consistent
--    snapshots know their place in the log. (Only snapshot.locking.mode=extended takes RELOAD.)
CREATE USER 'cdc'@'%' IDENTIFIED BY 'change me';
GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO 'cdc'@'%';
GRANT SELECT ON shop.* TO 'cdc'@'%';

-- 3. Only where heartbeats write (heartbeat.action.query), so that positions move on in a quiet database:
CREATE TABLE shop.cdc_heartbeat (id int PRIMARY KEY, at timestamp(3) NOT NULL);
GRANT INSERT, UPDATE ON shop.cdc_heartbeat TO 'cdc'@'%';
--    heartbeat.interval.ms=10000
--    heartbeat.action.query=INSERT INTO shop.cdc_heartbeat VALUES (1, now(3)) ON DUPLICATE KEY UPDATE at = now(3)

-- To see what is there, and where it ends:
--    SHOW BINARY LOGS; SELECT @@gtid_binlog_pos, @@gtid_binlog_state;
