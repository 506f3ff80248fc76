"""A Kafka producer that calls librdkafka itself: no Python object and no callback into Python for a message.

`load` must have been called. What a producer promises, `cdc/kafka/client.py` says; `kafka.h` says how it works. One
thread uses it; `len` may be called from any thread, and `commit_transaction` while no other call runs.
"""

import ctypes

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free

from cdc.native.batch cimport OutBatch, Route, cdc_msg

cdef extern from "kafka.h" nogil:
    ctypedef struct rd_kafka_t:
        pass
    ctypedef struct rd_kafka_conf_t:
        pass
    ctypedef struct rd_kafka_headers_t:
        pass
    ctypedef struct rd_kafka_error_t:
        pass
    ctypedef struct rd_kafka_topic_t:
        pass
    struct rd_kafka_metadata:
        pass
    enum:
        KAFKA_CONF_OK
        KAFKA_ERR_QUEUE_FULL
        KAFKA_ERR_FATAL
        KAFKA_ERR_INVALID_ARG
        KAFKA_PURGE_QUEUE
        KAFKA_PURGE_INFLIGHT
        KAFKA_PURGE_NON_BLOCKING
        KAFKA_KEY_KEPT
    const uint32_t KAFKA_NULL
    const uint32_t KAFKA_NONE
    struct kafka_functions:
        rd_kafka_conf_t *(*conf_new)() noexcept nogil
        void (*conf_destroy)(rd_kafka_conf_t *) noexcept nogil
        int (*conf_set)(rd_kafka_conf_t *, const char *, const char *, char *, size_t) noexcept nogil
        int (*poll)(rd_kafka_t *, int) noexcept nogil
        int (*flush)(rd_kafka_t *, int) noexcept nogil
        int (*purge)(rd_kafka_t *, int) noexcept nogil
        int (*outq_len)(rd_kafka_t *) noexcept nogil
        int (*last_error)() noexcept nogil
        int (*metadata)(rd_kafka_t *, int, rd_kafka_topic_t *, const rd_kafka_metadata **, int) noexcept nogil
        void (*metadata_destroy)(const rd_kafka_metadata *) noexcept nogil
        rd_kafka_headers_t *(*headers_new)(size_t) noexcept nogil
        void (*headers_destroy)(rd_kafka_headers_t *) noexcept nogil
        int (*header_add)(rd_kafka_headers_t *, const char *, Py_ssize_t, const void *, Py_ssize_t) noexcept nogil
        rd_kafka_error_t *(*init_transactions)(rd_kafka_t *, int) noexcept nogil
        rd_kafka_error_t *(*begin_transaction)(rd_kafka_t *) noexcept nogil
        rd_kafka_error_t *(*commit_transaction)(rd_kafka_t *, int) noexcept nogil
        rd_kafka_error_t *(*abort_transaction)(rd_kafka_t *, int) noexcept nogil
        int (*error_code)(const rd_kafka_error_t *) noexcept nogil
        const char *(*error_string)(const rd_kafka_error_t *) noexcept nogil
        int (*error_is_fatal)(const rd_kafka_error_t *) noexcept nogil
        int (*error_is_retriable)(const rd_kafka_error_t *) noexcept nogil
        int (*error_txn_requires_abort)(const rd_kafka_error_t *) noexcept nogil
        void (*error_destroy)(rd_kafka_error_t *) noexcept nogil
    kafka_functions kafka_api
    const char **kafka_names
    size_t kafka_name_count
    void kafka_set(size_t index, void *address)
    struct kafka_failure:
        kafka_failure *next
        int code
        int32_t partition
        uint32_t route, key_len, value_len
        char *key
    struct kafka_event:
        kafka_event *next
        int code, is_log, fatal
        char *text
    struct kafka_delivery:
        void *ack
        int64_t open, delivered, failed
        int code
        kafka_failure *failures
    struct kafka_client:
        rd_kafka_t *rk
    kafka_client *kafka_client_new()
    int kafka_client_open(kafka_client *, rd_kafka_conf_t *, char *, size_t)
    void kafka_client_free(kafka_client *)
    uint32_t kafka_route_add(kafka_client *, const char *, rd_kafka_headers_t *)
    uint32_t kafka_delivery_new(kafka_client *, void *, int64_t)
    int kafka_delivery_shrink(kafka_client *, uint32_t, int64_t)
    struct kafka_message:
        const void *key
        const void *value
        uint32_t key_len, value_len
        int32_t partition
        int64_t timestamp_ms
    int kafka_produce(kafka_client *, uint32_t, uint32_t, const kafka_message *, rd_kafka_headers_t *)
    size_t kafka_produce_all(kafka_client *, uint32_t, const unsigned char *, const cdc_msg *, size_t, size_t,
                             const uint32_t *, uint64_t *, int *)
    int kafka_take_answers(kafka_client *, kafka_delivery *)
    void kafka_forget(kafka_client *, void (*)(void *) noexcept)
    kafka_event *kafka_take_events(kafka_client *, char **)
    void kafka_failures_free(kafka_failure *)

cdef enum:
    MOST_HEADER_SETS = 64  # of one topic; messages with further ones bring their own lists

cdef bint _loaded = False


def load(str path):
    """Finds librdkafka's functions in the shared object *path*, or in those that it is linked with. Raises OSError or
    AttributeError if they are not there."""
    global _loaded
    if _loaded:
        return
    if sizeof(void *) != 8:
        raise OSError("a message's numbers take a pointer of 64 bits")
    library = ctypes.CDLL(path)
    addresses = [ctypes.cast(getattr(library, kafka_names[index].decode()), ctypes.c_void_p).value
                 for index in range(kafka_name_count)]
    for index, address in enumerate(addresses):
        kafka_set(index, <void *><uintptr_t>address)
    _loaded = True


cdef class NativeProducer:
    """*settings*: librdkafka's. *owner*: a `cdc.kafka.client.Owner`. *failed(code, text, fatal, retriable, abort)*
    makes the exception for an error; an empty *text* stands for librdkafka's own. *message(topic, key, key_bytes,
    value_bytes)* makes what the owner is told of a message that was not delivered.

    Raises what *failed* makes, if librdkafka does not take the settings.
    """

    cdef kafka_client *client
    cdef object failed, message, owner, token
    cdef dict routes, header_sets
    cdef list topics
    cdef readonly Py_ssize_t stopped
    cdef readonly long long size_bytes, full_count

    def __cinit__(self):
        self.client = NULL

    def __init__(self, settings, owner, failed, message):
        assert _loaded and self.client == NULL
        self.failed = failed
        self.message = message
        self.owner = owner
        self.token = object()
        self.routes = {}
        self.header_sets = {}
        self.topics = []
        self.client = kafka_client_new()
        if self.client == NULL:
            raise MemoryError
        cdef char[512] reason
        cdef rd_kafka_conf_t *conf = self.configured({
            **settings, "log.queue": "true", "delivery.report.only.error": "false"})
        cdef int code
        with nogil:
            code = kafka_client_open(self.client, conf, reason, sizeof(reason))
        if code:
            raise failed(code, (<bytes>reason).decode(errors="replace"), False, False, False)

    cdef rd_kafka_conf_t *configured(self, dict settings) except NULL:
        cdef char[512] reason
        cdef rd_kafka_conf_t *conf = kafka_api.conf_new()
        for name in sorted(settings, key=_order):
            if kafka_api.conf_set(conf, name.encode(), str(settings[name]).encode(), reason,
                                  sizeof(reason)) != KAFKA_CONF_OK:
                kafka_api.conf_destroy(conf)
                raise self.failed(KAFKA_ERR_INVALID_ARG, (<bytes>reason).decode(errors="replace"), False, False, False)
        return conf

    def __dealloc__(self):
        if self.client != NULL:
            kafka_forget(self.client, _release)
            with nogil:
                kafka_client_free(self.client)

    def __len__(self):
        return kafka_api.outq_len(self.client.rk)

    # -- sending --------------------------------------------------------------------------------------------------

    def send(self, batch, Py_ssize_t first, ack):
        cdef Py_ssize_t end = len(batch)
        cdef uint32_t delivery, route = KAFKA_NONE
        cdef int code = 0
        cdef kafka_message message
        cdef rd_kafka_headers_t *own
        last_topic = last_table = last_headers = None
        self.stopped = first
        delivery = self.expect(ack, end - first)
        try:
            while self.stopped < end:
                topic, key, value, message.partition, headers, table, message.timestamp_ms = batch[self.stopped]
                message.key_len = _bytes(key, &message.key)
                message.value_len = _bytes(value, &message.value)
                own = NULL
                if topic is not last_topic or table is not last_table or headers is not last_headers:
                    last_topic = None
                    if headers and self.many(topic, table, headers):
                        route = self.route(topic, table, ())
                        if route != KAFKA_NONE:
                            own = _headers(headers)
                    else:
                        route = self.route(topic, table, headers)
                        last_topic, last_table, last_headers = topic, table, headers
                    if route == KAFKA_NONE:
                        break
                code = kafka_produce(self.client, delivery, route, &message, own)
                if code:
                    if own != NULL:
                        kafka_api.headers_destroy(own)
                    break
                if message.value_len != KAFKA_NULL:
                    self.size_bytes += message.value_len
                self.stopped += 1
        finally:
            self.expect_less(ack, delivery, end - self.stopped)
        self.check(code)
        return self.stopped

    def send_batch(self, OutBatch out, Py_ssize_t first, ack):
        cdef Py_ssize_t end = out.count, route_count = len(out.routes)
        cdef uint32_t delivery
        cdef uint64_t value_bytes = 0
        cdef int code = 0
        cdef uint32_t *routes = <uint32_t *>PyMem_Malloc((route_count + 1) * sizeof(uint32_t))
        if routes == NULL:
            raise MemoryError
        self.stopped = first
        try:
            for number in range(route_count):
                routes[number] = self.known(out.routes[number])
            delivery = self.expect(ack, end - first)
            try:
                while True:
                    with nogil:
                        first = kafka_produce_all(self.client, delivery, out.arena.data, out.msgs, first, end, routes,
                                                  &value_bytes, &code)
                    self.stopped = first
                    if code or first == end or not self.learn(out, out.msgs[first].route, routes):
                        break
            finally:
                self.size_bytes += value_bytes
                self.expect_less(ack, delivery, end - self.stopped)
        finally:
            PyMem_Free(routes)
        self.check(code)
        return self.stopped

    cdef uint32_t known(self, Route route):
        """The number that `learn` noted with *route*, or KAFKA_NONE."""
        cache = route.cache
        return cache[1] if type(cache) is tuple and cache[0] is self.token else KAFKA_NONE

    cdef bint learn(self, OutBatch out, uint32_t index, uint32_t *routes) except -1:
        """Finds the route with *index* in *routes*; whether its topic is open."""
        cdef Route route = out.routes[index]
        routes[index] = self.route(route.topic, route.table, route.headers)
        if routes[index] == KAFKA_NONE:
            return False
        route.cache = (self.token, routes[index])
        return True

    cdef uint32_t route(self, topic, table, headers) except? 0xFFFFFFFE:
        """The number of a route; KAFKA_NONE if its topic is not open yet. Raises what the owner's `opened` raises, and
        what `failed` makes."""
        cdef uint32_t number
        cdef rd_kafka_headers_t *made = NULL
        key = (topic, table, tuple(headers))
        found = self.routes.get(key)
        if found is not None:
            return found
        if not self.owner.opened(topic, table):
            return KAFKA_NONE
        name = topic.encode()
        if headers:
            made = _headers(headers)
            self.header_sets[topic] = self.header_sets.get(topic, 0) + 1
        number = kafka_route_add(self.client, name, made)
        if number == KAFKA_NONE:
            if made != NULL:
                kafka_api.headers_destroy(made)
            raise self.failed(kafka_api.last_error(), "", False, False, False)
        self.topics.append(topic)
        self.routes[key] = number
        return number

    cdef bint many(self, topic, table, headers):
        """Whether a route with *headers* would be one too many."""
        return (self.header_sets.get(topic, 0) >= MOST_HEADER_SETS
                and (topic, table, tuple(headers)) not in self.routes)

    cdef uint32_t expect(self, ack, int64_t count) except? 0xFFFFFFFE:
        cdef uint32_t delivery = kafka_delivery_new(self.client, <void *>ack, count)
        if delivery == KAFKA_NONE:
            raise MemoryError
        Py_INCREF(ack)
        return delivery

    cdef expect_less(self, ack, uint32_t delivery, int64_t count):
        if kafka_delivery_shrink(self.client, delivery, count):
            Py_DECREF(ack)

    cdef check(self, int code):
        if code == KAFKA_ERR_QUEUE_FULL:
            self.full_count += 1
        elif code:
            raise self.failed(code, "", code == KAFKA_ERR_FATAL, False, False)

    # -- answers --------------------------------------------------------------------------------------------------

    def poll(self, double timeout):
        cdef int timeout_ms = _milliseconds(timeout)
        with nogil:
            kafka_api.poll(self.client.rk, timeout_ms)
        return self.report()

    def flush(self, double timeout):
        cdef int timeout_ms = _milliseconds(timeout)
        with nogil:
            kafka_api.flush(self.client.rk, timeout_ms)
        self.report()
        return len(self)

    def purge(self):
        with nogil:
            kafka_api.purge(self.client.rk, KAFKA_PURGE_QUEUE | KAFKA_PURGE_INFLIGHT | KAFKA_PURGE_NON_BLOCKING)

    def close(self):
        kafka_forget(self.client, _release)

    cdef report(self):
        """Tells the owner and the acks what callbacks have noted; returns how many answers and notes these are. Raises a
        fatal error, when all are told."""
        cdef kafka_delivery answers
        fatal, told = self.report_events()
        while kafka_take_answers(self.client, &answers):
            told += answers.delivered + answers.failed
            self.answer(&answers)
        if fatal is not None:
            raise fatal
        return told

    cdef report_events(self):
        """A fatal error, or None, and how many notes the owner was told of."""
        cdef char *statistics = NULL
        cdef kafka_event *events = kafka_take_events(self.client, &statistics)
        cdef kafka_event *event
        fatal, told = None, 0
        while events != NULL:
            told += 1
            event = events
            events = event.next
            text = (<bytes>event.text).decode(errors="replace")
            code, is_log, is_fatal = event.code, event.is_log, event.fatal
            free(event)
            if is_log:
                self.owner.on_log(code, text)
            elif is_fatal:
                fatal = self.failed(code, text, True, False, False)
            else:
                self.owner.on_error(self.failed(code, text, False, False, False).args[0])
        if statistics != NULL:
            text = (<bytes>statistics).decode(errors="replace")
            free(statistics)
            self.owner.on_statistics(text)
            told += 1
        return fatal, told

    cdef answer(self, kafka_delivery *answers):
        cdef kafka_failure *failure = answers.failures
        cdef int64_t untold = answers.failed
        if answers.ack == NULL:
            kafka_failures_free(failure)
            return
        ack = <object>answers.ack
        if not answers.open:
            Py_DECREF(ack)
        try:
            if answers.delivered:
                ack.delivered(answers.delivered)
            while failure != NULL:
                untold -= 1
                ack.failed(self.explained(failure))
                failure = failure.next
            for _ in range(untold):
                ack.failed(self.owner.undelivered(self.error(answers.code), self.message("", None, 0, 0)))
        finally:
            kafka_failures_free(answers.failures)

    cdef explained(self, kafka_failure *failure):
        key, key_bytes = None, 0
        if failure.key_len != KAFKA_NULL:
            key_bytes = failure.key_len
            key = PyBytes_FromStringAndSize(failure.key, min(key_bytes, KAFKA_KEY_KEPT))
        value_bytes = 0 if failure.value_len == KAFKA_NULL else failure.value_len
        return self.owner.undelivered(self.error(failure.code),
                                      self.message(self.topics[failure.route], key, key_bytes, value_bytes))

    cdef error(self, int code):
        return self.failed(code, "", code == KAFKA_ERR_FATAL, False, False).args[0]

    # -- brokers and transactions ---------------------------------------------------------------------------------

    def list_topics(self, double timeout):
        """Asks a broker for its cluster, without topics."""
        cdef const rd_kafka_metadata *found = NULL
        cdef int code, timeout_ms = _milliseconds(timeout)
        with nogil:
            code = kafka_api.metadata(self.client.rk, 0, NULL, &found, timeout_ms)
            if found != NULL:
                kafka_api.metadata_destroy(found)
        if code:
            raise self.failed(code, "", False, False, False)

    def init_transactions(self, double timeout):
        cdef rd_kafka_error_t *error
        cdef int timeout_ms = _milliseconds(timeout)
        with nogil:
            error = kafka_api.init_transactions(self.client.rk, timeout_ms)
        self.ended(error)

    def begin_transaction(self):
        cdef rd_kafka_error_t *error
        with nogil:
            error = kafka_api.begin_transaction(self.client.rk)
        self.ended(error)

    def commit_transaction(self):
        cdef rd_kafka_error_t *error
        with nogil:
            error = kafka_api.commit_transaction(self.client.rk, -1)
        self.ended(error)

    def abort_transaction(self, double timeout):
        cdef rd_kafka_error_t *error
        cdef int timeout_ms = _milliseconds(timeout)
        with nogil:
            error = kafka_api.abort_transaction(self.client.rk, timeout_ms)
        self.ended(error)

    cdef ended(self, rd_kafka_error_t *error):
        if error == NULL:
            return
        exc = self.failed(kafka_api.error_code(error), kafka_api.error_string(error).decode(errors="replace"),
                          bool(kafka_api.error_is_fatal(error)), bool(kafka_api.error_is_retriable(error)),
                          bool(kafka_api.error_txn_requires_abort(error)))
        kafka_api.error_destroy(error)
        raise exc


cdef void _release(void *ack) noexcept with gil:
    Py_DECREF(<object>ack)


cdef uint32_t _bytes(object data, const void **at) except? 0xFFFFFFFE:
    """The length of *data*, which may be None, and where it lies."""
    at[0] = NULL
    if data is None:
        return KAFKA_NULL
    if type(data) is not bytes:
        raise TypeError("a key or value is not bytes")
    if PyBytes_GET_SIZE(data) >= 0x7FFFFFFF:
        raise OverflowError("a key or value has 2 GB or more")
    at[0] = PyBytes_AS_STRING(data)
    return <uint32_t>PyBytes_GET_SIZE(data)


cdef rd_kafka_headers_t *_headers(object headers) except NULL:
    cdef rd_kafka_headers_t *made
    cdef const void *at
    pairs = [(name.encode(), value) for name, value in headers]
    made = kafka_api.headers_new(len(pairs))
    try:
        for name, value in pairs:
            size = _bytes(value, &at)
            kafka_api.header_add(made, PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), at,
                                 0 if value is None else <Py_ssize_t>size)
    except BaseException:
        kafka_api.headers_destroy(made)
        raise
    return made


cdef int _milliseconds(double seconds):
    """Rounded up; no time is 0, and less than none waits without limit."""
    if seconds < 0:
        return -1
    return 0x7FFFFFFF if seconds > 2000000 else <int>(seconds * 1000 + 0.999)


def _order(str name):
    """librdkafka takes `debug` and plugins first, so that they see all else."""
    return name != "debug", name != "plugin.library.paths", name
