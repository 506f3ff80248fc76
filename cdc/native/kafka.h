/* A producer over librdkafka that keeps Python out of the way of a message.
 *
 * librdkafka is not linked: the client library of Python carries it, and `kafka_api` gets the addresses of its public
 * functions at run time. Types and constants are those of librdkafka's rdkafka.h, which keeps its ABI.
 *
 * A *route* is a topic with the headers that all its messages share: one list, not a copy for each. So librdkafka must
 * report each message, also at the end, and no plugin of librdkafka may see the headers. A *delivery* counts the answers
 * for the messages of one acknowledgement. Each message carries the numbers of both as its opaque value, so nothing is
 * allocated for it.
 *
 * One thread sends, polls and takes answers. Another one may end a transaction meanwhile, and callbacks may run in it;
 * a lock guards what they write.
 */
#ifndef CDC_KAFKA_H
#define CDC_KAFKA_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "batch.h"

/* ---- librdkafka, rdkafka.h ------------------------------------------------------------------------------------- */

typedef struct rd_kafka_s rd_kafka_t;
typedef struct rd_kafka_conf_s rd_kafka_conf_t;
typedef struct rd_kafka_topic_s rd_kafka_topic_t;
typedef struct rd_kafka_topic_conf_s rd_kafka_topic_conf_t;
typedef struct rd_kafka_headers_s rd_kafka_headers_t;
typedef struct rd_kafka_error_s rd_kafka_error_t;
typedef struct rd_kafka_queue_s rd_kafka_queue_t;
struct rd_kafka_metadata;

typedef struct rd_kafka_message_s {
    int err;
    rd_kafka_topic_t *rkt;
    int32_t partition;
    void *payload;
    size_t len;
    void *key;
    size_t key_len;
    int64_t offset;
    void *_private;
} rd_kafka_message_t;

enum { KAFKA_PRODUCER = 0, KAFKA_CONF_OK = 0 };
enum { KAFKA_V_END = 0, KAFKA_V_RKT = 2, KAFKA_V_PARTITION = 3, KAFKA_V_VALUE = 4, KAFKA_V_KEY = 5, KAFKA_V_OPAQUE = 6,
       KAFKA_V_MSGFLAGS = 7, KAFKA_V_TIMESTAMP = 8, KAFKA_V_HEADERS = 10 };
enum { KAFKA_MSG_F_COPY = 2 };
enum { KAFKA_PURGE_QUEUE = 1, KAFKA_PURGE_INFLIGHT = 2, KAFKA_PURGE_NON_BLOCKING = 4 };
enum { KAFKA_ERR_QUEUE_FULL = -184, KAFKA_ERR_FATAL = -150, KAFKA_ERR_INVALID_ARG = -186 };

typedef void kafka_delivery_cb(rd_kafka_t *, const rd_kafka_message_t *, void *);
typedef void kafka_error_cb(rd_kafka_t *, int, const char *, void *);
typedef int kafka_stats_cb(rd_kafka_t *, char *, size_t, void *);
typedef void kafka_log_cb(const rd_kafka_t *, int, const char *, const char *);

/* X(name without rd_kafka_, result, parameters) */
#define KAFKA_FUNCTIONS(X)                                                                                            \
    X(conf_new, rd_kafka_conf_t *, (void))                                                                            \
    X(conf_destroy, void, (rd_kafka_conf_t *))                                                                        \
    X(conf_set, int, (rd_kafka_conf_t *, const char *, const char *, char *, size_t))                                 \
    X(conf_set_opaque, void, (rd_kafka_conf_t *, void *))                                                             \
    X(conf_set_dr_msg_cb, void, (rd_kafka_conf_t *, kafka_delivery_cb *))                                             \
    X(conf_set_error_cb, void, (rd_kafka_conf_t *, kafka_error_cb *))                                                 \
    X(conf_set_stats_cb, void, (rd_kafka_conf_t *, kafka_stats_cb *))                                                 \
    X(conf_set_log_cb, void, (rd_kafka_conf_t *, kafka_log_cb *))                                                     \
    X(new, rd_kafka_t *, (int, rd_kafka_conf_t *, char *, size_t))                                                    \
    X(destroy, void, (rd_kafka_t *))                                                                                  \
    X(opaque, void *, (const rd_kafka_t *))                                                                           \
    X(set_log_queue, int, (rd_kafka_t *, rd_kafka_queue_t *))                                                         \
    X(poll, int, (rd_kafka_t *, int))                                                                                 \
    X(flush, int, (rd_kafka_t *, int))                                                                                \
    X(purge, int, (rd_kafka_t *, int))                                                                                \
    X(outq_len, int, (rd_kafka_t *))                                                                                  \
    X(fatal_error, int, (rd_kafka_t *, char *, size_t))                                                               \
    X(last_error, int, (void))                                                                                        \
    X(metadata, int,                                                                                                  \
      (rd_kafka_t *, int, rd_kafka_topic_t *, const struct rd_kafka_metadata **, int))                                \
    X(metadata_destroy, void, (const struct rd_kafka_metadata *))                                                     \
    X(topic_new, rd_kafka_topic_t *, (rd_kafka_t *, const char *, rd_kafka_topic_conf_t *))                           \
    X(topic_destroy, void, (rd_kafka_topic_t *))                                                                      \
    X(producev, int, (rd_kafka_t *, ...))                                                                             \
    X(headers_new, rd_kafka_headers_t *, (size_t))                                                                    \
    X(headers_destroy, void, (rd_kafka_headers_t *))                                                                  \
    X(header_add, int, (rd_kafka_headers_t *, const char *, ssize_t, const void *, ssize_t))                          \
    X(message_detach_headers, int, (rd_kafka_message_t *, rd_kafka_headers_t **))                                     \
    X(init_transactions, rd_kafka_error_t *, (rd_kafka_t *, int))                                                     \
    X(begin_transaction, rd_kafka_error_t *, (rd_kafka_t *))                                                          \
    X(commit_transaction, rd_kafka_error_t *, (rd_kafka_t *, int))                                                    \
    X(abort_transaction, rd_kafka_error_t *, (rd_kafka_t *, int))                                                     \
    X(error_code, int, (const rd_kafka_error_t *))                                                                    \
    X(error_string, const char *, (const rd_kafka_error_t *))                                                         \
    X(error_is_fatal, int, (const rd_kafka_error_t *))                                                                \
    X(error_is_retriable, int, (const rd_kafka_error_t *))                                                            \
    X(error_txn_requires_abort, int, (const rd_kafka_error_t *))                                                      \
    X(error_destroy, void, (rd_kafka_error_t *))

struct kafka_functions {
#define KAFKA_MEMBER(name, result, parameters) result(*name) parameters;
    KAFKA_FUNCTIONS(KAFKA_MEMBER)
#undef KAFKA_MEMBER
};

extern struct kafka_functions kafka_api;
extern const char *const kafka_names[];
extern const size_t kafka_name_count;

/* Sets the function whose name is kafka_names[index]. */
void kafka_set(size_t index, void *address);

/* ---- the client ------------------------------------------------------------------------------------------------ */

#define KAFKA_NULL UINT32_MAX   /* as a length: Kafka's null */
#define KAFKA_KEY_KEPT 1024     /* bytes of a failed message's key that are kept for its error */

/* A message that was not delivered. *code* is librdkafka's; *key* has min(key_len, KAFKA_KEY_KEPT) bytes. */
struct kafka_failure {
    struct kafka_failure *next;
    int code;
    int32_t partition;
    uint32_t route, key_len, value_len;
    char key[];
};

/* An error or a log line of librdkafka. *code* is the error's, or the line's syslog level. */
struct kafka_event {
    struct kafka_event *next;
    int code, is_log, fatal;
    char text[];
};

/* A length of KAFKA_NULL is null; a timestamp below 1 is librdkafka's clock. */
struct kafka_message {
    const void *key, *value;
    uint32_t key_len, value_len;
    int32_t partition;
    int64_t timestamp_ms;
};

struct kafka_delivery {
    void *ack;              /* its owner; NULL when nobody waits any more */
    int64_t open;           /* messages without an answer */
    int64_t delivered, failed;  /* answers not taken yet */
    int code;               /* of the last failure */
    struct kafka_failure *failures, **last_failure;
    uint32_t next;          /* of the unused, or of those with answers */
    uint8_t used, answered;
};

struct kafka_route {
    rd_kafka_topic_t *topic;
    rd_kafka_headers_t *headers;    /* NULL if its messages have none, or their own */
};

struct kafka_client {
    rd_kafka_t *rk;
    pthread_mutex_t lock;
    struct kafka_route *routes;
    uint32_t route_count, route_room;
    struct kafka_delivery *deliveries;
    uint32_t delivery_count, delivery_room, unused, first_answered, last_answered;
    struct kafka_event *events, **last_event;
    uint32_t event_count;
    char *statistics;               /* the latest, NUL-terminated; the taker frees it */
};

#define KAFKA_NONE UINT32_MAX

/* NULL if memory is short. */
struct kafka_client *kafka_client_new(void);

/* Takes *conf*, whose callbacks it sets. Returns 0, or librdkafka's error with a text in *reason*. */
int kafka_client_open(struct kafka_client *client, rd_kafka_conf_t *conf, char *reason, size_t size);

/* Gives up messages without an answer, waits for librdkafka's threads to end, and frees everything. If librdkafka does
 * not answer for a message within seconds, another thread does all that later. */
void kafka_client_free(struct kafka_client *client);

/* The number of a new route, which takes *headers*; KAFKA_NONE if librdkafka refuses the topic (`last_error` says why)
 * or memory is short. */
uint32_t kafka_route_add(struct kafka_client *client, const char *topic, rd_kafka_headers_t *headers);

/* The number of a delivery whose *count* messages are now to be sent; KAFKA_NONE if memory is short. */
uint32_t kafka_delivery_new(struct kafka_client *client, void *ack, int64_t count);

/* Of the messages announced, *count* were not sent. Returns 1 if the delivery has ended with that, unanswered. */
int kafka_delivery_shrink(struct kafka_client *client, uint32_t number, int64_t count);

/* Sends one message, with the route's headers; or, if the route has none, with *own* headers, which are taken if it
 * returns 0. Returns librdkafka's error. */
int kafka_produce(struct kafka_client *client, uint32_t delivery, uint32_t route, const struct kafka_message *message,
                  rd_kafka_headers_t *own);

/* Sends *messages* from *first* up to *end*, whose bytes are in *data*. routes[message.route] is the client's route, or
 * KAFKA_NONE. Returns the index of the first one not sent; *code* is then librdkafka's error, or 0 if its route is
 * KAFKA_NONE. Adds the bytes of the values sent to *value_bytes*. */
size_t kafka_produce_all(struct kafka_client *client, uint32_t delivery, const unsigned char *data,
                         const cdc_msg *messages, size_t first, size_t end, const uint32_t *routes,
                         uint64_t *value_bytes, int *code);

/* Takes the answers of one delivery; returns 0 if none has any. *answers* has its counts and failures, which the caller
 * frees with kafka_failures_free; `open` is 0 if it has ended. */
int kafka_take_answers(struct kafka_client *client, struct kafka_delivery *answers);

/* From now on nobody waits for *ack* of any delivery: calls *release* with each, and answers are dropped. */
void kafka_forget(struct kafka_client *client, void (*release)(void *ack));

/* Takes all events and the latest statistics; the caller frees them. */
struct kafka_event *kafka_take_events(struct kafka_client *client, char **statistics);

void kafka_failures_free(struct kafka_failure *failure);

#endif
