"""Our own Kafka producer: record batches that `cdc.native.recordsets` writes, sent by one thread of plain Python.

`client.py` is the `Client` that a sink uses. `sender.py` is the thread; `producing.py` says which batch goes where and
when, `connections.py` which of `connection.py`'s sockets there are, and `cluster.py` has the picture of brokers, topics
and partitions, whose order and retries `partition.py` keeps. `protocol.py` has the bytes of requests and answers,
`login.py` what precedes the first request of a connection, and `settings.py` says which configurations this client
understands; all others go to librdkafka.
"""
