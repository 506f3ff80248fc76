"""The frames of a log without a Python object for each: C reads them into a `Block`, and takes them from `Frames`.

To others both are sequences of bytes, each made when it is asked for.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

cdef enum:
    MOST_BYTES = 0x7FFFFFFF  # of a frame, as libpq has it


cdef class Block:
    """Frames in one piece of memory. Nothing is added any more once it is in `Frames`."""

    def __init__(self, frames=()):
        for each in frames:
            self.add(each)

    def __dealloc__(self):
        cdc_block_free(&self.c)

    cdef add(self, bytes frame):
        cdef uint8_t *to
        if PyBytes_GET_SIZE(frame) > MOST_BYTES:
            raise OverflowError("a frame has 2 GB or more")
        to = cdc_block_add(&self.c, PyBytes_GET_SIZE(frame))
        if to == NULL:
            raise MemoryError
        memcpy(to, PyBytes_AS_STRING(frame), PyBytes_GET_SIZE(frame))

    def __len__(self):
        return self.c.count

    def __getitem__(self, index):
        """A frame; or a list of frames, for a slice."""
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        cdef Py_ssize_t at = index
        if at < 0:
            at += self.c.count
        if at < 0 or at >= self.c.count:
            raise IndexError("no such frame")
        return PyBytes_FromStringAndSize(<const char *>self.c.data + self.c.starts[at], cdc_block_size(&self.c, at))

    @property
    def size_bytes(self):
        return self.c.size


cdef class Frames:
    """The frames of several blocks, one after the other."""

    def __init__(self, blocks):
        cdef Block block
        self.blocks = tuple(blocks)
        for block in self.blocks:
            self.count += block.c.count
        self.c = <cdc_frame *>malloc(self.count * sizeof(cdc_frame) + 1)
        if self.c == NULL:
            raise MemoryError
        self.count = 0
        for block in self.blocks:
            cdc_block_list(&block.c, self.c + self.count)
            self.count += block.c.count

    def __dealloc__(self):
        free(self.c)

    def __len__(self):
        return self.count

    def __getitem__(self, Py_ssize_t index):
        if index < 0:
            index += self.count
        if index < 0 or index >= self.count:
            raise IndexError("no such frame")
        return PyBytes_FromStringAndSize(<const char *>self.c[index].data, self.c[index].size)
