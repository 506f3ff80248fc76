"""The Kafka client library: settings, security, errors and topics. Only this room, the Kafka sink and the Kafka offset
store know the library.
"""
