/* Many readers of one stream, cheap enough not to be what is measured.
 *
 *   reader PORT CONNECTIONS PATH WARM_SECONDS SECONDS [MARKS_FILE MARK]
 *
 * Opens CONNECTIONS to 127.0.0.1:PORT, asks for PATH (none where it is "-": a raw socket that only listens), waits until
 * each has heard an event, then WARM_SECONDS, then counts blank lines (the ends of events) for SECONDS, and prints
 *   {"deliveries": …, "seconds": …, "bytes": …, "lost": …}
 * With MARKS_FILE each number that follows the text MARK is written there as (number, CLOCK_REALTIME ns), 16 bytes each.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFER (256 * 1024)
#define CARRY 64

struct connection { int fd; int heard; char last; int carried; char carry[CARRY]; };

static struct connection *all;
static uint64_t *marks;
static size_t mark_count, mark_room;
static const char *mark;
static size_t mark_length;

static uint64_t now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void fail(const char *what) { perror(what); exit(1); }

static void note_marks(struct connection *c, char *text, size_t length) {
    uint64_t moment = now(CLOCK_REALTIME);
    char *place = text, *end = text + length;
    c->carried = 0;
    while ((place = memmem(place, (size_t)(end - place), mark, mark_length))) {
        char *digit = place + mark_length;
        uint64_t number = 0;
        while (digit < end && *digit >= '0' && *digit <= '9') number = number * 10 + (uint64_t)(*digit++ - '0');
        if (digit == end) break; /* the number may go on in the next read */
        if (mark_count + 2 > mark_room) {
            mark_room = mark_room ? mark_room * 2 : 1 << 20;
            marks = realloc(marks, mark_room * sizeof *marks);
            if (!marks) fail("realloc");
        }
        marks[mark_count++] = number;
        marks[mark_count++] = moment;
        place = digit;
    }
    /* Keep what may be the beginning of a mark that this read has cut. */
    size_t tail = place ? (size_t)(end - place) : (length < mark_length - 1 ? length : mark_length - 1);
    if (tail > CARRY) tail = CARRY;
    memcpy(c->carry, end - tail, tail);
    c->carried = (int)tail;
}

int main(int argc, char **argv) {
    if (argc < 6) { fprintf(stderr, "usage: reader PORT CONNECTIONS PATH WARM SECONDS [MARKS_FILE MARK]\n"); return 2; }
    int port = atoi(argv[1]), count = atoi(argv[2]), waiting = count, lost = 0, open_now = count;
    double warm = atof(argv[4]), seconds = atof(argv[5]);
    if (argc > 7) { mark = argv[7]; mark_length = strlen(mark); }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    char request[512];
    int size = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n", argv[3]);
    int poll_fd = epoll_create1(0);
    all = calloc((size_t)count, sizeof *all);
    char *buffer = malloc(CARRY + BUFFER);
    if (!all || !buffer) fail("malloc");
    for (int i = 0; i < count; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
        if (strcmp(argv[3], "-") != 0 && write(fd, request, (size_t)size) != size) fail("write");
        all[i].fd = fd;
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
    }
    uint64_t begin = 0, finish = 0, deliveries = 0, bytes = 0, started = now(CLOCK_MONOTONIC);
    int counting = 0;
    struct epoll_event events[256];
    while (open_now) {
        int ready = epoll_wait(poll_fd, events, 256, 100);
        uint64_t moment = now(CLOCK_MONOTONIC);
        if (!waiting && !begin) begin = moment + (uint64_t)(warm * 1e9), finish = begin + (uint64_t)(seconds * 1e9);
        if (begin && !counting && moment >= begin) { counting = 1; begin = moment; deliveries = bytes = 0; }
        if (counting && moment >= finish) { finish = moment; break; }
        if (waiting && moment - started > 60000000000ull) { fprintf(stderr, "%d never heard an event\n", waiting); return 1; }
        for (int i = 0; i < ready; i++) {
            struct connection *c = &all[events[i].data.u32];
            char *text = buffer + CARRY;
            ssize_t got = read(c->fd, text, BUFFER);
            if (got <= 0) {
                if (got < 0 && errno == EINTR) continue;
                close(c->fd);
                lost++, open_now--;
                continue;
            }
            uint64_t ends = 0;
            char last = c->last, *place = text, *end = text + got;
            /* A blank line: two line feeds in a row, also across reads. */
            while ((place = memchr(place, '\n', (size_t)(end - place)))) {
                if ((place == text ? last : place[-1]) == '\n') ends++;
                place++;
            }
            c->last = end[-1];
            deliveries += ends;
            bytes += (uint64_t)got;
            if (!c->heard && ends > 0) { c->heard = 1; waiting--; }
            if (mark && counting) {
                memcpy(text - c->carried, c->carry, (size_t)c->carried);
                note_marks(c, text - c->carried, (size_t)(got + c->carried));
            }
        }
    }
    double lasted = counting ? (double)(finish - begin) / 1e9 : 0;
    printf("{\"deliveries\": %llu, \"seconds\": %.6f, \"bytes\": %llu, \"lost\": %d}\n", (unsigned long long)deliveries, lasted,
           (unsigned long long)bytes, lost);
    if (argc > 6) {
        FILE *file = fopen(argv[6], "wb");
        if (!file || fwrite(marks, sizeof *marks, mark_count, file) != mark_count || fclose(file)) fail(argv[6]);
    }
    return 0;
}
