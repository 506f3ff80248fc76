/* Ends a client whose messages share headers, while a stand-in for librdkafka keeps them for a while. AddressSanitizer
   watches: test_kafka_end.py builds and runs it. Argument: after how many polls the messages are answered. */
#include "kafka.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MESSAGES 3

static struct {
    rd_kafka_headers_t *headers;
    void *opaque;
} messages[MESSAGES];
static int message_count, polls, patience;
static atomic_int ended;
static kafka_delivery_cb *deliver;
static void *client;

static void set_opaque(rd_kafka_conf_t *conf, void *opaque) {
    (void)conf;
    client = opaque;
}

static void set_delivery(rd_kafka_conf_t *conf, kafka_delivery_cb *callback) {
    (void)conf;
    deliver = callback;
}

static void set_error(rd_kafka_conf_t *conf, kafka_error_cb *callback) {
    (void)conf, (void)callback;
}

static void set_stats(rd_kafka_conf_t *conf, kafka_stats_cb *callback) {
    (void)conf, (void)callback;
}

static void set_log(rd_kafka_conf_t *conf, kafka_log_cb *callback) {
    (void)conf, (void)callback;
}

static rd_kafka_t *new_client(int kind, rd_kafka_conf_t *conf, char *reason, size_t size) {
    (void)kind, (void)conf, (void)reason, (void)size;
    return malloc(1);
}

static void destroy(rd_kafka_t *rk) {
    free(rk);
    ended = 1;
}

static int log_queue(rd_kafka_t *rk, rd_kafka_queue_t *queue) {
    (void)rk, (void)queue;
    return 0;
}

static rd_kafka_topic_t *new_topic(rd_kafka_t *rk, const char *name, rd_kafka_topic_conf_t *conf) {
    (void)rk, (void)name, (void)conf;
    return malloc(1);
}

static void destroy_topic(rd_kafka_topic_t *topic) {
    free(topic);
}

static void destroy_headers(rd_kafka_headers_t *headers) {
    free(headers);
}

static int detach(rd_kafka_message_t *message, rd_kafka_headers_t **headers) {
    *headers = messages[message->offset].headers;
    messages[message->offset].headers = NULL;
    return 0;
}

static int produce(rd_kafka_t *rk, ...) {
    int kind, found = message_count++;
    va_list arguments;
    va_start(arguments, rk);
    while ((kind = va_arg(arguments, int)) != KAFKA_V_END) {
        if (kind == KAFKA_V_OPAQUE)
            messages[found].opaque = va_arg(arguments, void *);
        else if (kind == KAFKA_V_HEADERS)
            messages[found].headers = va_arg(arguments, rd_kafka_headers_t *);
        else if (kind == KAFKA_V_PARTITION || kind == KAFKA_V_MSGFLAGS)
            (void)va_arg(arguments, int);
        else if (kind == KAFKA_V_TIMESTAMP)
            (void)va_arg(arguments, int64_t);
        else if ((void)va_arg(arguments, void *), kind != KAFKA_V_RKT)
            (void)va_arg(arguments, size_t);
    }
    va_end(arguments);
    return 0;
}

static int unanswered(rd_kafka_t *rk) {
    (void)rk;
    return message_count;
}

static int purge(rd_kafka_t *rk, int flags) {
    (void)rk, (void)flags;
    return 0;
}

static int serve(rd_kafka_t *rk, int timeout_ms) {
    (void)timeout_ms;
    if (++polls <= patience)
        return 0;
    for (; message_count; message_count--) {
        rd_kafka_message_t message = {.err = -152, .offset = message_count - 1};
        message._private = messages[message_count - 1].opaque;
        deliver(rk, &message, client);
        free(messages[message_count - 1].headers); /* as librdkafka does it */
    }
    return 1;
}

int main(int count, char **arguments) {
    char reason[64];
    struct kafka_client *made = kafka_client_new();
    struct kafka_message message = {"k", "v", 1, 1, -1, 0};
    uint32_t route, delivery;
    patience = count > 1 ? atoi(arguments[1]) : 0;
    kafka_api.conf_set_opaque = set_opaque;
    kafka_api.conf_set_dr_msg_cb = set_delivery;
    kafka_api.conf_set_error_cb = set_error;
    kafka_api.conf_set_stats_cb = set_stats;
    kafka_api.conf_set_log_cb = set_log;
    kafka_api.new = new_client;
    kafka_api.destroy = destroy;
    kafka_api.set_log_queue = log_queue;
    kafka_api.topic_new = new_topic;
    kafka_api.topic_destroy = destroy_topic;
    kafka_api.headers_destroy = destroy_headers;
    kafka_api.message_detach_headers = detach;
    kafka_api.producev = produce;
    kafka_api.outq_len = unanswered;
    kafka_api.purge = purge;
    kafka_api.poll = serve;
    if (!made || kafka_client_open(made, NULL, reason, sizeof reason))
        return 1;
    route = kafka_route_add(made, "t", malloc(1));
    delivery = kafka_delivery_new(made, NULL, MESSAGES);
    for (int number = 0; number < MESSAGES; number++)
        if (kafka_produce(made, delivery, route, &message, NULL))
            return 1;
    kafka_client_free(made);
    for (int waits = 0; !ended && waits < 30000; waits++)
        usleep(1000);
    puts(ended ? "ended" : "left behind");
    return 0;
}
