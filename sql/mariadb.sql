-- What cdc needs on MariaDB 10.6 or later. Run this as an administrator; change the names first.
-- Before, in the server's configuration (needs a restart):
--    log_bin = binlog                 The server writes a binary log. By default it does not.
--    server_id = 1                    No other server, replica or database.server.id may use the same number: it is
--                                     a part of every GTID.
--    binlog_format = ROW              Also add the settings below: SET GLOBAL keeps them only until the next restart.

-- 1. Settings that can be changed while the server runs. Sessions that are already open keep the old values.
SET GLOBAL binlog_format = 'ROW';         -- the log holds rows, not statements; the default is MIXED
SET GLOBAL binlog_row_image = 'FULL';     -- whole rows before and after; MINIMAL leaves out unchanged columns
SET GLOBAL binlog_row_metadata = 'FULL';  -- the log itself holds the columns' names, signs, character sets and labels
--    How long the server keeps its log, so how long the connector may be stopped before it needs a new snapshot; the
--    default, 0, keeps it forever:
--    SET GLOBAL binlog_expire_logs_seconds = 604800;
--    For include.query=true the log holds statements by default (binlog_annotate_row_events).

-- 2. A login that may read the log, ask for its position, and ask whether the server is a replica (SLAVE MONITOR). The first snapshot needs SELECT, and so does a table whose
--    structure must be looked up; without SELECT, cdc does not even see the table. The snapshot needs no lock, because
--    MariaDB reports the log position of a consistent snapshot. Only snapshot.locking.mode=extended also needs RELOAD.
CREATE USER 'cdc'@'%' IDENTIFIED BY 'change me';
GRANT REPLICATION SLAVE, BINLOG MONITOR, SLAVE MONITOR ON *.* TO 'cdc'@'%';
GRANT SELECT ON shop.* TO 'cdc'@'%';

-- 3. Only if heartbeats write to the database (heartbeat.action.query). They move the position on in a quiet database:
CREATE TABLE shop.cdc_heartbeat (id int PRIMARY KEY, at timestamp(3) NOT NULL);
GRANT INSERT, UPDATE ON shop.cdc_heartbeat TO 'cdc'@'%';
--    heartbeat.interval.ms=10000
--    heartbeat.action.query=INSERT INTO shop.cdc_heartbeat VALUES (1, now(3)) ON DUPLICATE KEY UPDATE at = now(3)

-- To see the log files, and how far the log has come:
--    SHOW BINARY LOGS; SELECT @@gtid_binlog_pos, @@gtid_binlog_state;
