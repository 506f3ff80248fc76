"""Record batches of Kafka in the making: messages become records, each in the open batch of its partition, in C.

`recordset.h` says how. What takes the batches and sends them is elsewhere. Any thread may call any method; only
`put_batch` with many messages lets go of the GIL, the others do so when another thread has the lock.
"""

import random

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_SIMPLE, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, \
    PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport INT32_MAX, int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t

from cdc.native.batch cimport CDC_NULL, OutBatch, cdc_msg

cdef extern from "recordset.h" nogil:
    enum:
        RECORDSET_HEAD
    const uint32_t RECORDSET_NONE
    enum recordset_reason:
        RECORDSET_TAKEN
        RECORDSET_FULL
        RECORDSET_NO_ROUTE
        RECORDSET_NO_PARTITIONS
        RECORDSET_TOO_LARGE
        RECORDSET_BAD_PARTITION
        RECORDSET_NO_MEMORY
    struct recordset_run:
        int64_t delivery
        uint32_t count
    struct recordsets:
        pass
    struct recordset:
        recordsets *owner
        uint8_t *data
        size_t size
        recordset_run *runs
        uint32_t run_count, topic, count
        int32_t partition
        int64_t base_ms, max_ms, opened_at_ms
    struct recordset_message:
        const uint8_t *key
        const uint8_t *value
        uint32_t key_len, value_len
        int32_t partition
        int64_t timestamp_ms
    struct recordset_headers:
        const uint8_t *block
        size_t size, bytes
    struct recordset_place:
        uint32_t topic
        int32_t partition
    struct recordset_record:
        const uint8_t *key
        uint32_t key_len, value_len
    struct recordset_batch:
        int64_t base_ms, max_ms, producer_id
        int32_t count, sequence
        int16_t attributes, epoch
    recordsets *recordsets_new(size_t, size_t, int64_t, uint64_t)
    void recordsets_lock(recordsets *)
    int recordsets_try_lock(recordsets *)
    void recordsets_unlock(recordsets *)
    void recordsets_end(recordsets *)
    uint32_t recordsets_topic(recordsets *)
    int recordsets_partitions(recordsets *, uint32_t, int32_t)
    int recordsets_available(recordsets *, uint32_t, int32_t, int)
    uint32_t recordsets_route(recordsets *, uint32_t, const recordset_headers *)
    void recordsets_limit_record(recordsets *, size_t)
    recordset_reason recordsets_put(recordsets *, uint32_t, const recordset_headers *, const recordset_message *,
                                    int64_t, int64_t)
    size_t recordsets_put_all(recordsets *, const uint8_t *, const cdc_msg *, size_t, size_t, const uint32_t *, size_t,
                              int64_t, int64_t, recordset_reason *)
    size_t recordsets_ready(recordsets *, uint32_t, int, recordset_place *, size_t)
    recordset *recordsets_take(recordsets *, uint32_t, int32_t, int)
    int64_t recordsets_held_bytes(const recordsets *)
    int64_t recordsets_held_count(const recordsets *)
    int64_t recordsets_value_bytes(const recordsets *)
    void recordset_give_back(recordset *)
    void recordset_drop(recordset *, size_t)
    int recordset_restore(recordset *, const uint8_t *)
    void recordset_free(recordset *)
    int recordset_read(recordset *, uint32_t, recordset_record *)
    int recordset_split(recordset *, recordset **)
    void recordset_head(uint8_t *, const recordset_batch *, const uint8_t *, size_t)
    uint32_t recordset_crc32c(uint32_t, const uint8_t *, size_t)
    uint32_t recordset_crc32c_plain(uint32_t, const uint8_t *, size_t)
    int32_t recordset_partition(const uint8_t *, size_t, int32_t)

NONE = RECORDSET_NONE
FULL = RECORDSET_FULL
NO_ROUTE = RECORDSET_NO_ROUTE
NO_PARTITIONS = RECORDSET_NO_PARTITIONS
TOO_LARGE = RECORDSET_TOO_LARGE
BAD_PARTITION = RECORDSET_BAD_PARTITION

cdef enum:
    FEW = 16           # so many messages are written before another thread could have the GIL,
    FEW_BYTES = 65536  # if their batch has no more bytes than this; and so many are checked
    FEW_ROUTES = 64
    FEW_PLACES = 64
    KEY_KEPT = 1024    # bytes of a key that are given for an error

cdef char *_BYTES = "B"  # of a buffer's format


cdef inline void _lock(recordsets *sets) noexcept:
    """Who waits for the lock waits without the GIL. Between this and the unlocking no Python code may run, nor the
    garbage collector: it might free a set, for which the lock is needed."""
    if recordsets_try_lock(sets):
        with nogil:
            recordsets_lock(sets)


cdef class RecordSets:
    """Records on their way to Kafka, which are *held* from `put` until their set is given back.

    A set of several records has at most *most_batch_bytes*, with the head of its batch. While *most_bytes* of records,
    or *most_count*, are held, no further one is taken; but a record is always taken if none is held.
    """

    cdef recordsets *sets
    cdef size_t limit
    cdef dict topics, routes
    cdef readonly int reason

    def __cinit__(self, int64_t most_batch_bytes, int64_t most_bytes, int64_t most_count):
        self.sets = NULL
        if not 0 < most_batch_bytes <= INT32_MAX or most_bytes < 1 or most_count < 1:
            raise ValueError("a limit of the record sets is out of range")
        self.topics = {}
        self.routes = {}
        self.sets = recordsets_new(most_batch_bytes, most_bytes, most_count, random.getrandbits(64))
        if self.sets == NULL:
            raise MemoryError
        self.most_record_bytes = 1024 * 1024

    def __dealloc__(self):
        if self.sets != NULL:
            _lock(self.sets)
            recordsets_end(self.sets)

    @property
    def held_bytes(self):
        return recordsets_held_bytes(self.sets)

    @property
    def held_count(self):
        return recordsets_held_count(self.sets)

    @property
    def value_bytes(self):
        """Of all values taken so far."""
        return recordsets_value_bytes(self.sets)

    @property
    def most_record_bytes(self):
        """A record is too large if its key, value and headers have more than this, less 36 bytes for their lengths:
        librdkafka's `message.max.bytes`."""
        return self.limit

    @most_record_bytes.setter
    def most_record_bytes(self, int64_t limit):
        if not 0 < limit <= 1000000000:
            raise ValueError("the limit of a record is out of range")
        self.limit = limit
        _lock(self.sets)
        recordsets_limit_record(self.sets, limit)
        recordsets_unlock(self.sets)

    # -- topics and routes ----------------------------------------------------------------------------------------

    def topic(self, str name):
        """The number of the topic."""
        cdef uint32_t number
        found = self.topics.get(name)
        if found is not None:
            return found
        _lock(self.sets)
        found = self.topics.get(name)
        number = recordsets_topic(self.sets) if found is None else found
        recordsets_unlock(self.sets)
        if number == RECORDSET_NONE:
            raise MemoryError
        if found is None:
            self.topics[name] = number
        return number

    def partitions(self, uint32_t topic, int32_t count):
        """The topic has *count* partitions now; 0: nobody knows."""
        cdef int done
        self.check_topic(topic)
        if count < 0:
            raise ValueError("a negative number of partitions")
        _lock(self.sets)
        done = recordsets_partitions(self.sets, topic, count)
        recordsets_unlock(self.sets)
        if not done:
            raise MemoryError

    def available(self, uint32_t topic, int32_t partition, bint yes):
        """Whether records without a key may go to *partition*, as long as there is another one for them."""
        cdef int done
        self.check_topic(topic)
        _lock(self.sets)
        done = recordsets_available(self.sets, topic, partition, yes)
        recordsets_unlock(self.sets)
        if not done:
            raise MemoryError

    def route(self, uint32_t topic, headers):
        """The number of a topic with the *headers* that records share. Routes stay for as long as this object."""
        cdef recordset_headers encoded
        cdef uint32_t number
        self.check_topic(topic)
        block = _headers(headers, &encoded)
        key = (topic, block)
        found = self.routes.get(key)
        if found is not None:
            return found
        _lock(self.sets)
        found = self.routes.get(key)
        number = recordsets_route(self.sets, topic, &encoded) if found is None else found
        recordsets_unlock(self.sets)
        if number == RECORDSET_NONE:
            raise MemoryError
        if found is None:
            self.routes[key] = number
        return number

    cdef check_topic(self, uint32_t topic):
        if topic >= <uint32_t>len(self.topics):
            raise IndexError("no such topic")

    # -- records --------------------------------------------------------------------------------------------------

    def put_batch(self, OutBatch out, Py_ssize_t first, routes, int64_t delivery, int64_t now_ms):
        """Take the messages of *out* from index *first* on. `routes[i]` is the route here of the batch's route *i*, or
        NONE. Returns the index of the first one not taken, and `reason` says why; 0: all were. Records without a
        timestamp get *now_ms*. Raises MemoryError."""
        cdef Py_ssize_t count = len(routes), end = out.count
        cdef uint32_t[FEW_ROUTES] few
        cdef uint32_t *numbers = few
        cdef recordset_reason reason
        if not 0 <= first <= end:
            raise IndexError("no such message")
        if count > FEW_ROUTES:
            numbers = <uint32_t *>PyMem_Malloc(count * sizeof(uint32_t))
            if numbers == NULL:
                raise MemoryError
        try:
            for index in range(count):
                numbers[index] = routes[index]
            if end - first <= FEW and out.arena.size <= FEW_BYTES:
                _lock(self.sets)
                first = recordsets_put_all(self.sets, out.arena.data, out.msgs, first, end, numbers, count, delivery,
                                           now_ms, &reason)
                recordsets_unlock(self.sets)
            else:
                with nogil:
                    recordsets_lock(self.sets)
                    first = recordsets_put_all(self.sets, out.arena.data, out.msgs, first, end, numbers, count,
                                               delivery, now_ms, &reason)
                    recordsets_unlock(self.sets)
        finally:
            if numbers != few:
                PyMem_Free(numbers)
        if reason == RECORDSET_NO_MEMORY:
            raise MemoryError
        self.reason = reason
        return first

    def put(self, uint32_t route, key, value, int32_t partition, int64_t timestamp_ms, int64_t delivery,
            int64_t now_ms, headers=None):
        """Take one record. *headers*: its own ones, not the route's. Returns the reason why it was not taken; 0: it
        was. Raises MemoryError."""
        cdef recordset_message message
        cdef recordset_headers encoded
        cdef recordset_headers *own = NULL
        cdef recordset_reason reason
        if route >= <uint32_t>len(self.routes):
            self.reason = RECORDSET_NO_ROUTE
            return self.reason
        message.partition = partition
        message.timestamp_ms = timestamp_ms
        message.key_len = _bytes(key, &message.key)
        message.value_len = _bytes(value, &message.value)
        if headers is not None:
            block = _headers(headers, &encoded)
            own = &encoded
        _lock(self.sets)
        reason = recordsets_put(self.sets, route, own, &message, delivery, now_ms)
        recordsets_unlock(self.sets)
        if reason == RECORDSET_NO_MEMORY:
            raise MemoryError
        self.reason = reason
        return self.reason

    # -- sets -----------------------------------------------------------------------------------------------------

    def ready(self, topic=None, bint all=False):
        """(topic, partition) of those that have closed sets, the one that waits longest first; with *all* then those
        that have an open set only. *topic*: of this one."""
        cdef uint32_t wanted = RECORDSET_NONE if topic is None else topic
        cdef recordset_place[FEW_PLACES] few
        cdef recordset_place *places = few
        cdef size_t room = FEW_PLACES, count, index
        try:
            while True:
                _lock(self.sets)
                count = recordsets_ready(self.sets, wanted, all, places, room)
                recordsets_unlock(self.sets)
                if count <= room:
                    return [(places[index].topic, places[index].partition) for index in range(count)]
                if places != few:
                    PyMem_Free(places)
                room = count + count // 4
                places = <recordset_place *>PyMem_Malloc(room * sizeof(recordset_place))
                if places == NULL:
                    raise MemoryError
        finally:
            if places != few:
                PyMem_Free(places)

    def take(self, uint32_t topic, int32_t partition, bint open_too):
        """The partition's oldest closed set; with *open_too* and no such set, the open one; else None."""
        cdef recordset *taken
        _lock(self.sets)
        taken = recordsets_take(self.sets, topic, partition, open_too)
        recordsets_unlock(self.sets)
        return None if taken == NULL else _made(taken)


cdef class RecordSet:
    """The records of one batch, as its bytes have them before compression: a buffer. `pack` saves their memory.

    *deliveries*: (delivery, count) in the order of the records. The attributes stay after `give_back`.
    """

    cdef recordset *set
    cdef Py_ssize_t views
    cdef bint given
    cdef bytes packed
    cdef object unpack
    cdef readonly uint32_t topic, count
    cdef readonly int32_t partition
    cdef readonly Py_ssize_t raw_bytes
    cdef readonly int64_t base_ms, max_ms, opened_at_ms
    cdef readonly list deliveries

    def __cinit__(self):
        self.set = NULL

    def __dealloc__(self):
        if self.set != NULL:
            self.free()

    cdef void free(self) noexcept:
        cdef recordset *set = self.set
        self.set = NULL
        _lock(set.owner)
        if not self.given:
            recordset_give_back(set)
        recordset_free(set)

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        if self.given or self.set == NULL:
            raise BufferError("the records were given back")
        if flags & PyBUF_WRITABLE:
            raise BufferError("the records cannot be changed")
        self.check()
        buffer.buf = self.set.data
        buffer.obj = self
        buffer.len = self.raw_bytes
        buffer.itemsize = 1
        buffer.readonly = 1
        buffer.ndim = 1
        buffer.format = _BYTES if flags & PyBUF_FORMAT else NULL
        buffer.shape = &buffer.len if flags & PyBUF_ND else NULL
        buffer.strides = &buffer.itemsize if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
        buffer.suboffsets = NULL
        buffer.internal = NULL
        self.views += 1

    def __releasebuffer__(self, Py_buffer *buffer):
        self.views -= 1
        if self.given and not self.views and self.set != NULL:
            self.free()

    def records(self):
        return memoryview(self)

    def pack(self, bytes packed not None, unpack):
        """Have *packed* in place of the bytes of the records, whose memory is used again at once; then so many bytes
        are held. Whoever asks for the records has `unpack(packed)` called, which gives the bytes again. Raises
        BufferError while there is a view of them, and ValueError after `give_back`."""
        if self.given or self.set == NULL:
            raise ValueError("the records were given back")
        if self.views:
            raise BufferError("there is a view of the records")
        if self.packed is not None:
            raise ValueError("the records were packed")
        _lock(self.set.owner)
        recordset_drop(self.set, PyBytes_GET_SIZE(packed))
        recordsets_unlock(self.set.owner)
        self.packed, self.unpack = packed, unpack

    cdef restore(self):
        cdef bytes raw = self.unpack(self.packed)
        cdef int done
        if len(raw) != self.raw_bytes:
            raise ValueError("other records were packed")
        _lock(self.set.owner)
        done = recordset_restore(self.set, <const uint8_t *>PyBytes_AS_STRING(raw))
        recordsets_unlock(self.set.owner)
        if not done:
            raise MemoryError
        self.packed = self.unpack = None

    def give_back(self):
        """The records are no longer held. Their memory is used again as soon as no view of it is left."""
        if self.given or self.set == NULL:
            return
        self.packed = self.unpack = None
        if not self.views:
            self.free()
            self.given = True
            return
        self.given = True
        _lock(self.set.owner)
        recordset_give_back(self.set)
        recordsets_unlock(self.set.owner)

    def first_key(self):
        """The first record's key, or the first KEY_KEPT bytes of it; None if it has none."""
        return self.sizes(0)[0]

    def sizes(self, uint32_t index):
        """The key of record *index*, or the first bytes of it, and the bytes of its key and value. Cheap from one index
        to the next. Raises IndexError, and ValueError after `give_back`."""
        cdef recordset_record record
        self.check()
        if not recordset_read(self.set, index, &record):
            raise IndexError("no such record")
        key, key_bytes, value_bytes = None, 0, 0
        if record.key_len != CDC_NULL:
            key_bytes = record.key_len
            key = PyBytes_FromStringAndSize(<char *>record.key, min(key_bytes, KEY_KEPT))
        if record.value_len != CDC_NULL:
            value_bytes = record.value_len
        return key, key_bytes, value_bytes

    def split(self):
        """Two sets with the records of this one, which is given back; or this one alone, if it has one record. Raises
        MemoryError, and ValueError after `give_back`."""
        cdef (recordset *)[2] halves
        cdef int done
        self.check()
        if self.count < 2:
            return [self]
        _lock(self.set.owner)
        done = recordset_split(self.set, halves)
        recordsets_unlock(self.set.owner)
        if not done:
            raise MemoryError
        self.given = True
        if not self.views:
            self.free()
        return [_made(halves[0]), _made(halves[1])]

    cdef check(self):
        if self.given or self.set == NULL:
            raise ValueError("the records were given back")
        if self.packed is not None:
            self.restore()


cdef RecordSet _made(recordset *taken):
    cdef RecordSet made = RecordSet.__new__(RecordSet)
    cdef uint32_t index
    made.set = taken
    made.topic = taken.topic
    made.partition = taken.partition
    made.count = taken.count
    made.raw_bytes = taken.size
    made.base_ms = taken.base_ms
    made.max_ms = taken.max_ms
    made.opened_at_ms = taken.opened_at_ms
    made.deliveries = [(taken.runs[index].delivery, taken.runs[index].count) for index in range(taken.run_count)]
    return made


cdef uint32_t _bytes(object data, const uint8_t **at) except? 0xFFFFFFFE:
    """The length of *data*, which may be None, and where it lies."""
    at[0] = NULL
    if data is None:
        return CDC_NULL
    if type(data) is not bytes:
        raise TypeError("a key or value is not bytes")
    at[0] = <const uint8_t *>PyBytes_AS_STRING(data)
    return <uint32_t>min(PyBytes_GET_SIZE(data), INT32_MAX)  # more is too large anyhow


cdef bytes _headers(headers, recordset_headers *encoded):
    """*headers* as a record ends with them; *encoded* refers to the result."""
    pairs = [(name.encode(), value) for name, value in headers]
    number = _varint(len(pairs))
    parts = [number]
    for name, value in pairs:
        if value is not None and type(value) is not bytes:
            raise TypeError("the value of a header is not bytes")
        parts += (_varint(len(name)), name, _varint(-1 if value is None else len(value)), value or b"")
    block = b"".join(parts)
    encoded.block = <const uint8_t *>PyBytes_AS_STRING(block)
    encoded.size = PyBytes_GET_SIZE(block)
    encoded.bytes = encoded.size - len(number)
    return block


cdef bytes _varint(int64_t value):
    cdef uint8_t[10] made
    cdef uint64_t bits = (<uint64_t>value << 1) ^ <uint64_t>(value >> 63)
    cdef int count = 0
    while bits > 127:
        made[count] = <uint8_t>(bits | 128)
        bits >>= 7
        count += 1
    made[count] = <uint8_t>bits
    return PyBytes_FromStringAndSize(<char *>made, count + 1)


# -- bytes ------------------------------------------------------------------------------------------------------------


def batch_head(int64_t base_ms, int64_t max_ms, int32_t count, records, int16_t attributes, int64_t producer_id,
               int16_t epoch, int32_t sequence):
    """The bytes of a record batch before its *records*, which may be compressed: *attributes* says how. Kafka docs,
    "Message Format", "Record Batch"."""
    cdef recordset_batch batch
    cdef Py_buffer view
    cdef uint8_t[RECORDSET_HEAD] head
    batch.base_ms, batch.max_ms, batch.producer_id = base_ms, max_ms, producer_id
    batch.count, batch.sequence, batch.attributes, batch.epoch = count, sequence, attributes, epoch
    if count < 1:
        raise ValueError("a batch has at least one record")
    PyObject_GetBuffer(records, &view, PyBUF_SIMPLE)
    try:
        if view.len > INT32_MAX - RECORDSET_HEAD:
            raise OverflowError("a batch has 2 GB or more")
        if view.len <= FEW_BYTES:
            recordset_head(head, &batch, <const uint8_t *>view.buf, view.len)
        else:
            with nogil:
                recordset_head(head, &batch, <const uint8_t *>view.buf, view.len)
    finally:
        PyBuffer_Release(&view)
    return PyBytes_FromStringAndSize(<char *>head, RECORDSET_HEAD)


def crc32c(data, uint32_t start=0, bint plain=False):
    """The CRC-32C of *data* (RFC 3720, 12.1) behind bytes whose checksum is *start*; *plain*: without the processor's
    instructions for it."""
    cdef Py_buffer view
    cdef uint32_t found
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        with nogil:
            if plain:
                found = recordset_crc32c_plain(start, <const uint8_t *>view.buf, view.len)
            else:
                found = recordset_crc32c(start, <const uint8_t *>view.buf, view.len)
    finally:
        PyBuffer_Release(&view)
    return found


def murmur2_partition(bytes key not None, int32_t count):
    """The partition, of *count*, where Java's clients put a record with this key."""
    if count < 1:
        raise ValueError("a topic has at least one partition")
    return recordset_partition(<const uint8_t *>PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), count)
