"""Outgoings as bytes in one arena, for a sink that takes a whole batch of them (`core.interfaces.BatchSink`)."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdlib cimport free, realloc

from cdc.core.interfaces import Outgoing

cdef enum:
    KEPT_BYTES = 8 * 1024 * 1024  # a larger arena is released instead of kept for the next batch
    KEPT_ARENAS = 4

cdef cdc_out[KEPT_ARENAS] _kept
cdef int _kept_count = 0


cdef class Route:
    """What messages have in common: *topic*, *table* (their origin, for messages about them) and *headers*.

    `cache` belongs to the sink.
    """

    def __init__(self, str topic, str table, headers):
        self.topic = topic
        self.table = table
        self.headers = headers


cdef class OutBatch:
    """Messages in order. `routes`: what `cdc_msg.route` refers to.

    C code reads `arena` and `msgs`; both stay where they are while nothing is added. Arenas are used again when their
    batch has gone, under the GIL.
    """

    def __cinit__(self):
        global _kept_count
        if _kept_count:
            _kept_count -= 1
            self.arena = _kept[_kept_count]
            self.arena.size = 0
            self.arena.error = CDC_OK
        self.routes = []
        self._route_of = {}

    def __dealloc__(self):
        global _kept_count
        if self.arena.data != NULL and self.arena.capacity <= KEPT_BYTES and _kept_count < KEPT_ARENAS:
            _kept[_kept_count] = self.arena
            _kept_count += 1
        else:
            free(self.arena.data)
        free(self.msgs)

    def __len__(self):
        return self.count

    @property
    def size_bytes(self):
        """Of all keys and values."""
        return self.arena.size

    def append(self, outgoing):
        """Adds a copy of *outgoing*, an `Outgoing`. Raises MemoryError."""
        topic, key, value, partition, headers, table, timestamp_ms = outgoing
        cdef cdc_msg *msg = self.new_msg()
        msg.partition = partition
        msg.timestamp_ms = timestamp_ms
        msg.route = self.add_route(topic, table, headers)
        self.put(&msg.key, &msg.key_len, key)
        self.put(&msg.val, &msg.val_len, value)
        self.check()
        self.count += 1

    cdef put(self, uint32_t *at, uint32_t *length, bytes data):
        at[0] = <uint32_t>self.arena.size
        length[0] = CDC_NULL
        if data is not None:
            length[0] = <uint32_t>PyBytes_GET_SIZE(data)
            cdc_out_raw(&self.arena, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))

    def outgoing(self, Py_ssize_t index):
        """Message *index* as an `Outgoing`: a copy. Raises IndexError."""
        if index < 0 or index >= self.count:
            raise IndexError("no such message")
        cdef cdc_msg *msg = self.msgs + index
        route = <Route>self.routes[msg.route]
        return Outgoing(route.topic, self.copy(msg.key, msg.key_len), self.copy(msg.val, msg.val_len), msg.partition,
                        route.headers, route.table, msg.timestamp_ms)

    cdef copy(self, uint32_t at, uint32_t length):
        if length == CDC_NULL:
            return None
        return PyBytes_FromStringAndSize(<char *>self.arena.data + at, length)

    cdef Py_ssize_t add_route(self, str topic, str table, object headers) except -1:
        """The index of the route; routes with one and the same object of headers are one."""
        key = (topic, table, id(headers))  # the route keeps *headers*, so that its id stays its own
        found = self._route_of.get(key)
        if found is None:
            found = self._route_of[key] = len(self.routes)
            self.routes.append(Route(topic, table, headers))
        return found

    cdef cdc_msg *new_msg(self) except NULL:
        """Room for one message more, which counts only once `count` is raised; its timestamp is -1."""
        if self.count == self.capacity:
            self.reserve(self.capacity * 2 if self.capacity else 256)
        self.msgs[self.count].timestamp_ms = -1
        return self.msgs + self.count

    cdef int reserve(self, Py_ssize_t capacity) except -1:
        """Room for *capacity* messages in all."""
        cdef cdc_msg *grown
        if capacity > self.capacity:
            grown = <cdc_msg *>realloc(self.msgs, capacity * sizeof(cdc_msg))
            if grown == NULL:
                raise MemoryError
            self.msgs = grown
            self.capacity = capacity
        return 0

    cdef int check(self) except -1:
        """Raises MemoryError if the arena is full."""
        if self.arena.error == CDC_TOO_LARGE:
            raise MemoryError("the records of one batch have 4 GB or more")
        if self.arena.error != CDC_OK:
            raise MemoryError
        return 0
