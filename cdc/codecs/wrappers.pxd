from cdc.core.avro cimport Writer, write_value
from cdc.core.codec cimport Codec

cdef class ConstantCodec(Codec):
    cdef readonly object constant
    cdef readonly bytes avro

cdef class MappingCodec(Codec):
    cdef readonly Codec codec
    cdef readonly object mapping

cdef class ConvertedCodec(MappingCodec):
    pass
