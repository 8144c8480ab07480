/* The bodies of the benchmarks, the same for the origin that sends them and the client that checks them.
 *
 * An object is named by its path, /SIZE/NAME. Its body repeats a random block of prime length, beginning at a phase
 * that depends on the name: a slice in the wrong place, or of another object, shows in the checksum.
 */
#pragma once
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { PERIOD = 1048573 }; /* the largest prime below 1 MiB */

static unsigned char body_block[2 * PERIOD]; /* twice: PERIOD bytes from any phase are one piece */

static void body_init(void) {
    uint64_t state = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < PERIOD; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        body_block[i] = body_block[i + PERIOD] = (unsigned char)(state >> 32);
    }
}

/* The size that a path names, or -1. */
static int64_t body_size(const char *path) {
    char *end;
    if (path[0] != '/' || path[1] < '0' || path[1] > '9') return -1;
    int64_t size = strtoll(path + 1, &end, 10);
    return *end == '/' ? size : -1;
}

static uint64_t body_phase(const char *path) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *path; path++) hash = (hash ^ (unsigned char)*path) * 0x100000001b3u;
    return hash % PERIOD;
}

/* A piece of the body at `at`; at most PERIOD of its bytes may be read. */
static const unsigned char *body_piece(uint64_t phase, uint64_t at) { return body_block + (phase + at) % PERIOD; }

/* Fletcher's checksum on four lanes of 64 bits: as fast as the cache is read, and sensitive to order. It finds faults,
 * not forgeries. */
typedef uint64_t lanes __attribute__((vector_size(32)));

struct sum {
    lanes a, b;
    uint64_t length;
    unsigned char tail[sizeof(lanes)];
};

static void sum_lanes(struct sum *sum, const unsigned char *data, size_t count) {
    lanes a = sum->a, b = sum->b, word;
    for (size_t i = 0; i < count; i++) {
        memcpy(&word, data + i * sizeof word, sizeof word);
        a += word;
        b += a;
    }
    sum->a = a, sum->b = b;
}

static void sum_add(struct sum *sum, const unsigned char *data, size_t size) {
    size_t held = sum->length % sizeof(lanes);
    sum->length += size;
    if (held) {
        size_t missing = sizeof(lanes) - held < size ? sizeof(lanes) - held : size;
        memcpy(sum->tail + held, data, missing);
        data += missing, size -= missing;
        if (held + missing < sizeof(lanes)) return;
        sum_lanes(sum, sum->tail, 1);
    }
    sum_lanes(sum, data, size / sizeof(lanes));
    memcpy(sum->tail, data + size / sizeof(lanes) * sizeof(lanes), size % sizeof(lanes));
}

static uint64_t sum_end(struct sum *sum) {
    size_t held = sum->length % sizeof(lanes);
    if (held) {
        memset(sum->tail + held, 0, sizeof(lanes) - held);
        sum_lanes(sum, sum->tail, 1);
    }
    uint64_t result = sum->length;
    for (int i = 0; i < 4; i++) {
        result = (result ^ sum->a[i]) * 0x9e3779b97f4a7c15u;
        result = (result ^ (result >> 29) ^ sum->b[i]) * 0xbf58476d1ce4e5b9u;
    }
    return result ^ (result >> 32);
}

/* The checksum that the bytes [start, stop) of the object of a path must have. */
__attribute__((unused)) static uint64_t sum_of_part(const char *path, uint64_t start, uint64_t stop) {
    struct sum sum = {0};
    uint64_t phase = body_phase(path);
    for (uint64_t at = start; at < stop; at += PERIOD)
        sum_add(&sum, body_piece(phase, at), stop - at < PERIOD ? stop - at : PERIOD);
    return sum_end(&sum);
}
