"""The Schema Registry: its client, HTTP with fail-over and retries, and the names of subjects. It knows no format."""
