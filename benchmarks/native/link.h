/* A connected socket, plain or TLS, with blocking calls. */
#pragma once
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/types.h>

struct link {
    int fd;
    SSL *ssl; /* NULL: plain */
};

/* recv: 0 at the end, -1 on an error. */
static ssize_t link_read(struct link *link, void *buffer, size_t size) {
    if (!link->ssl) return recv(link->fd, buffer, size, 0);
    size_t taken = 0;
    if (SSL_read_ex(link->ssl, buffer, size, &taken)) return (ssize_t)taken;
    return SSL_get_error(link->ssl, 0) == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

/* Sends all; 0, or -1 on an error. `more`: more follows at once. */
static int link_write(struct link *link, const void *data, size_t size, int more) {
    const char *at = data;
    while (size) {
        ssize_t sent;
        if (link->ssl) {
            size_t taken = 0;
            sent = SSL_write_ex(link->ssl, at, size, &taken) ? (ssize_t)taken : -1;
        } else {
            sent = send(link->fd, at, size, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
        }
        if (sent <= 0) return -1;
        at += sent, size -= (size_t)sent;
    }
    return 0;
}

/* Reads a head into `head`, which holds `*held` bytes already and gets a NUL behind them; the head's length with its
 * empty line, 0 where the peer ended before a head began, -1 on an error. */
static ssize_t link_read_head(struct link *link, char *head, size_t capacity, size_t *held) {
    for (;;) {
        head[*held] = '\0';
        char *end = strstr(head, "\r\n\r\n");
        if (end) return end + 4 - head;
        if (*held + 1 >= capacity) return -1;
        ssize_t got = link_read(link, head + *held, capacity - 1 - *held);
        if (got <= 0) return got == 0 && *held == 0 ? 0 : -1;
        *held += (size_t)got;
    }
}

/* The value of a field of a head, as it stands there; NULL where there is none. Its length goes to `*size`. */
static const char *head_field(const char *head, const char *name, size_t *size) {
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line && line[2] != '\r'; line = strstr(line + 2, "\r\n")) {
        const char *at = line + 2;
        if (strncasecmp(at, name, length) != 0 || at[length] != ':') continue;
        at += length + 1;
        while (*at == ' ') at++;
        *size = (size_t)(strstr(at, "\r\n") - at);
        return at;
    }
    return NULL;
}
