-- What cdc needs on PostgreSQL 14 or later. Run as a superuser in the database to capture; change the names.
-- Before: wal_level = logical in postgresql.conf (a restart), and one free replication slot and WAL sender.

-- 1. A login that may replicate and read. REPLICATION is for the stream, SELECT for the first snapshot.
CREATE ROLE cdc WITH LOGIN REPLICATION PASSWORD 'change me';
GRANT USAGE ON SCHEMA public TO cdc;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO cdc;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO cdc;

-- 2. What is published. With this, set publication.autocreate.mode=disabled; else cdc makes the publication itself,
--    for which its role must be a superuser (all_tables) or own the tables (filtered).
CREATE PUBLICATION dbz_publication FOR ALL TABLES;

-- 3. Only where heartbeats write (heartbeat.action.query), so that a quiet database still lets its WAL go:
CREATE TABLE public.cdc_heartbeat (id int PRIMARY KEY, at timestamptz NOT NULL);
GRANT SELECT, INSERT, UPDATE ON public.cdc_heartbeat TO cdc;
--    heartbeat.interval.ms=10000
--    heartbeat.action.query=INSERT INTO public.cdc_heartbeat VALUES (1, now()) ON CONFLICT (id) DO UPDATE SET at = now()

-- To see who retains WAL:
--    SELECT slot_name, active, wal_status, pg_size_pretty(pg_current_wal_lsn() - restart_lsn) FROM pg_replication_slots;
