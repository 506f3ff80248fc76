#include "mysql_rows.h"

#include "codec.h"

/* *lacking*: the kind of a column that the image does not have. */
static int read_image(const cdc_mysql_layout *layout, const uint8_t *present, uint32_t present_count, uint8_t lacking,
                      const cdc_mysql_event *event, size_t *at, uint8_t *kinds, cdc_cell *cells) {
    const uint8_t *data = event->data;
    size_t nulls = *at, pos = nulls + ((present_count + 7) >> 3), end = event->end;
    int every = present_count == layout->width;
    uint32_t bit = 0;
    if (pos > end) return CDC_REFUSED;
    for (uint32_t index = 0; index < layout->width; index++) {
        size_t length = layout->sizes[index], prefix = layout->prefixes[index];
        kinds[index] = lacking;
        cells[index].start = cells[index].end = 0;
        if (!every && !(present[index >> 3] >> (index & 7) & 1)) continue;
        kinds[index] = CDC_KIND_NULL;
        bit++;
        if (data[nulls + ((bit - 1) >> 3)] >> ((bit - 1) & 7) & 1) continue;
        if (prefix) {
            if (prefix > end - pos) return CDC_REFUSED;
            length = 0;
            for (size_t i = prefix; i-- > 0;) length = length << 8 | data[pos + i];
            pos += prefix;
        }
        if (length > end - pos) return CDC_REFUSED;
        kinds[index] = CDC_KIND_BINARY;
        cells[index].start = (uint32_t)pos;
        pos += length;
        cells[index].end = (uint32_t)pos;
    }
    if (pos == *at) return CDC_REFUSED; /* images of no bytes would never end */
    *at = pos;
    return CDC_WRITTEN;
}

static int read_row(const cdc_mysql_layout *layout, const cdc_mysql_event *event, size_t *at, uint8_t *kinds,
                    cdc_cell *cells) {
    uint32_t second = event->before_present ? layout->width : 0;
    if (event->before_present
        && read_image(layout, event->before_present, event->before_count, CDC_KIND_ABSENT, event, at, kinds, cells))
        return CDC_REFUSED;
    if (event->after_present
        && read_image(layout, event->after_present, event->after_count, CDC_KIND_UNCHANGED, event, at, kinds + second,
                      cells + second))
        return CDC_REFUSED;
    return CDC_WRITTEN;
}

/* Whether all columns at *index* are the same in both images. A column that an image lacks is the same, unless it is
   *strict* about old ones: as `Emitter.same` is, and `Emitter.key_differs` is not. */
static int same(const cdc_mysql_layout *layout, const uint32_t *index, uint32_t count, int strict, const uint8_t *data,
                cdc_mysql_images images) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t before = index[i], after = before + layout->width;
        const cdc_cell *old = images.cells + before, *new = images.cells + after;
        if (images.kinds[before] == CDC_KIND_ABSENT && strict) return 0;
        if (images.kinds[before] == CDC_KIND_ABSENT || images.kinds[after] == CDC_KIND_UNCHANGED) continue;
        if (images.kinds[before] != images.kinds[after]) return 0;
        if (images.kinds[before] == CDC_KIND_BINARY
            && (old->end - old->start != new->end - new->start
                || memcmp(data + old->start, data + new->start, old->end - old->start) != 0))
            return 0;
    }
    return 1;
}

static int has(const uint8_t *present, uint32_t index) { return present && present[index >> 3] >> (index & 7) & 1; }

/* Whether one of the images has each of the key's columns. Where there is no old one, the key may have a default. */
static int has_key(const cdc_mysql_event *event, const cdc_mysql_key *key) {
    if (event->before_present)
        for (uint32_t i = 0; i < key->count; i++)
            if (!has(event->before_present, key->index[i]) && !has(event->after_present, key->index[i])) return 0;
    return 1;
}

uint32_t cdc_mysql_plain_rows(const cdc_mysql_layout *layout, const cdc_mysql_event *event, const cdc_mysql_key *key,
                              size_t *at, cdc_mysql_images images) {
    uint32_t count = 0;
    size_t pos = *at;
    int both = event->before_present && event->after_present;
    if (event->end > INT32_MAX || !has_key(event, key)) return 0; /* RecordBatch takes no larger frames */
    while (pos < event->end) {
        if (read_row(layout, event, &pos, images.kinds, images.cells)) break;
        if (both && !same(layout, key->index, key->count, 0, event->data, images)) break;
        if (both && key->skips && same(layout, key->compared, key->compared_count, 1, event->data, images)) break;
        *at = pos;
        count++;
    }
    return count;
}

int cdc_mysql_add_rows(cdc_records *out, const cdc_mysql_layout *layout, const cdc_mysql_event *event, size_t at,
                       uint32_t count, const cdc_rec *like, int tombstones) {
    uint32_t width = layout->width, images = event->before_present && event->after_present ? 2 : 1;
    for (uint32_t row = 0; row < count; row++) {
        uint32_t cell = out->cell_count;
        cdc_rec *rec;
        if (cdc_records_room(out, 2, images * width, 0)) return CDC_NO_MEMORY;
        if (read_row(layout, event, &at, out->kinds + cell, out->cells + cell)) return CDC_REFUSED;
        out->cell_count += images * width;
        rec = out->recs + out->rec_count++;
        *rec = *like;
        rec->lsn += row;
        if (like->order) {
            rec->order += row;
            rec->table_order += row;
        }
        rec->columns = (uint16_t)width;
        rec->before = event->before_present ? cell : CDC_NO_ROW;
        rec->after = event->after_present ? cell + (images - 1) * width : CDC_NO_ROW;
        if (tombstones) {
            rec[1] = *rec;
            rec[1].op = CDC_TOMBSTONE;
            out->rec_count++;
        }
    }
    return CDC_OK;
}

static uint32_t little(const uint8_t *p, size_t n) {
    uint32_t number = 0;
    while (n-- > 0) number = number << 8 | p[n];
    return number;
}

/* One row: length-encoded strings, or 0xfb for NULL. *kinds and *cells get the columns that the result has; without
   them it only looks. */
static int read_text(const cdc_mysql_select *select, const uint8_t *data, size_t pos, size_t end, uint8_t *kinds,
                     cdc_cell *cells) {
    for (uint32_t column = 0; column < select->count; column++) {
        uint32_t index = select->indexes[column];
        size_t length;
        if (pos >= end) return CDC_REFUSED;
        length = data[pos++];
        if (length == 251) {
            if (kinds) kinds[index] = CDC_KIND_NULL;
            continue;
        }
        if (length > 251) {
            size_t size = length - 250; /* 252: 2 bytes, 253: 3 bytes; packets of 16 MB are not read here */
            if (length > 253 || size > end - pos) return CDC_REFUSED;
            length = little(data + pos, size);
            pos += size;
        }
        if (length > end - pos) return CDC_REFUSED;
        if (kinds) {
            kinds[index] = CDC_KIND_TEXT;
            cells[index].start = (uint32_t)pos;
            cells[index].end = (uint32_t)(pos + length);
        }
        pos += length;
    }
    return pos == end ? CDC_WRITTEN : CDC_REFUSED;
}

uint32_t cdc_mysql_text_rows(const cdc_mysql_select *select, const uint8_t *data, size_t end, size_t *at,
                             uint8_t *sequence) {
    uint32_t count = 0;
    if (end > UINT32_MAX) return 0;
    while (end - *at > 4) {
        size_t size = little(data + *at, 3), begin = *at + 4;
        if (size == 0 || size == 0xFFFFFF || size > end - begin || data[begin - 1] != *sequence || data[begin] >= 0xFE
            || read_text(select, data, begin, begin + size, NULL, NULL))
            break;
        *at = begin + size;
        ++*sequence;
        count++;
    }
    return count;
}

size_t cdc_mysql_skip_packets(const uint8_t *data, size_t at, uint32_t count) {
    while (count-- > 0) at += 4 + little(data + at, 3);
    return at;
}

int cdc_mysql_add_text_rows(cdc_records *out, const cdc_mysql_select *select, const uint8_t *data, size_t at,
                            uint32_t count, const cdc_rec *like) {
    while (count-- > 0) {
        uint32_t cell = out->cell_count;
        size_t next = cdc_mysql_skip_packets(data, at, 1);
        if (cdc_records_room(out, 1, select->width, 0)) return CDC_NO_MEMORY;
        memset(out->kinds + cell, CDC_KIND_ABSENT, select->width);
        memset(out->cells + cell, 0, select->width * sizeof(cdc_cell));
        if (read_text(select, data, at + 4, next, out->kinds + cell, out->cells + cell)) return CDC_REFUSED;
        out->cell_count += select->width;
        out->recs[out->rec_count] = *like;
        out->recs[out->rec_count].columns = (uint16_t)select->width;
        out->recs[out->rec_count].after = cell;
        out->rec_count++;
        at = next;
    }
    return CDC_OK;
}
