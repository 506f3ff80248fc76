-- docker-compose.yml: the sample shop's tables are in a schema of their own; sql/postgres.sql grants the schema public.
GRANT USAGE ON SCHEMA shop TO cdc;
GRANT SELECT ON ALL TABLES IN SCHEMA shop TO cdc;
ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO cdc;
