#include "kafka.h"

#include <stdlib.h>
#include <string.h>

#define MOST_EVENTS 1000        /* beyond these, only fatal errors are kept until they are taken */
#define MOST_TEXT 2000          /* bytes of an event's text */
#define LAST_POLL_MS 20
#define MOST_LAST_POLLS 100     /* at the end, so many wait for what has no answer yet, before another thread does */

struct kafka_functions kafka_api;

const char *const kafka_names[] = {
#define KAFKA_NAME(name, result, parameters) "rd_kafka_" #name,
    KAFKA_FUNCTIONS(KAFKA_NAME)
#undef KAFKA_NAME
};
const size_t kafka_name_count = sizeof kafka_names / sizeof *kafka_names;

void kafka_set(size_t index, void *address) {
    memcpy((char *)&kafka_api + index * sizeof(void *), &address, sizeof address);
}

/* ---- answers ---------------------------------------------------------------------------------------------------- */

static void answered(struct kafka_client *client, struct kafka_delivery *delivery) {
    uint32_t number = (uint32_t)(delivery - client->deliveries);
    if (delivery->answered)
        return;
    delivery->answered = 1;
    delivery->next = KAFKA_NONE;
    if (client->first_answered == KAFKA_NONE)
        client->first_answered = number;
    else
        client->deliveries[client->last_answered].next = number;
    client->last_answered = number;
}

static void note_failure(struct kafka_delivery *delivery, uint32_t route, const rd_kafka_message_t *message) {
    size_t kept = message->key_len < KAFKA_KEY_KEPT ? message->key_len : KAFKA_KEY_KEPT;
    struct kafka_failure *failure = malloc(sizeof *failure + kept);
    delivery->failed++;
    delivery->code = message->err;
    if (!failure)
        return; /* `failed` still counts it */
    failure->next = NULL;
    failure->code = message->err;
    failure->partition = message->partition;
    failure->route = route;
    failure->key_len = message->key ? (uint32_t)message->key_len : KAFKA_NULL;
    failure->value_len = message->payload ? (uint32_t)message->len : KAFKA_NULL;
    if (message->key)
        memcpy(failure->key, message->key, kept);
    *delivery->last_failure = failure;
    delivery->last_failure = &failure->next;
}

/* A route's headers are those of all its messages at once. librdkafka frees a message's headers with the message, so it
 * must lose them before. */
static void take_headers_back(const struct kafka_route *route, const rd_kafka_message_t *message) {
    rd_kafka_headers_t *headers;
    if (route->headers)
        kafka_api.message_detach_headers((rd_kafka_message_t *)message, &headers);
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
    struct kafka_client *client = opaque;
    uint64_t numbers = (uint64_t)(uintptr_t)message->_private;
    uint32_t route = (uint32_t)numbers;
    struct kafka_delivery *delivery;
    (void)rk;
    pthread_mutex_lock(&client->lock);
    delivery = &client->deliveries[numbers >> 32];
    take_headers_back(&client->routes[route], message);
    if (message->err)
        note_failure(delivery, route, message);
    else
        delivery->delivered++;
    delivery->open--;
    answered(client, delivery);
    pthread_mutex_unlock(&client->lock);
}

int kafka_take_answers(struct kafka_client *client, struct kafka_delivery *answers) {
    struct kafka_delivery *delivery;
    uint32_t number;
    pthread_mutex_lock(&client->lock);
    number = client->first_answered;
    if (number != KAFKA_NONE) {
        delivery = &client->deliveries[number];
        client->first_answered = delivery->next;
        *answers = *delivery;
        delivery->answered = 0;
        delivery->delivered = delivery->failed = 0;
        delivery->failures = NULL;
        delivery->last_failure = &delivery->failures;
        if (!delivery->open) {
            delivery->used = 0;
            delivery->next = client->unused;
            client->unused = number;
        }
    }
    pthread_mutex_unlock(&client->lock);
    return number != KAFKA_NONE;
}

void kafka_failures_free(struct kafka_failure *failure) {
    while (failure) {
        struct kafka_failure *next = failure->next;
        free(failure);
        failure = next;
    }
}

void kafka_forget(struct kafka_client *client, void (*release)(void *ack)) {
    for (uint32_t number = 0; number < client->delivery_count; number++) {
        struct kafka_delivery *delivery = &client->deliveries[number];
        void *ack = NULL;
        pthread_mutex_lock(&client->lock);
        if (delivery->used) {
            ack = delivery->ack;
            delivery->ack = NULL;
        }
        pthread_mutex_unlock(&client->lock);
        if (ack)
            release(ack);
    }
}

/* ---- events ----------------------------------------------------------------------------------------------------- */

static void note_event(struct kafka_client *client, int code, int is_log, int fatal, const char *text) {
    size_t size = strnlen(text, MOST_TEXT);
    struct kafka_event *event;
    pthread_mutex_lock(&client->lock);
    if (client->event_count < MOST_EVENTS || fatal) {
        event = malloc(sizeof *event + size + 1);
        if (event) {
            event->next = NULL;
            event->code = code;
            event->is_log = is_log;
            event->fatal = fatal;
            memcpy(event->text, text, size);
            event->text[size] = 0;
            *client->last_event = event;
            client->last_event = &event->next;
            client->event_count++;
        }
    }
    pthread_mutex_unlock(&client->lock);
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque) {
    char text[512];
    if (code == KAFKA_ERR_FATAL) {
        code = kafka_api.fatal_error(rk, text, sizeof text);
        note_event(opaque, code, 0, 1, text);
    } else {
        note_event(opaque, code, 0, 0, reason);
    }
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text) {
    (void)facility;
    if (rk)
        note_event(kafka_api.opaque(rk), level, 1, 0, text);
}

static int on_statistics(rd_kafka_t *rk, char *json, size_t size, void *opaque) {
    struct kafka_client *client = opaque;
    char *copy = malloc(size + 1);
    (void)rk;
    if (!copy)
        return 0;
    memcpy(copy, json, size);
    copy[size] = 0;
    pthread_mutex_lock(&client->lock);
    free(client->statistics);
    client->statistics = copy;
    pthread_mutex_unlock(&client->lock);
    return 0;
}

struct kafka_event *kafka_take_events(struct kafka_client *client, char **statistics) {
    struct kafka_event *events;
    pthread_mutex_lock(&client->lock);
    events = client->events;
    *statistics = client->statistics;
    client->events = NULL;
    client->last_event = &client->events;
    client->event_count = 0;
    client->statistics = NULL;
    pthread_mutex_unlock(&client->lock);
    return events;
}

/* ---- life ------------------------------------------------------------------------------------------------------- */

struct kafka_client *kafka_client_new(void) {
    struct kafka_client *client = calloc(1, sizeof *client);
    if (!client)
        return NULL;
    pthread_mutex_init(&client->lock, NULL);
    client->unused = client->first_answered = KAFKA_NONE;
    client->last_event = &client->events;
    return client;
}

int kafka_client_open(struct kafka_client *client, rd_kafka_conf_t *conf, char *reason, size_t size) {
    kafka_api.conf_set_opaque(conf, client);
    kafka_api.conf_set_dr_msg_cb(conf, on_delivery);
    kafka_api.conf_set_error_cb(conf, on_error);
    kafka_api.conf_set_stats_cb(conf, on_statistics);
    kafka_api.conf_set_log_cb(conf, on_log);
    client->rk = kafka_api.new(KAFKA_PRODUCER, conf, reason, size);
    if (!client->rk) {
        kafka_api.conf_destroy(conf);
        return kafka_api.last_error();
    }
    kafka_api.set_log_queue(client->rk, NULL); /* log lines come with `poll` */
    return 0;
}

/* Ends all messages, each of which goes through on_delivery. Returns 0 if librdkafka keeps one. */
static int all_ended(struct kafka_client *client) {
    for (int polls = 0; polls < MOST_LAST_POLLS && kafka_api.outq_len(client->rk); polls++) {
        kafka_api.purge(client->rk, KAFKA_PURGE_QUEUE | KAFKA_PURGE_INFLIGHT | KAFKA_PURGE_NON_BLOCKING);
        kafka_api.poll(client->rk, LAST_POLL_MS);
    }
    return !kafka_api.outq_len(client->rk);
}

static void release(struct kafka_client *client) {
    struct kafka_event *event;
    for (uint32_t number = 0; number < client->route_count; number++) {
        struct kafka_route *route = &client->routes[number];
        if (route->headers)
            kafka_api.headers_destroy(route->headers);
        kafka_api.topic_destroy(route->topic);
    }
    if (client->rk)
        kafka_api.destroy(client->rk);
    for (uint32_t number = 0; number < client->delivery_count; number++)
        kafka_failures_free(client->deliveries[number].failures);
    while ((event = client->events)) {
        client->events = event->next;
        free(event);
    }
    free(client->routes);
    free(client->deliveries);
    free(client->statistics);
    pthread_mutex_destroy(&client->lock);
    free(client);
}

static void *end_later(void *client) {
    while (!all_ended(client))
        ;
    release(client);
    return NULL;
}

/* A thread of librdkafka that looks up the name of a broker, for instance, answers for its messages only after that. */
void kafka_client_free(struct kafka_client *client) {
    pthread_t thread;
    if (!client->rk || all_ended(client))
        release(client);
    else if (!pthread_create(&thread, NULL, end_later, client)) /* else all stays: headers must not be freed twice */
        pthread_detach(thread);
}

/* ---- sending ---------------------------------------------------------------------------------------------------- */

uint32_t kafka_route_add(struct kafka_client *client, const char *topic, rd_kafka_headers_t *headers) {
    struct kafka_route *route, *larger;
    rd_kafka_topic_t *handle = kafka_api.topic_new(client->rk, topic, NULL);
    if (!handle)
        return KAFKA_NONE;
    pthread_mutex_lock(&client->lock);
    if (client->route_count == client->route_room) {
        uint32_t room = client->route_room ? client->route_room * 2 : 16;
        larger = realloc(client->routes, room * sizeof *larger);
        if (!larger) {
            pthread_mutex_unlock(&client->lock);
            kafka_api.topic_destroy(handle);
            return KAFKA_NONE;
        }
        client->routes = larger;
        client->route_room = room;
    }
    route = &client->routes[client->route_count];
    memset(route, 0, sizeof *route);
    route->topic = handle;
    route->headers = headers;
    pthread_mutex_unlock(&client->lock);
    return client->route_count++;
}

uint32_t kafka_delivery_new(struct kafka_client *client, void *ack, int64_t count) {
    struct kafka_delivery *delivery, *larger;
    uint32_t number;
    pthread_mutex_lock(&client->lock);
    number = client->unused;
    if (number != KAFKA_NONE) {
        client->unused = client->deliveries[number].next;
    } else {
        if (client->delivery_count == client->delivery_room) {
            uint32_t room = client->delivery_room ? client->delivery_room * 2 : 64;
            larger = realloc(client->deliveries, room * sizeof *larger);
            if (!larger) {
                pthread_mutex_unlock(&client->lock);
                return KAFKA_NONE;
            }
            for (uint32_t each = 0; each < client->delivery_count; each++)
                if (!larger[each].failures)
                    larger[each].last_failure = &larger[each].failures;
            client->deliveries = larger;
            client->delivery_room = room;
        }
        number = client->delivery_count++;
    }
    delivery = &client->deliveries[number];
    memset(delivery, 0, sizeof *delivery);
    delivery->ack = ack;
    delivery->open = count;
    delivery->last_failure = &delivery->failures;
    delivery->used = 1;
    pthread_mutex_unlock(&client->lock);
    return number;
}

int kafka_delivery_shrink(struct kafka_client *client, uint32_t number, int64_t count) {
    struct kafka_delivery *delivery;
    int ended;
    pthread_mutex_lock(&client->lock);
    delivery = &client->deliveries[number];
    delivery->open -= count;
    ended = !delivery->open && !delivery->answered;
    if (ended) {
        delivery->used = 0;
        delivery->next = client->unused;
        client->unused = number;
    }
    pthread_mutex_unlock(&client->lock);
    return ended;
}

int kafka_produce(struct kafka_client *client, uint32_t delivery, uint32_t number, const struct kafka_message *message,
                  rd_kafka_headers_t *own) {
    struct kafka_route *route = &client->routes[number];
    void *opaque = (void *)(uintptr_t)((uint64_t)delivery << 32 | number);
    const void *key = message->key_len ? message->key : "", *value = message->value_len ? message->value : "";
    size_t key_size = message->key_len, value_size = message->value_len;
    int64_t timestamp_ms = message->timestamp_ms > 0 ? message->timestamp_ms : 0;
    rd_kafka_headers_t *headers = route->headers ? route->headers : own;
    if (message->key_len == KAFKA_NULL)
        key = NULL, key_size = 0;
    if (message->value_len == KAFKA_NULL)
        value = NULL, value_size = 0;
    return kafka_api.producev(client->rk, KAFKA_V_RKT, route->topic, KAFKA_V_PARTITION, message->partition,
                              KAFKA_V_MSGFLAGS, KAFKA_MSG_F_COPY, KAFKA_V_VALUE, value, value_size, KAFKA_V_KEY, key,
                              key_size, KAFKA_V_TIMESTAMP, timestamp_ms, KAFKA_V_OPAQUE, opaque, KAFKA_V_HEADERS,
                              headers, KAFKA_V_END);
}

size_t kafka_produce_all(struct kafka_client *client, uint32_t delivery, const unsigned char *data,
                         const cdc_msg *messages, size_t first, size_t end, const uint32_t *routes,
                         uint64_t *value_bytes, int *code) {
    *code = 0;
    for (; first < end; first++) {
        const cdc_msg *each = &messages[first];
        struct kafka_message message = {data + each->key,      data + each->val, each->key_len,
                                        each->val_len,         each->partition,  each->timestamp_ms};
        uint32_t route = routes[each->route];
        if (route == KAFKA_NONE)
            break;
        *code = kafka_produce(client, delivery, route, &message, NULL);
        if (*code)
            break;
        if (each->val_len != KAFKA_NULL)
            *value_bytes += each->val_len;
    }
    return first;
}
