#include "json.h"

#include "json_text.h"

typedef struct {
    const uint8_t *at, *end;
} avro_t;

static int number(avro_t *in, int64_t *value) {
    uint64_t bits = 0;
    int shift;
    for (shift = 0; shift < 70 && in->at < in->end; shift += 7) {
        uint8_t byte = *in->at++;
        if (shift == 63 && byte > 1) return CDC_REFUSED;
        bits |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            *value = (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
            return CDC_WRITTEN;
        }
    }
    return CDC_REFUSED;
}

static int length(avro_t *in, size_t *size) {
    int64_t value;
    if (number(in, &value) || value < 0 || value > in->end - in->at) return CDC_REFUSED;
    *size = (size_t)value;
    return CDC_WRITTEN;
}

static int floating(cdc_out *out, avro_t *in, int single) {
    double value;
    float narrow;
    size_t size = single ? 4 : 8;
    uint64_t bits = 0;
    if ((size_t)(in->end - in->at) < size) return CDC_REFUSED;
    while (size-- > 0) bits = bits << 8 | in->at[size];
    if (single) {
        uint32_t low = (uint32_t)bits;
        memcpy(&narrow, &low, 4);
        value = narrow;
    } else {
        memcpy(&value, &bits, 8);
    }
    in->at += single ? 4 : 8;
    return cdc_json_float(out, value, single);
}

static int put(cdc_out *out, avro_t *in, const cdc_json_op *ops, uint32_t at);

/* The blocks of an array, up to the empty one. `write_value` writes no block with its size, whose count is negative. */
static int put_items(cdc_out *out, avro_t *in, const cdc_json_op *ops, uint32_t item) {
    int64_t count, left;
    int first = 1;
    cdc_out_byte(out, '[');
    do {
        if (number(in, &count) || count < 0 || count > in->end - in->at) return CDC_REFUSED;
        for (left = count; left > 0; left--, first = 0) {
            if (!first) cdc_out_byte(out, ',');
            if (put(out, in, ops, item)) return CDC_REFUSED;
        }
    } while (count > 0);
    cdc_out_byte(out, ']');
    return CDC_WRITTEN;
}

/* How many bytes *a* and *b*, of which there are *most*, have in common from the first on. */
static size_t in_common(const uint8_t *a, const uint8_t *b, size_t most) {
    size_t at = 0;
    while (most - at >= 8 && memcmp(a + at, b + at, 8) == 0) at += 8;
    while (at < most && a[at] == b[at]) at++;
    return at;
}

/* Where field *index* begins. */
static cdc_json_end begin_of(const cdc_json_kept *kept, uint32_t index) {
    static const cdc_json_end none = {0, 0};
    return index ? kept->ends[index - 1] : none;
}

/* Puts *size* bytes of *data* in place of kept[start..end), and moves what is behind it, up to *all*. */
static void replace(uint8_t *kept, size_t start, size_t end, size_t all, const uint8_t *data, size_t size) {
    if (size != end - start) memmove(kept + start + size, kept + end, all - end);
    memcpy(kept + start, data, size);
}

/* Keeps field *index*, which was read from *avro* and printed as *json*, if there is room and those before it are kept.
   Those behind it stay kept. */
static void keep(cdc_json_kept *kept, uint32_t index, const uint8_t *avro, size_t size, const uint8_t *json,
                 size_t length) {
    cdc_json_end *ends = kept->ends, start, end, all;
    uint32_t at;
    if (index > kept->count) return;
    start = begin_of(kept, index);
    end = index < kept->count ? ends[index] : start;
    all = begin_of(kept, kept->count);
    if (index == CDC_JSON_FIELDS || size > sizeof kept->avro || length > sizeof kept->json
        || all.avro - (end.avro - start.avro) + size > sizeof kept->avro
        || all.json - (end.json - start.json) + length > sizeof kept->json) {
        kept->count = index;
        return;
    }
    replace(kept->avro, start.avro, end.avro, all.avro, avro, size);
    replace(kept->json, start.json, end.json, all.json, json, length);
    if (index == kept->count) ends[kept->count++] = end;
    for (at = index; at < kept->count; at++) {
        ends[at].avro = (uint16_t)(ends[at].avro + size - (end.avro - start.avro));
        ends[at].json = (uint16_t)(ends[at].json + length - (end.json - start.json));
    }
}

/* The fields from `kept->first` on, up to *following*. Those with the same bytes as in the last value are copied: where
   a field ends, its bytes say. */
static int put_again(cdc_out *out, avro_t *in, const cdc_json_op *ops, uint32_t following, cdc_json_kept *kept) {
    uint32_t at = kept->first, index = 0;
    while (at < following) {
        const uint8_t *avro;
        size_t json;
        if (index < kept->count) {
            cdc_json_end start = begin_of(kept, index), end = start;
            size_t left = (size_t)(in->end - in->at), most = begin_of(kept, kept->count).avro - start.avro;
            size_t same = in_common(in->at, kept->avro + start.avro, most < left ? most : left);
            while (index < kept->count && (size_t)(kept->ends[index].avro - start.avro) <= same) {
                end = kept->ends[index++];
                at = ops[at].following;
            }
            cdc_out_raw(out, kept->json + start.json, end.json - start.json);
            in->at += end.avro - start.avro;
            if (at == following) break;
        }
        avro = in->at;
        json = out->size;
        cdc_out_raw(out, ops[at].before, ops[at].before_len);
        if (put(out, in, ops, at) || out->error) return CDC_REFUSED;
        keep(kept, index++, avro, (size_t)(in->at - avro), out->data + json, out->size - json);
        at = ops[at].following;
    }
    return CDC_WRITTEN;
}

static int put(cdc_out *out, avro_t *in, const cdc_json_op *ops, uint32_t at) {
    const cdc_json_op *op = ops + at;
    int64_t value;
    size_t size;
    if (op->null_branch != CDC_NO_BRANCH) {
        if (in->at == in->end) return CDC_REFUSED;
        if (*in->at++ == op->null_branch) {
            cdc_out_raw(out, op->null_data, op->null_len);
            return CDC_WRITTEN;
        }
    }
    switch (op->kind) {
    case CDC_JSON_LONG:
        if (number(in, &value)) return CDC_REFUSED;
        cdc_json_number(out, value);
        return CDC_WRITTEN;
    case CDC_JSON_TEXT:
    case CDC_JSON_BYTES:
        if (length(in, &size)) return CDC_REFUSED;
        (op->kind == CDC_JSON_TEXT ? cdc_json_string : cdc_json_base64)(out, in->at, size);
        in->at += size;
        return CDC_WRITTEN;
    case CDC_JSON_BOOLEAN:
        if (in->at == in->end) return CDC_REFUSED;
        cdc_out_raw(out, *in->at ? "true" : "false", *in->at ? 4 : 5);
        in->at++;
        return CDC_WRITTEN;
    case CDC_JSON_STRUCT:
        cdc_out_byte(out, '{');
        for (at++; at < (op->kept ? op->kept->first : op->following); at = ops[at].following) {
            cdc_out_raw(out, ops[at].before, ops[at].before_len);
            if (put(out, in, ops, at)) return CDC_REFUSED;
        }
        if (op->kept && put_again(out, in, ops, op->following, op->kept)) return CDC_REFUSED;
        cdc_out_byte(out, '}');
        return CDC_WRITTEN;
    case CDC_JSON_DOUBLE: return floating(out, in, 0);
    case CDC_JSON_FLOAT: return floating(out, in, 1);
    case CDC_JSON_ARRAY: return put_items(out, in, ops, at + 1);
    default: return CDC_REFUSED;
    }
}

int cdc_json(cdc_out *out, const uint8_t *avro, size_t size, const cdc_json_form *form) {
    size_t start = out->size;
    avro_t in;
    in.at = avro;
    in.end = avro + size;
    cdc_out_raw(out, form->before, form->before_len);
    if (put(out, &in, form->ops, 0) == CDC_WRITTEN && in.at == in.end) {
        cdc_out_raw(out, form->after, form->after_len);
        return CDC_WRITTEN;
    }
    out->size = start;
    return CDC_REFUSED;
}
