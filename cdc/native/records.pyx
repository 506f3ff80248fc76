"""A batch of changes as C arrays, the plans by which C encodes them, and the records that others see of it."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

from cdc.native.batch cimport CDC_NULL, CDC_OK, CDC_TOO_LARGE, OutBatch, cdc_out_raw

from cdc.core.avro import Writer
from cdc.core.errors import NoValue
from cdc.core.record import Record
from cdc.core.row import Row

OPS = {
    "text": CDC_OP_TEXT, "decimal": CDC_OP_DECIMAL,
    "pg_integer": CDC_OP_PG_INTEGER, "pg_boolean": CDC_OP_PG_BOOLEAN, "pg_float": CDC_OP_PG_FLOAT,
    "pg_bytea": CDC_OP_PG_BYTEA, "pg_date": CDC_OP_PG_DATE, "pg_time": CDC_OP_PG_TIME,
    "pg_timestamp": CDC_OP_PG_TIMESTAMP, "pg_timestamptz": CDC_OP_PG_TIMESTAMPTZ,
    "pg_variable_decimal": CDC_OP_PG_VARIABLE_DECIMAL, "pg_numeric_text": CDC_OP_PG_NUMERIC_TEXT,
    "pg_numeric_double": CDC_OP_PG_NUMERIC_DOUBLE,
    "mysql_int": CDC_OP_MYSQL_INT, "mysql_bool": CDC_OP_MYSQL_BOOL,
    "mysql_unsigned_decimal": CDC_OP_MYSQL_UNSIGNED_DECIMAL, "mysql_float": CDC_OP_MYSQL_FLOAT,
    "mysql_decimal": CDC_OP_MYSQL_DECIMAL, "mysql_decimal_text": CDC_OP_MYSQL_DECIMAL_TEXT,
    "mysql_decimal_double": CDC_OP_MYSQL_DECIMAL_DOUBLE, "mysql_bytes": CDC_OP_MYSQL_BYTES,
    "mysql_bit": CDC_OP_MYSQL_BIT, "mysql_bits": CDC_OP_MYSQL_BITS, "mysql_date": CDC_OP_MYSQL_DATE,
    "mysql_time": CDC_OP_MYSQL_TIME, "mysql_datetime": CDC_OP_MYSQL_DATETIME,
    "mysql_timestamp": CDC_OP_MYSQL_TIMESTAMP, "mysql_year": CDC_OP_MYSQL_YEAR, "mysql_enum": CDC_OP_MYSQL_ENUM,
    "mysql_set": CDC_OP_MYSQL_SET, "mysql_charset": CDC_OP_MYSQL_CHARSET, "mysql_vector": CDC_OP_MYSQL_VECTOR,
    "mysql_text_int": CDC_OP_MYSQL_TEXT_INT, "mysql_text_bool": CDC_OP_MYSQL_TEXT_BOOL,
    "mysql_text_date": CDC_OP_MYSQL_TEXT_DATE, "mysql_text_time": CDC_OP_MYSQL_TEXT_TIME,
    "mysql_text_datetime": CDC_OP_MYSQL_TEXT_DATETIME, "mysql_text_timestamp": CDC_OP_MYSQL_TEXT_TIMESTAMP,
    "mysql_text_year": CDC_OP_MYSQL_TEXT_YEAR, "mysql_text_enum": CDC_OP_MYSQL_TEXT_ENUM,
    "mysql_text_set": CDC_OP_MYSQL_TEXT_SET,
}
"""The codecs that C has, by the name that `cdc/codecs/native.py` uses."""

FIELDS = {
    "ts_ms": CDC_FIELD_TS_MS, "ts_us": CDC_FIELD_TS_US, "ts_ns": CDC_FIELD_TS_NS, "xid": CDC_FIELD_XID,
    "lsn": CDC_FIELD_LSN, "pg_sequence": CDC_FIELD_PG_SEQUENCE, "mysql_server_id": CDC_FIELD_MYSQL_SERVER_ID,
    "mysql_gtid": CDC_FIELD_MYSQL_GTID, "mysql_file": CDC_FIELD_MYSQL_FILE, "mysql_pos": CDC_FIELD_MYSQL_POS,
    "mysql_row": CDC_FIELD_MYSQL_ROW, "mysql_thread": CDC_FIELD_MYSQL_THREAD, "mysql_query": CDC_FIELD_MYSQL_QUERY,
    "clock_ms": CDC_FIELD_CLOCK_MS, "clock_us": CDC_FIELD_CLOCK_US, "clock_ns": CDC_FIELD_CLOCK_NS,
    "block_id": CDC_FIELD_BLOCK_ID, "block_order": CDC_FIELD_BLOCK_ORDER,
    "block_table_order": CDC_FIELD_BLOCK_TABLE_ORDER,
}
"""The fields of a source block that C writes, by the name that a source gives them; the connector's clock; and the
fields of the transaction block."""

IMAGES = {"envelope": CDC_IMAGE_ENVELOPE, "before": CDC_IMAGE_BEFORE, "after": CDC_IMAGE_AFTER, "null": CDC_IMAGE_NULL,
          "transaction": CDC_IMAGE_TRANSACTION}
"""What a value is, by the name that `core.outcome.Outcome` has for it; and a message of transaction metadata."""

cdef enum:
    TEXT_FORM = 4
    BINARY_FORM = 5

cdef list _writers = []  # those that no call uses now; several tasks of a process may encode at once
cdef uint64_t _batches = 0


cdef int python_codec(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) noexcept with gil:
    """Has the Python codec write the value; refuses if that raises another error than NoValue."""
    try:
        writer = _writers.pop() if _writers else Writer()
        (<object>op.object).encode(writer, PyBytes_FromStringAndSize(<const char *>p, n), 0, n)
        written = <bytes>writer.take()
        _writers.append(writer)
    except NoValue:
        return CDC_NO_VALUE
    except Exception:
        return CDC_REFUSED
    cdc_out_raw(out, PyBytes_AS_STRING(written), PyBytes_GET_SIZE(written))
    return CDC_WRITTEN


KINDS = {"": CDC_JSON_OTHER, "long": CDC_JSON_LONG, "text": CDC_JSON_TEXT, "boolean": CDC_JSON_BOOLEAN,
         "bytes": CDC_JSON_BYTES, "struct": CDC_JSON_STRUCT, "double": CDC_JSON_DOUBLE, "float": CDC_JSON_FLOAT,
         "array": CDC_JSON_ARRAY}
"""How C prints a value, by the name that `JsonPrinter.native_form` gives it."""


cdef struct printer_t:
    cdc_json_form form  # without `ops`: it is not C that prints
    void *other         # the AvroPrinter


cdef class Printer:
    """A `core.interfaces.AvroPrinter`, and the same in C if that is JSON. For one thread.

    `uses_python`: C may leave values to it.
    """

    cdef printer_t c
    cdef list kept
    cdef cdc_json_op *ops
    cdef Py_ssize_t count
    cdef readonly bint uses_python

    def __init__(self, other):
        self.kept = [other]
        self.c.other = <void *>other
        cdef cdc_json_op *op
        describe = getattr(other, "native_form", None)
        self.uses_python = describe is None
        if describe is None:
            return
        before, after, ops = describe()
        self.kept += [before, after, ops]
        self.ops = <cdc_json_op *>calloc(len(ops), sizeof(cdc_json_op))
        if self.ops == NULL:
            raise MemoryError
        self.count = len(ops)
        for at, (kind, field, branch, null, following) in enumerate(ops):
            op = self.ops + <Py_ssize_t>at
            op.kind, op.following = KINDS[kind], following
            op.null_branch = CDC_NO_BRANCH if branch < 0 else branch
            op.before, op.before_len = <const uint8_t *>PyBytes_AS_STRING(field), PyBytes_GET_SIZE(field)
            op.null_data, op.null_len = <const uint8_t *>PyBytes_AS_STRING(null), PyBytes_GET_SIZE(null)
            if op.kind == CDC_JSON_OTHER:
                self.uses_python = True
        self.c.form.before = <const uint8_t *>PyBytes_AS_STRING(before)
        self.c.form.before_len = PyBytes_GET_SIZE(before)
        self.c.form.after, self.c.form.after_len = <const uint8_t *>PyBytes_AS_STRING(after), PyBytes_GET_SIZE(after)
        self.c.form.ops = self.ops
        if self.ops.kind == CDC_JSON_STRUCT:
            self.keep_fields()

    cdef keep_fields(self):
        """Has the fields kept that differ little from value to value: those of the struct that each value has, which is
        an envelope's `source`, and those behind it."""
        cdef uint32_t at = 1
        while at < self.ops.following:
            if self.ops[at].kind == CDC_JSON_STRUCT and self.ops[at].null_branch == CDC_NO_BRANCH:
                self.ops[at].kept = kept_from(at + 1)
                self.ops.kept = kept_from(self.ops[at].following)
                return
            at = self.ops[at].following

    def __dealloc__(self):
        for at in range(self.count):
            free(self.ops[at].kept)
        free(self.ops)


cdef cdc_json_kept *kept_from(uint32_t first) except NULL:
    cdef cdc_json_kept *found = <cdc_json_kept *>calloc(1, sizeof(cdc_json_kept))
    if found == NULL:
        raise MemoryError
    found.first = first
    return found


cdef int printed(cdc_out *out, const uint8_t *avro, size_t size, void *printer) noexcept nogil:
    """Adds what the printer makes of one value. Refuses if it raises."""
    cdef printer_t *c = <printer_t *>printer
    if c.form.ops != NULL and cdc_json(out, avro, size, &c.form) == CDC_WRITTEN:
        return CDC_WRITTEN
    if out.error != CDC_OK:
        return CDC_REFUSED
    return printed_in_python(out, avro, size, c.other)


cdef int printed_in_python(cdc_out *out, const uint8_t *avro, size_t size, void *printer) noexcept with gil:
    try:
        made = <bytes>(<object>printer).printed(PyBytes_FromStringAndSize(<const char *>avro, size))
    except Exception:
        return CDC_REFUSED
    cdc_out_raw(out, PyBytes_AS_STRING(made), PyBytes_GET_SIZE(made))
    return CDC_WRITTEN


cdef class Plan:
    """How C writes keys and values of one table, or of its records with one op.

    *columns*, *keys*: for each column `(index, branch, null, unchanged, text, binary)`: ready bytes for a null and for a
    value that the log left out, or None; then for each wire format None, a Python codec, or a tuple of the name in `OPS`
    and its parameters (numbers, or bytes for its table). *keys* is None if the records have no key. *pieces*: the bytes
    of the source block around its own fields, or of what follows a row that is the whole value. *fields*: for each field
    its name in `FIELDS`, and whether it is optional. *image*: as in `IMAGES`. *null*: the bytes of a value that is null;
    None for Kafka's null. *print_key*, *print_value*: an AvroPrinter for each, or None.

    `uses_python`: Python may have a part in each message.
    """

    def __init__(self, bytes key_prefix, bytes key_tail, bytes value_prefix, list columns, list keys, list pieces,
                 list fields, str image="envelope", bytes null=None, print_key=None, print_value=None):
        self.kept = []
        self.c.print = printed
        self.c.print_key = self.printer(print_key)
        self.c.print_value = self.printer(print_value)
        self.c.image = IMAGES[image]
        if null is not None:
            self.c.null = self.keep(null)
            self.c.has_null = 1
        self.c.has_key = keys is not None
        self.c.key_prefix = self.keep(key_prefix)
        self.c.key_tail = self.keep(key_tail)
        self.c.value_prefix = self.keep(value_prefix)
        self.c.text = self.operations(columns, TEXT_FORM)
        self.c.binary = self.operations(columns, BINARY_FORM)
        self.c.column_count = len(columns)
        if keys is not None:
            self.c.key_text = self.operations(keys, TEXT_FORM)
            self.c.key_binary = self.operations(keys, BINARY_FORM)
            self.c.key_count = len(keys)
            for index in range(self.c.key_count):
                self.c.key_text[index].as_key = self.c.key_binary[index].as_key = 1
        self.c.pieces = <cdc_bytes *>calloc(len(pieces) + 1, sizeof(cdc_bytes))
        self.c.fields = <cdc_field *>calloc(len(fields) + 1, sizeof(cdc_field))
        if self.c.pieces == NULL or self.c.fields == NULL:
            raise MemoryError
        if len(pieces) != len(fields) + 1:
            raise ValueError("one piece more than fields is needed")
        for index, piece in enumerate(pieces):
            self.c.pieces[index] = self.keep(piece)
        for index, (name, optional) in enumerate(fields):
            self.c.fields[index].number = FIELDS[name]
            self.c.fields[index].optional = optional
        self.c.field_count = len(fields)

    def __dealloc__(self):
        free(self.c.text)
        free(self.c.binary)
        free(self.c.key_text)
        free(self.c.key_binary)
        free(self.c.pieces)
        free(self.c.fields)

    cdef void *printer(self, other) except? NULL:
        if other is None:
            return NULL
        cdef Printer made = Printer(other)
        self.kept.append(made)
        self.uses_python = self.uses_python or made.uses_python
        return <void *>&made.c

    cdef cdc_bytes keep(self, bytes data) except *:
        cdef cdc_bytes found
        self.kept.append(data)
        found.data = <const uint8_t *>PyBytes_AS_STRING(data)
        found.size = PyBytes_GET_SIZE(data)
        return found

    cdef cdc_colop *operations(self, list columns, int form) except? NULL:
        cdef cdc_colop *found = <cdc_colop *>calloc(len(columns) + 1, sizeof(cdc_colop))
        cdef cdc_colop *op
        cdef cdc_bytes ready
        if found == NULL:
            raise MemoryError
        for at, column in enumerate(columns):
            op = found + <Py_ssize_t>at
            op.index = column[0]
            op.branch = column[1]
            ready = self.keep(column[2])
            op.null_data, op.null_len = ready.data, ready.size
            op.unchanged_len = CDC_NULL
            if column[3] is not None:
                ready = self.keep(column[3])
                op.unchanged, op.unchanged_len = ready.data, ready.size
            codec = column[form]
            if isinstance(codec, tuple):
                op.codec = cdc_codec_of(OPS[codec[0]])
                for number, parameter in enumerate(codec[1:]):
                    if isinstance(parameter, bytes):
                        op.data = self.keep(parameter).data
                    else:
                        op.params[<int>number] = parameter
            elif codec is not None:
                self.kept.append(codec)
                op.codec = python_codec
                op.object = <void *>codec
                self.uses_python = True
        return found


def written(tuple codec, bytes data):
    """What C writes for the bytes of one value: the Avro bytes; None if it refuses, "" if they are no value. *codec*:
    its name in `OPS` and its parameters."""
    cdef Plan plan = Plan(b"", b"", b"", [(0, CDC_NO_BRANCH, b"", None, codec, None)], None, [b""], [])
    cdef cdc_out out
    cdef int outcome
    memset(&out, 0, sizeof(out))
    outcome = plan.c.text.codec(&out, <const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), plan.c.text)
    try:
        if out.error != CDC_OK:
            raise MemoryError
        if outcome == CDC_WRITTEN:
            return PyBytes_FromStringAndSize(<const char *>out.data, out.size)
        return "" if outcome == CDC_NO_VALUE else None
    finally:
        free(out.data)


def printed_json(printer, *values):
    """The JSON of each of *values* as C prints it in place of *printer*, an `avro_json.JsonPrinter`; None where it
    refuses."""
    cdef Printer made = Printer(printer)
    cdef cdc_out out
    memset(&out, 0, sizeof(out))
    found = []
    try:
        for avro in values:
            out.size = 0
            if made.c.form.ops != NULL and cdc_json(&out, <const uint8_t *>PyBytes_AS_STRING(avro),
                                                    PyBytes_GET_SIZE(avro), &made.c.form) == CDC_WRITTEN:
                found.append(PyBytes_FromStringAndSize(<const char *>out.data, out.size))
            else:
                found.append(None)
            if out.error != CDC_OK:
                raise MemoryError
        return found
    finally:
        free(out.data)


cdef class Table:
    """A table as the log describes it. *state* is the source's; `cache` belongs to whoever encodes.

    *template*: a SourceContext whose varying fields are those that *fields* names, as `FIELDS` does. The messages of
    transaction metadata have a table as well: its *schema* is a `core.record.MessageKind`, and its *state* makes them
    (`transaction_begin` and `transaction_end`, as of `SourceBlockBase`).
    """

    def __init__(self, schema, template, tuple fields, state):
        self.schema = schema
        self.template = template
        self.fields = fields
        self.state = state


cdef class Tables:
    """The tables that records refer to by number. It only grows."""

    def __cinit__(self):
        self.items = []
        self.none.none = 1
        self.dropped.dropped = 1

    def __dealloc__(self):
        free(self.plans)

    def __len__(self):
        return len(self.items)

    cdef Py_ssize_t add(self, Table table) except -1:
        cdef Py_ssize_t number = len(self.items)
        cdef cdc_plan **grown
        if number == self.capacity:
            grown = <cdc_plan **>realloc(self.plans, (number * 2 + 16) * CDC_SLOTS * sizeof(cdc_plan *))
            if grown == NULL:
                raise MemoryError
            self.plans = grown
            self.capacity = number * 2 + 16
        memset(self.plans + number * CDC_SLOTS, 0, CDC_SLOTS * sizeof(cdc_plan *))
        self.items.append(table)
        return number


cdef class RecordBatch:
    """Records in order: as C arrays, and those that only Python could read as objects among them.

    To others it is a sequence of records, each made when it is asked for; it keeps the frames' bytes as long as it lives.
    *frames*: a list of bytes, or `Frames`. *make_context(state, time_us, xid)* returns the SourceContext of a table's
    changes in one transaction.
    """

    def __init__(self, Tables tables, frames, make_context):
        self.tables = tables
        if isinstance(frames, Frames):
            self.read_frames = frames
        else:
            self.frame_list = <list?>frames
        self.make_context = make_context
        self.foreign = []
        self.more = []
        self.contexts = {}

    def __dealloc__(self):
        cdc_records_free(&self.records)
        free(self.frames)

    def __len__(self):
        return self.records.rec_count

    def __getitem__(self, Py_ssize_t index):
        if index < 0:
            index += self.records.rec_count
        if index < 0 or index >= self.records.rec_count:
            raise IndexError("no such record")
        return self.view(index)

    def __iter__(self):
        for index in range(self.records.rec_count):
            yield self.view(index)

    def append(self, record):
        """Adds a Record or a Message behind all others."""
        self.add_foreign(record)

    def foreign_count(self):
        """How many of the records are Python objects."""
        return len(self.foreign)

    cdef Py_ssize_t load_frames(self, Py_ssize_t start, Py_ssize_t most) except -1:
        """Has C see at most *most* frames from *start* on, which is never before an earlier one; returns how many these
        are."""
        cdef Py_ssize_t count, at
        cdef cdc_frame *grown
        if self.read_frames is not None:
            self.records.frames = self.read_frames.c if self.frames == NULL else self.frames
            return min(self.read_frames.count - start, most)
        count = min(len(self.frame_list) - start, most)
        if start + count > self.frame_capacity:
            grown = <cdc_frame *>realloc(self.frames, 2 * (start + count) * sizeof(cdc_frame))
            if grown == NULL:
                raise MemoryError
            self.frames = grown
            self.frame_capacity = 2 * (start + count)
        for at in range(max(0, self.loaded - start), count):
            frame = <bytes?>self.frame_list[start + at]
            if PyBytes_GET_SIZE(frame) > 0x7FFFFFFF:
                count = at
                break
            self.frames[start + at].data = <const uint8_t *>PyBytes_AS_STRING(frame)
            self.frames[start + at].size = PyBytes_GET_SIZE(frame)
        self.loaded = max(self.loaded, start + count)
        self.records.frames = self.frames
        return count

    cdef Py_ssize_t own_frames(self):
        """How many frames the batch was made for; those that `add_frames` adds are behind them."""
        return len(self.frame_list) if self.read_frames is None else self.read_frames.count

    cdef Py_ssize_t add_frames(self, list frames) except -1:
        """Adds *frames*, which are bytes, and has C see them; returns the number of the first. The list of those that
        the batch was made for may not grow any more."""
        cdef Py_ssize_t own = self.own_frames(), first = own + len(self.more), at
        cdef cdc_frame *grown
        for frame in frames:
            if PyBytes_GET_SIZE(<bytes?>frame) > 0x7FFFFFFF:
                raise OverflowError("a frame has 2 GB or more")
        if self.frames == NULL or first + len(frames) > self.frame_capacity:
            grown = <cdc_frame *>realloc(self.frames, 2 * (first + len(frames) + 1) * sizeof(cdc_frame))
            if grown == NULL:
                raise MemoryError
            if self.frames == NULL and self.read_frames is not None:
                memcpy(grown, self.read_frames.c, own * sizeof(cdc_frame))
            self.frames = grown
            self.frame_capacity = 2 * (first + len(frames) + 1)
        for at in range(len(frames)):
            frame = <bytes>frames[at]
            self.frames[first + at].data = <const uint8_t *>PyBytes_AS_STRING(frame)
            self.frames[first + at].size = PyBytes_GET_SIZE(frame)
        self.more.extend(frames)
        self.records.frames = self.frames
        return first

    cdef add_foreign(self, record):
        cdef cdc_rec *rec
        if cdc_records_room(&self.records, 1, 0, 0) != CDC_OK:
            raise MemoryError
        rec = self.records.recs + self.records.rec_count
        rec.op = CDC_FOREIGN
        rec.lsn = len(self.foreign)
        self.foreign.append(record)
        self.records.rec_count += 1

    cdef bytes frame_of(self, cdc_rec *rec):
        """The bytes that the record's cells refer to."""
        cdef const cdc_frame *frame = self.records.frames + rec.frame
        cdef Py_ssize_t own = self.own_frames()
        given = None
        if rec.frame >= own:
            given = <bytes>self.more[rec.frame - own]
        elif self.frame_list is not None:
            given = <bytes>self.frame_list[rec.frame]
        if given is not None and frame.data == <const uint8_t *>PyBytes_AS_STRING(given):
            return given
        return PyBytes_FromStringAndSize(<const char *>frame.data, frame.size)

    cdef row(self, bytes data, cdc_rec *rec, uint32_t first):
        if first == CDC_NO_ROW:
            return None
        made = Row(data, rec.columns)
        for index in range(rec.columns):
            made.put(index, self.records.kinds[first + index], self.records.cells[first + index].start,
                     self.records.cells[first + index].end)
        return made

    cdef str transaction_id(self, cdc_rec *rec):
        cdef cdc_tx *tx = self.records.txs + rec.tx
        if tx.id.data != NULL:
            return tx.id.data[:tx.id.size].decode()
        return f"{tx.xid}:{<long long>rec.lsn}"

    cdef tuple block(self, cdc_rec *rec):
        """The transaction block of a record; None if it has none."""
        if rec.order == 0 or rec.op == CDC_TOMBSTONE:
            return None
        return self.transaction_id(rec), rec.order, rec.table_order

    cdef transaction(self, cdc_rec *rec):
        """The message of a transaction's beginning or end."""
        cdef cdc_tx *tx = self.records.txs + rec.tx
        source = (<Table>self.tables.items[rec.table]).state
        if rec.op == CDC_TX_BEGIN:
            return source.transaction_begin(self.transaction_id(rec), tx.time_us)
        counts = avro_counts(PyBytes_FromStringAndSize(<const char *>tx.counts.data, tx.counts.size))
        return source.transaction_end(self.transaction_id(rec), tx.time_us, counts)

    cdef view(self, Py_ssize_t index):
        """Record *index* as the Python reader would have made it."""
        cdef cdc_rec *rec = self.records.recs + index
        cdef cdc_tx *tx
        if rec.op == CDC_FOREIGN:
            return self.foreign[rec.lsn]
        if rec.op == CDC_TX_BEGIN or rec.op == CDC_TX_END:
            return self.transaction(rec)
        data = self.frame_of(rec)
        table = <Table>self.tables.items[rec.table]
        before, after = self.row(data, rec, rec.before), self.row(data, rec, rec.after)
        if not table.fields:
            return Record(chr(rec.op), table.schema, before, after, after, table.template, ())
        tx = self.records.txs + rec.tx
        place = (rec.tx, rec.table)
        context = self.contexts.get(place)
        if context is None:
            context = self.contexts[place] = self.make_context(table.state, tx.time_us, tx.xid)
        values = (f'{tx.head[:tx.head_len].decode("ascii")}{rec.lsn}"]', <long long>rec.lsn)
        op = "" if rec.op == CDC_TOMBSTONE else chr(rec.op)
        hidden = rec.flags & CDC_BEFORE_HIDDEN
        record = Record(op, table.schema, None if hidden else before, after, after if after is not None else before,
                        context, values, self.block(rec))
        if hidden:
            record.other = before
        return record


def avro_counts(bytes data):
    """Tables and their numbers of events, by what C has written (`cdc_tx.counts`)."""
    found = {}
    at = 0

    def number():
        nonlocal at
        bits = shift = 0
        while True:
            byte = data[at]
            at += 1
            bits |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return bits >> 1

    for _ in range(number()):
        at += 1
        size = number()
        name = data[at:at + size].decode()
        at += size
        found[name] = number()
    return found


DROPPED = object()
"""In place of a plan: no record becomes a message."""


def encode(RecordBatch batch, plan_of, convert, bytes ending, long long now_us, bint tolerant, bint by_op=False):
    """The records of *batch* as an OutBatch, in order.

    *plan_of(table, op)* gives a Plan, DROPPED, or None if the records are not for C; and the topic, the table's name and
    the headers. *op* is "" for a tombstone, and None unless *by_op*: the plan is then for all ops.
    *convert(record)* gives the Outgoings of a record that C refuses, or None if it failed: then, unless *tolerant*, the
    records before it are all. *ending*: the end of each envelope. Raises what these two raise, and MemoryError.

    Other threads run meanwhile, unless Python has a part in each message: to hand the GIL over for each would cost more
    than the message.
    """
    global _batches
    cdef OutBatch out = OutBatch()
    cdef OutBatch avro = OutBatch()  # what is printed passes through its arena
    cdef Tables tables = batch.tables
    cdef uint32_t following = 0, made
    cdef cdc_rec *rec
    cdef cdc_clock clock
    cdef int outcome
    cdef bint uses_python = False
    cdef uint64_t this_batch
    _batches += 1
    this_batch = _batches
    clock.now_us = now_us
    clock.ending.data = <const uint8_t *>PyBytes_AS_STRING(ending)
    clock.ending.size = PyBytes_GET_SIZE(ending)
    out.reserve(batch.records.rec_count)
    while True:
        made = out.count
        if uses_python:
            outcome = cdc_encode(&batch.records, tables.plans, this_batch, clock, &out.arena, &avro.arena, out.msgs,
                                 &following, &made)
        else:
            with nogil:
                outcome = cdc_encode(&batch.records, tables.plans, this_batch, clock, &out.arena, &avro.arena, out.msgs,
                                     &following, &made)
        out.count = made
        if outcome == CDC_ENCODED:
            return out
        if outcome == CDC_NEEDS_MEMORY:
            out.check()
        elif outcome == CDC_NEEDS_PYTHON:
            outgoings = convert(batch.view(following))
            following += 1
            if outgoings is None and not tolerant:
                return out
            for outgoing in outgoings or ():
                out.append(outgoing)
            out.reserve(out.count + batch.records.rec_count - following)
        else:
            rec = batch.records.recs + following
            op = None if not by_op else "" if rec.op == CDC_TOMBSTONE else chr(rec.op)
            plan, topic, name, headers = plan_of(<Table>tables.items[rec.table], op)
            uses_python = uses_python or (isinstance(plan, Plan) and (<Plan>plan).uses_python)
            set_plan(tables, rec, by_op, plan, this_batch, 0 if plan is None or plan is DROPPED
                     else out.add_route(topic, name, headers))


cdef set_plan(Tables tables, cdc_rec *rec, bint by_op, plan, uint64_t batch, uint32_t route):
    cdef cdc_plan *c
    cdef cdc_plan **place = tables.plans + <size_t>rec.table * CDC_SLOTS
    cdef int slot
    if plan is None:
        c = &tables.none
    elif plan is DROPPED:
        c = &tables.dropped
    else:
        c = &(<Plan>plan).c
    c.batch, c.route = batch, route
    for slot in range(CDC_SLOTS):
        if not by_op or slot == <int>cdc_slot(rec.op):
            place[slot] = c
