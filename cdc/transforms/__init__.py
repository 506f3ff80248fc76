"""Record to record: Kafka Connect's single message transforms and predicates. This room knows neither sources nor
converters; it sees records through `core.view`.
"""
