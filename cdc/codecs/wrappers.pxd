from cdc.core.codec cimport Codec, Writer, write_value

cdef class ConstantCodec(Codec):
    cdef readonly object constant
    cdef readonly bytes avro

cdef class MappingCodec(Codec):
    cdef readonly Codec codec
    cdef readonly object mapping
