/* A fast SNMP v1/v2c responder for the benchmarks: it answers from a table, as fast as the machine allows, and counts.
 *
 *   responder TABLE COUNTERS ADDRESS,... PORT...
 *
 * TABLE: a line an object in lexicographic order: the OID's arcs in decimal with dots, a space, the whole variable binding in hex (BER).
 * COUNTERS: a file that is mapped; for each port three 64-bit numbers in this machine's order: datagrams in, bytes in, bytes out.
 * It binds each port on each of the addresses, all of which must be loopback, writes "ready" and runs until it is killed.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ARCS = 128, OBJECTS = 4096, ASKED = 64, DATAGRAM = 65536, ANSWER = 1400, SOCKETS = 256 };
enum { GET = 0xA0, GET_NEXT = 0xA1, RESPONSE = 0xA2, GET_BULK = 0xA5, SEQUENCE = 0x30, OID = 0x06, INTEGER = 0x02 };

typedef struct { uint32_t arc[ARCS]; int n; } oid;
typedef struct { oid name; uint8_t *binding; int size; } object;
typedef struct { const uint8_t *at, *end; } reader;
typedef struct { int fd; volatile uint64_t *count; } endpoint;

static object table[OBJECTS];
static int objects;

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* --- the table */

static void load(const char *path) {
    static char line[DATAGRAM];
    FILE *file = fopen(path, "r");
    if (!file) die(path);
    while (fgets(line, sizeof line, file)) {
        if (objects == OBJECTS) { fprintf(stderr, "%s: more than %d objects\n", path, OBJECTS); exit(1); }
        object *o = &table[objects++];
        char *c = line;
        for (;;) {
            if (o->name.n == ARCS) { fprintf(stderr, "%s: an OID is too long\n", path); exit(1); }
            o->name.arc[o->name.n++] = (uint32_t)strtoul(c, &c, 10);
            if (*c != '.') break;
            c++;
        }
        while (*c == ' ') c++;
        o->size = (int)(strcspn(c, "\n") / 2);
        o->binding = malloc((size_t)o->size + 1);
        if (!o->binding) die("memory");
        for (int i = 0; i < o->size; i++) {
            unsigned byte;
            if (sscanf(c + 2 * i, "%2x", &byte) != 1) { fprintf(stderr, "%s: not hex\n", path); exit(1); }
            o->binding[i] = (uint8_t)byte;
        }
    }
    fclose(file);
}

static int compare(const oid *a, const oid *b) {
    int n = a->n < b->n ? a->n : b->n;
    for (int i = 0; i < n; i++)
        if (a->arc[i] != b->arc[i]) return a->arc[i] < b->arc[i] ? -1 : 1;
    return a->n - b->n;
}

/* The first object that is not before this OID; `objects` when there is none. */
static int place(const oid *wanted) {
    int low = 0, high = objects;
    while (low < high) {
        int middle = (low + high) / 2;
        if (compare(&table[middle].name, wanted) < 0) low = middle + 1; else high = middle;
    }
    return low;
}

/* --- BER */

static int element(reader *r, int *tag, reader *content) {
    if (r->end - r->at < 2) return 0;
    *tag = *r->at++;
    long size = *r->at++;
    if (size & 0x80) {
        int width = (int)(size & 0x7f);
        if (width < 1 || width > 3 || r->end - r->at < width) return 0;
        for (size = 0; width; width--) size = size << 8 | *r->at++;
    }
    if (size > r->end - r->at) return 0;
    *content = (reader){r->at, r->at + size};
    r->at += size;
    return 1;
}

static long number(const reader *content) {
    long value = content->at < content->end && *content->at & 0x80 ? -1 : 0;
    for (const uint8_t *c = content->at; c < content->end; c++) value = (long)((unsigned long)value << 8 | *c);
    return value;
}

static int read_oid(const reader *content, oid *found) {
    uint64_t arc = 0;
    if (content->at == content->end) return 0;
    found->n = 0;
    for (const uint8_t *c = content->at; c < content->end; c++) {
        arc = arc << 7 | (*c & 0x7f);
        if (*c & 0x80) continue;
        if (found->n == 0) {
            uint32_t top = arc < 80 ? (uint32_t)arc / 40 : 2;
            found->arc[found->n++] = top;
            arc -= top * 40;
        }
        if (found->n == ARCS) return 0;
        found->arc[found->n++] = (uint32_t)arc;
        arc = 0;
    }
    return 1;
}

/* Writers work backwards, so that lengths are known when they are written. */
typedef struct { uint8_t *start, *at; } writer;

static void put(writer *w, const void *bytes, size_t size) {
    w->at -= size;
    memcpy(w->at, bytes, size);
}

static void head(writer *w, const uint8_t *end, int tag) {
    size_t size = (size_t)(end - w->at);
    uint8_t bytes[4] = {(uint8_t)tag};
    int n;
    if (size < 0x80) { bytes[1] = (uint8_t)size; n = 2; }
    else if (size < 0x100) { bytes[1] = 0x81; bytes[2] = (uint8_t)size; n = 3; }
    else { bytes[1] = 0x82; bytes[2] = (uint8_t)(size >> 8); bytes[3] = (uint8_t)size; n = 4; }
    put(w, bytes, (size_t)n);
}

/* --- one datagram */

static int missing(uint8_t *out, const reader *name, int exception) {
    static uint8_t space[1024];
    writer w = {space, space + sizeof space};
    const uint8_t *end = w.at;
    uint8_t value[2] = {(uint8_t)exception, 0};
    put(&w, value, 2);
    const uint8_t *behind = w.at;
    put(&w, name->at, (size_t)(name->end - name->at));
    head(&w, behind, OID);
    head(&w, end, SEQUENCE);
    int size = (int)(end - w.at);
    memcpy(out, w.at, (size_t)size);
    return size;
}

static int bindings(int kind, long once, long repetitions, reader list, uint8_t *out) {
    static oid names[ASKED];
    static reader raw[ASKED];
    int at[ASKED], asked = 0, size = 0, tag;
    reader binding;
    while (list.at < list.end) {
        if (asked == ASKED || !element(&list, &tag, &binding) || tag != SEQUENCE) return -1;
        if (!element(&binding, &tag, &raw[asked]) || tag != OID || raw[asked].end - raw[asked].at > 512 || !read_oid(&raw[asked], &names[asked])) return -1;
        asked++;
    }
    for (int i = 0; i < asked; i++) {
        int found = place(&names[i]);
        int exact = found < objects && compare(&table[found].name, &names[i]) == 0;
        at[i] = found + (kind != GET && exact);
        if (kind == GET_BULK && i >= once) continue;
        if (kind == GET ? exact : at[i] < objects) {
            memcpy(out + size, table[at[i]].binding, (size_t)table[at[i]].size);
            size += table[at[i]].size;
        } else {
            size += missing(out + size, &raw[i], kind == GET ? 0x80 : 0x82);
        }
    }
    for (long row = 0; kind == GET_BULK && row < repetitions; row++)
        for (int i = (int)once; i < asked; i++) {
            if (at[i] >= objects) return size + missing(out + size, &raw[i], 0x82);
            if (size + table[at[i]].size > ANSWER) return size;
            memcpy(out + size, table[at[i]].binding, (size_t)table[at[i]].size);
            size += table[at[i]++].size;
        }
    return size;
}

/* The answer ends at out + DATAGRAM; returns its size, 0 for silence. */
static int answer(const uint8_t *in, int size, uint8_t *out, const uint8_t **begin) {
    static uint8_t list[DATAGRAM];
    reader all = {in, in + size}, message, version, community, pdu, id, first, second, asked;
    int tag, kind;
    if (!element(&all, &tag, &message) || tag != SEQUENCE) return 0;
    const uint8_t *front = message.at;
    if (!element(&message, &tag, &version) || !element(&message, &tag, &community)) return 0;
    size_t front_size = (size_t)(message.at - front);
    if (!element(&message, &kind, &pdu) || (kind != GET && kind != GET_NEXT && kind != GET_BULK)) return 0;
    const uint8_t *whole_id = pdu.at;
    if (!element(&pdu, &tag, &id) || tag != INTEGER) return 0;
    size_t id_size = (size_t)(pdu.at - whole_id);
    if (!element(&pdu, &tag, &first) || !element(&pdu, &tag, &second) || !element(&pdu, &tag, &asked)) return 0;
    long once = kind == GET_BULK ? number(&first) : 0, repetitions = kind == GET_BULK ? number(&second) : 0;
    int n = bindings(kind, once < 0 ? 0 : once, repetitions, asked, list);
    if (n < 0) return 0;
    writer w = {out, out + DATAGRAM};
    const uint8_t *end = w.at;
    put(&w, list, (size_t)n);
    head(&w, end, SEQUENCE);
    put(&w, "\x02\x01\x00\x02\x01\x00", 6);
    put(&w, whole_id, id_size);
    head(&w, end, RESPONSE);
    put(&w, front, front_size);
    head(&w, end, SEQUENCE);
    *begin = w.at;
    return (int)(end - w.at);
}

int main(int argc, char **argv) {
    static endpoint endpoints[SOCKETS];
    static uint8_t in[DATAGRAM], out[DATAGRAM];
    if (argc < 5) { fprintf(stderr, "usage: responder TABLE COUNTERS ADDRESS,... PORT...\n"); return 2; }
    load(argv[1]);
    int ports = argc - 4, file = open(argv[2], O_RDWR | O_CREAT, 0600), n = 0, poll = epoll_create1(0);
    size_t size = (size_t)ports * 3 * sizeof(uint64_t);
    if (file < 0 || ftruncate(file, (off_t)size) || poll < 0) die(argv[2]);
    volatile uint64_t *counters = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (counters == MAP_FAILED) die(argv[2]);
    for (char *address = strtok(argv[3], ","); address; address = strtok(NULL, ","))
        for (int p = 0; p < ports; p++, n++) {
            struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[4 + p]))};
            int room = 4 << 20;
            if (n == SOCKETS || inet_pton(AF_INET, address, &here.sin_addr) != 1 || (ntohl(here.sin_addr.s_addr) >> 24) != 127) {
                fprintf(stderr, "%s: not an address of 127.0.0.0/8, or too many\n", address);
                return 2;
            }
            endpoints[n] = (endpoint){socket(AF_INET, SOCK_DGRAM, 0), counters + 3 * p};
            setsockopt(endpoints[n].fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
            if (bind(endpoints[n].fd, (struct sockaddr *)&here, sizeof here)) die(address);
            struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = &endpoints[n]};
            if (epoll_ctl(poll, EPOLL_CTL_ADD, endpoints[n].fd, &wanted)) die("epoll");
        }
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct epoll_event ready[64];
        int count = epoll_wait(poll, ready, 64, -1);
        for (int i = 0; i < count; i++) {
            endpoint *e = ready[i].data.ptr;
            struct sockaddr_in from;
            socklen_t known = sizeof from;
            int got = (int)recvfrom(e->fd, in, sizeof in, MSG_DONTWAIT, (struct sockaddr *)&from, &known);
            if (got <= 0) continue;
            const uint8_t *begin = out;
            int back = answer(in, got, out, &begin);
            e->count[0]++;
            e->count[1] += (uint64_t)got;
            if (back <= 0) continue;
            e->count[2] += (uint64_t)back;
            sendto(e->fd, begin, (size_t)back, MSG_DONTWAIT, (struct sockaddr *)&from, known);
        }
    }
}
