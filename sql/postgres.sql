-- What cdc needs on PostgreSQL 14 or later. Run this as a superuser in the database to capture; change the names first.
-- Before: set wal_level = logical in postgresql.conf and restart the server. One replication slot and one WAL sender
-- must be free.

-- 1. A login that may replicate and read. The stream needs REPLICATION; the first snapshot needs SELECT.
CREATE ROLE cdc WITH LOGIN REPLICATION PASSWORD 'change me';
GRANT USAGE ON SCHEMA public TO cdc;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO cdc;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO cdc;

-- 2. The publication. If you create it here, set publication.autocreate.mode=disabled. Otherwise cdc creates it, and
--    its role must then be a superuser (all_tables) or own the tables (filtered).
CREATE PUBLICATION dbz_publication FOR ALL TABLES;

-- 3. Only if heartbeats write to the database (heartbeat.action.query). They let the server remove old WAL although no
--    captured table changes:
CREATE TABLE public.cdc_heartbeat (id int PRIMARY KEY, at timestamptz NOT NULL);
GRANT SELECT, INSERT, UPDATE ON public.cdc_heartbeat TO cdc;
--    heartbeat.interval.ms=10000
--    heartbeat.action.query=INSERT INTO public.cdc_heartbeat VALUES (1, now()) ON CONFLICT (id) DO UPDATE SET at = now()

-- To see which slots hold back how much WAL:
--    SELECT slot_name, active, wal_status, pg_size_pretty(pg_current_wal_lsn() - restart_lsn) FROM pg_replication_slots;
