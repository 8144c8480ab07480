/* The client: N connections that GET one path again and again, check each body, and time each read.
 *
 *   client --port P --host NAME --path /SIZE/NAME [--ca FILE] [--connections N] [--repeat R | --seconds S]
 *          [--header "NAME: VALUE"] [--part BYTES] [--pause S]
 *
 * With --part the connections share R rounds of ranges of so many bytes: each takes the next one that nobody reads.
 * With --pause each waits so long before each read.
 *
 * One blocking thread per connection, 256 KiB a read; TLS 1.3 with --ca, which must have signed NAME. All connect
 * (and shake hands) first, then begin together. Each does R reads, or reads until S seconds have passed or TERM came,
 * and stops in the middle of the last. Prints one JSON object; exits 1 with a message where an answer is not a whole
 * 200 with the right bytes.
 */
#include "body.h"
#include "link.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 256 << 10 };

static const char *host = "", *path = "", *ca;
static int port, connection_count = 1, repeat = 1;
static double seconds; /* 0: by --repeat */
static double pause_seconds;
static const char *header = "";
static int64_t part; /* 0: whole */

struct want { /* one read */
    int64_t start, size;
    uint64_t sum;
};
static struct want *wants;
static int want_count;
static atomic_int next_want;
static SSL_CTX *tls;
static pthread_barrier_t connected, begun;
static double began;
static volatile sig_atomic_t is_ended;

struct reader {
    pthread_t thread;
    struct link link;
    double ended;
    uint64_t bytes; /* of bodies, the last cut one included */
    size_t count, capacity;
    double *latencies;
    char cache_status[200];
};

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void end(int number) { is_ended = number; }

/* Whether time is up, where reading goes by time. */
static int is_over(void) { return seconds > 0 && (is_ended || now() - began >= seconds); }

static void fail(const char *what) {
    fprintf(stderr, "client: %s: %s\n", path, what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static void connect_reader(struct reader *reader) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    reader->link.fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(reader->link.fd, (struct sockaddr *)&address, sizeof address) != 0) fail(strerror(errno));
    setsockopt(reader->link.fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    struct timeval patience = {.tv_sec = 60};
    setsockopt(reader->link.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (!tls) return;
    reader->link.ssl = SSL_new(tls);
    SSL_set_fd(reader->link.ssl, reader->link.fd);
    SSL_set_tlsext_host_name(reader->link.ssl, host);
    SSL_set1_host(reader->link.ssl, host);
    if (SSL_connect(reader->link.ssl) != 1) fail("TLS handshake");
}

static void keep_latency(struct reader *reader, double latency) {
    if (reader->count == reader->capacity) {
        reader->capacity = reader->capacity ? 2 * reader->capacity : 1024;
        reader->latencies = realloc(reader->latencies, reader->capacity * sizeof(double));
        if (!reader->latencies) fail("no memory");
    }
    reader->latencies[reader->count++] = latency;
}

static void check_head(struct reader *reader, const char *head, int64_t expected_size) {
    size_t size;
    const char *length = head_field(head, "content-length", &size), *status;
    if (strncmp(head, part ? "HTTP/1.1 206 " : "HTTP/1.1 200 ", 13) != 0) fail(head);
    if (!length || strtoll(length, NULL, 10) != expected_size) fail("wrong Content-Length");
    if ((status = head_field(head, "cache-status", &size)) != NULL) {
        if (size >= sizeof reader->cache_status) size = sizeof reader->cache_status - 1;
        memcpy(reader->cache_status, status, size);
        reader->cache_status[size] = '\0';
    }
}

/* One GET; 0 where time ran out before its end. */
static int read_once(struct reader *reader, unsigned char *buffer, const struct want *want) {
    char request[4096], range[80] = "";
    if (part)
        snprintf(range, sizeof range, "Range: bytes=%lld-%lld\r\n", (long long)want->start,
                 (long long)(want->start + want->size - 1));
    int request_size = snprintf(request, sizeof request,
                                "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\n%s%s%s\r\n", path,
                                host, range, header, *header ? "\r\n" : "");
    struct sum sum = {0};
    size_t held = 0;
    double start = now();
    if (link_write(&reader->link, request, (size_t)request_size, 0) != 0) fail("cannot send");
    ssize_t head = link_read_head(&reader->link, (char *)buffer, BUFFER, &held);
    if (head <= 0) fail("no head came");
    check_head(reader, (const char *)buffer, want->size);
    size_t got = held - (size_t)head;
    sum_add(&sum, buffer + head, got);
    int64_t left = want->size - (int64_t)got;
    reader->bytes += got;
    while (left > 0) {
        if (is_over()) return 0;
        ssize_t size = link_read(&reader->link, buffer, left < BUFFER ? (size_t)left : BUFFER);
        if (size <= 0) fail("the body was cut");
        sum_add(&sum, buffer, (size_t)size);
        left -= size;
        reader->bytes += (uint64_t)size;
    }
    keep_latency(reader, now() - start);
    if (left < 0 || sum_end(&sum) != want->sum) fail("wrong bytes");
    return 1;
}

/* Which read comes next for a reader that has done some; -1 where there is none. */
static int next_read(int done) {
    if (seconds > 0) return is_over() ? -1 : done;
    int number = part ? atomic_fetch_add(&next_want, 1) : done;
    return number < repeat * want_count ? number : -1;
}

static void rest(void) {
    struct timespec span = {(time_t)pause_seconds, (long)((pause_seconds - (double)(time_t)pause_seconds) * 1e9)};
    nanosleep(&span, NULL);
}

static void *run_reader(void *argument) {
    struct reader *reader = argument;
    unsigned char *buffer = malloc(BUFFER);
    memset(buffer, 1, BUFFER); /* touch it */
    connect_reader(reader);
    pthread_barrier_wait(&connected);
    pthread_barrier_wait(&begun);
    for (int done = 0, number; (number = next_read(done)) >= 0; done++) {
        if (pause_seconds > 0) rest();
        if (!read_once(reader, buffer, wants + number % want_count)) break;
    }
    reader->ended = now();
    free(buffer);
    return NULL;
}

static int by_value(const void *left, const void *right) {
    double difference = *(const double *)left - *(const double *)right;
    return difference > 0 ? 1 : difference < 0 ? -1 : 0;
}

static double percentile(const double *sorted, size_t count, double share) {
    size_t rank = (size_t)((double)count * share);
    return count ? sorted[rank < count ? rank : count - 1] : -1;
}

static void report(struct reader *readers) {
    double ended = began, *all;
    uint64_t bytes = 0;
    size_t count = 0;
    for (int i = 0; i < connection_count; i++) {
        if (readers[i].ended > ended) ended = readers[i].ended;
        bytes += readers[i].bytes, count += readers[i].count;
    }
    all = malloc((count + 1) * sizeof(double));
    for (int i = 0, at = 0; i < connection_count; at += (int)readers[i++].count)
        if (readers[i].count) memcpy(all + at, readers[i].latencies, readers[i].count * sizeof(double));
    qsort(all, count, sizeof(double), by_value);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    for (char *at = readers[0].cache_status; *at; at++)
        if (*at == '"' || *at == '\\') *at = '\'';
    printf("{\"seconds\": %.6f, \"bytes\": %llu, \"requests\": %zu, \"p50\": %.6f, \"p99\": %.6f, \"max\": %.6f, "
           "\"cpu_seconds\": %.3f, \"cipher\": \"%s\", \"cache_status\": \"%s\"}\n",
           ended - began, (unsigned long long)bytes, count, percentile(all, count, 0.5), percentile(all, count, 0.99),
           percentile(all, count, 1),
           (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
           tls ? SSL_get_cipher(readers[0].link.ssl) : "", readers[0].cache_status);
}

static void parse(int count, char **arguments) {
    for (int i = 1; i + 1 < count; i += 2) {
        const char *name = arguments[i], *value = arguments[i + 1];
        if (strcmp(name, "--port") == 0) port = atoi(value);
        else if (strcmp(name, "--host") == 0) host = value;
        else if (strcmp(name, "--path") == 0) path = value;
        else if (strcmp(name, "--ca") == 0) ca = value;
        else if (strcmp(name, "--connections") == 0) connection_count = atoi(value);
        else if (strcmp(name, "--repeat") == 0) repeat = atoi(value);
        else if (strcmp(name, "--seconds") == 0) seconds = atof(value);
        else if (strcmp(name, "--header") == 0) header = value;
        else if (strcmp(name, "--part") == 0) part = atoll(value);
        else if (strcmp(name, "--pause") == 0) pause_seconds = atof(value);
        else fail(name);
    }
    if (body_size(path) < 0) fail("not /SIZE/NAME");
    if (part && seconds > 0) fail("--part goes by --repeat");
}

/* What there is to read: all at once, or part by part. */
static void plan(void) {
    int64_t size = body_size(path), step = part ? part : size;
    want_count = size ? (int)((size + step - 1) / step) : 1;
    wants = calloc((size_t)want_count, sizeof *wants);
    for (int i = 0; i < want_count; i++) {
        int64_t start = i * step, left = size - start;
        wants[i].start = start, wants[i].size = left < step ? left : step;
        wants[i].sum = sum_of_part(path, (uint64_t)start, (uint64_t)(start + wants[i].size));
    }
}

int main(int count, char **arguments) {
    parse(count, arguments);
    signal(SIGPIPE, SIG_IGN);
    if (seconds > 0) signal(SIGTERM, end);
    body_init();
    plan();
    if (ca) {
        tls = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION);
        SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
        /* One recv for many records: the servers are measured, not the client. */
        SSL_CTX_set_read_ahead(tls, 1);
        SSL_CTX_set_default_read_buffer_len(tls, BUFFER);
        if (SSL_CTX_load_verify_locations(tls, ca, NULL) != 1) fail("--ca cannot be read");
    }
    struct reader *readers = calloc((size_t)connection_count, sizeof *readers);
    pthread_barrier_init(&connected, NULL, (unsigned)connection_count + 1);
    pthread_barrier_init(&begun, NULL, (unsigned)connection_count + 1);
    for (int i = 0; i < connection_count; i++)
        if (pthread_create(&readers[i].thread, NULL, run_reader, &readers[i]) != 0) fail("no thread");
    pthread_barrier_wait(&connected);
    began = now();
    pthread_barrier_wait(&begun);
    for (int i = 0; i < connection_count; i++) pthread_join(readers[i].thread, NULL);
    report(readers);
    return 0;
}
