/* The origin: any path /SIZE/NAME is an object of SIZE bytes. One blocking thread per connection.
 *
 *   origin [--rate BYTES_PER_S --delay MS] [--cert FILE --key FILE]
 *
 * Prints one line of JSON with the ports of its four listeners (without a certificate two): `plain` and `tls` send as
 * fast as they can; `plain_limited` and `tls_limited` wait DELAY before each head and give each connection RATE, in
 * pieces of 64 KiB, without a credit for time not used. GET /_stats (plain) tells {requests, bytes_sent, connections}.
 */
#include "body.h"
#include "link.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 65536, HEAD_MAX = 16384 };

struct listener {
    int fd, is_limited;
    SSL_CTX *tls;
};

struct visit { /* one connection */
    struct link link;
    int is_limited;
    double due; /* when the next piece may be sent */
};

static double rate, delay_seconds;
static atomic_ullong requests, bytes_sent, connections;

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void sleep_until(double when) {
    struct timespec at = {.tv_sec = (time_t)when, .tv_nsec = (long)((when - (double)(time_t)when) * 1e9)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0) {}
}

static int send_body(struct visit *visit, uint64_t phase, uint64_t start, uint64_t stop) {
    uint64_t step = visit->is_limited ? PIECE : PERIOD;
    visit->due = now();
    for (uint64_t at = start; at < stop;) {
        uint64_t size = stop - at < step ? stop - at : step;
        if (visit->is_limited) { /* a piece is on the wire when its last byte would be */
            double earliest = now() - 0.01;
            visit->due = (visit->due > earliest ? visit->due : earliest) + (double)size / rate;
            sleep_until(visit->due);
        }
        if (link_write(&visit->link, body_piece(phase, at), size, 0) != 0) return -1;
        atomic_fetch_add(&bytes_sent, size);
        at += size;
    }
    return 0;
}

static int send_stats(struct visit *visit) {
    char body[200], answer[400];
    int size = snprintf(body, sizeof body, "{\"requests\": %llu, \"bytes_sent\": %llu, \"connections\": %llu}",
                        atomic_load(&requests), atomic_load(&bytes_sent), atomic_load(&connections));
    int length = snprintf(answer, sizeof answer,
                          "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", size, body);
    return link_write(&visit->link, answer, (size_t)length, 0);
}

/* [start, stop) of a single Range; 206, 416, or 200 where there is none. */
static int parse_range(const char *head, int64_t size, int64_t *start, int64_t *stop) {
    size_t length;
    const char *value = head_field(head, "range", &length);
    *start = 0, *stop = size;
    if (!value || strncmp(value, "bytes=", 6) != 0) return 200;
    char *end;
    int64_t first = strtoll(value + 6, &end, 10);
    if (first < 0) first = size + first > 0 ? size + first : 0;
    else if (end[0] == '-' && end[1] >= '0' && end[1] <= '9') *stop = strtoll(end + 1, NULL, 10) + 1;
    if (first >= size) return 416;
    *start = first;
    if (*stop > size) *stop = size;
    return 206;
}

static int has_etag(const char *head, const char *name, const char *etag) {
    size_t length;
    const char *value = head_field(head, name, &length);
    return value && strncmp(value, etag, strlen(etag)) == 0;
}

static int answer(struct visit *visit, const char *head) {
    char method[16], path[1024], etag[64], out[1024], range[128] = "";
    if (sscanf(head, "%15s %1023s", method, path) != 2) return -1;
    if (strcmp(path, "/_stats") == 0) return send_stats(visit);
    atomic_fetch_add(&requests, 1);
    int64_t size = body_size(path), start = 0, stop = 0;
    uint64_t phase = body_phase(path);
    snprintf(etag, sizeof etag, "\"%lld-%llu\"", (long long)size, (unsigned long long)phase);
    size_t unused;
    int status;
    if (size < 0) status = 404;
    else if (head_field(head, "if-match", &unused) && !has_etag(head, "if-match", etag)) status = 412;
    else if (has_etag(head, "if-none-match", etag)) status = 304;
    else status = parse_range(head, size, &start, &stop);
    int has_body = status == 200 || status == 206;
    if (status == 206)
        snprintf(range, sizeof range, "Content-Range: bytes %lld-%lld/%lld\r\n", (long long)start, (long long)stop - 1,
                 (long long)size);
    int length = snprintf(out, sizeof out,
                          "HTTP/1.1 %d Answer\r\nETag: %s\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
                          "Accept-Ranges: bytes\r\nContent-Type: application/octet-stream\r\n%sContent-Length: %lld\r\n\r\n",
                          status, etag, range, has_body ? (long long)(stop - start) : 0LL);
    if (visit->is_limited) sleep_until(now() + delay_seconds);
    has_body = has_body && strcmp(method, "GET") == 0;
    if (link_write(&visit->link, out, (size_t)length, has_body) != 0) return -1;
    return has_body ? send_body(visit, phase, (uint64_t)start, (uint64_t)stop) : 0;
}

static void *serve(void *argument) {
    struct visit *visit = argument;
    char head[HEAD_MAX];
    size_t held = 0;
    ssize_t length;
    if (!visit->link.ssl || SSL_accept(visit->link.ssl) == 1) {
        while ((length = link_read_head(&visit->link, head, sizeof head, &held)) > 0) {
            if (answer(visit, head) != 0) break;
            held -= (size_t)length;
            memmove(head, head + length, held);
        }
    }
    SSL_free(visit->link.ssl);
    close(visit->link.fd);
    free(visit);
    return NULL;
}

static void *accept_all(void *argument) {
    struct listener *listener = argument;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 256 << 10);
    for (;;) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        atomic_fetch_add(&connections, 1);
        struct visit *visit = calloc(1, sizeof *visit);
        visit->link.fd = fd, visit->is_limited = listener->is_limited;
        if (listener->tls) {
            visit->link.ssl = SSL_new(listener->tls);
            SSL_set_fd(visit->link.ssl, fd);
        }
        pthread_t thread;
        if (pthread_create(&thread, &attributes, serve, visit) != 0) abort();
    }
    return NULL;
}

static int listen_on(const char *name, int is_limited, SSL_CTX *tls) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    struct listener *listener = malloc(sizeof *listener);
    *listener = (struct listener){socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), is_limited, tls};
    pthread_t thread;
    if (bind(listener->fd, (struct sockaddr *)&address, length) != 0 || listen(listener->fd, 1024) != 0 ||
        getsockname(listener->fd, (struct sockaddr *)&address, &length) != 0 ||
        pthread_create(&thread, NULL, accept_all, listener) != 0) {
        perror(name);
        exit(1);
    }
    return ntohs(address.sin_port);
}

int main(int count, char **arguments) {
    const char *certificate = NULL, *key = NULL;
    for (int i = 1; i + 1 < count; i += 2) {
        if (strcmp(arguments[i], "--rate") == 0) rate = atof(arguments[i + 1]);
        else if (strcmp(arguments[i], "--delay") == 0) delay_seconds = atof(arguments[i + 1]) / 1e3;
        else if (strcmp(arguments[i], "--cert") == 0) certificate = arguments[i + 1];
        else if (strcmp(arguments[i], "--key") == 0) key = arguments[i + 1];
    }
    signal(SIGPIPE, SIG_IGN);
    body_init();
    printf("{\"plain\": %d, \"plain_limited\": %d", listen_on("plain", 0, NULL), listen_on("limited", 1, NULL));
    if (certificate && key) {
        SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
        SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION);
        if (SSL_CTX_use_certificate_chain_file(tls, certificate) != 1 ||
            SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1) {
            ERR_print_errors_fp(stderr);
            return 1;
        }
        printf(", \"tls\": %d, \"tls_limited\": %d", listen_on("tls", 0, tls), listen_on("tls limited", 1, tls));
    }
    printf("}\n");
    fflush(stdout);
    for (;;) pause();
}
