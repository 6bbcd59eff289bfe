/* SMTP over TLS as load, from loopback and to it: what smtp-source and smtp-sink do not speak.
 *
 *   tls_peers source PORT SESSIONS AT-A-TIME OCTETS messages|new|resumed
 *       Sessions with STARTTLS. `messages`: each sends one message of OCTETS; `new`, `resumed`: each says QUIT after a
 *       full or a resumed handshake. Certificates are not verified. Status 1, and words, if any session fails.
 *   tls_peers sink PORT PEM
 *       takes all mail and prints `mesg=N`, a carriage return behind it, until it is killed.
 *
 * One process and epoll for each, in C, so that the machine's time goes to the mail systems that are compared: threads
 * in Python took as much for a message as Gatepost does.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINES = 32 * 1024, EVENTS = 256, LONGEST_MESSAGE = 64 * 1024, PATIENCE = 60 * 1000 /* ms without an event */ };

/* What the source waits for, in this order; the sink has HANDSHAKE, COMMAND, CONTENT. */
enum step { GREETING, HELLO, STARTTLS, HANDSHAKE, HELLO_AGAIN, MAIL, RCPT, DATA, SENT, BYE, COMMAND, CONTENT };

struct talk {
    int fd;
    enum step step;
    SSL *tls;
    SSL_SESSION *earlier; /* what the next session in this place may resume */
    size_t filled;
    char lines[LINES + 1];
};

static int poll_fd;
static SSL_CTX *context;

static _Noreturn void die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("tls_peers: ", stderr);
    vfprintf(stderr, format, args);
    fputs("\n", stderr);
    exit(1);
}

static void say(struct talk *talk, const char *octets, size_t length)
{
    /* Never more than an empty socket's buffer takes at once. */
    int written = talk->tls && talk->step != HANDSHAKE ? SSL_write(talk->tls, octets, (int) length)
                                                       : (int) send(talk->fd, octets, length, MSG_NOSIGNAL);

    if (written != (int) length)
        die("%d of %zu octets written, at step %d", written, length, talk->step);
}

static void say_line(struct talk *talk, const char *line)
{
    say(talk, line, strlen(line));
}

/* 1: octets have come; 0: none now; -1: the peer has gone. */
static int hear(struct talk *talk)
{
    int got, why;

    if (talk->filled == LINES)
        die("a line of over %d octets", LINES);
    if (talk->tls) {
        got = SSL_read(talk->tls, talk->lines + talk->filled, (int) (LINES - talk->filled));
        why = got > 0 ? 0 : SSL_get_error(talk->tls, got);
        if (why == SSL_ERROR_WANT_READ)
            return 0;
    } else {
        got = (int) recv(talk->fd, talk->lines + talk->filled, LINES - talk->filled, 0);
        if (got < 0 && errno == EAGAIN)
            return 0;
    }
    if (got <= 0) {
        ERR_clear_error();
        return -1;
    }
    talk->filled += (size_t) got;
    return 1;
}

/* 1: the handshake is over; 0: it waits for the peer; -1: it has failed. */
static int shake_hands(struct talk *talk)
{
    int done = SSL_do_handshake(talk->tls);

    if (done == 1)
        return 1;
    if (SSL_get_error(talk->tls, done) == SSL_ERROR_WANT_READ)
        return 0;
    return -1;
}

static void wrap(struct talk *talk)
{
    talk->tls = SSL_new(context);
    if (!talk->tls || !SSL_set_fd(talk->tls, talk->fd))
        die("no TLS: %s", ERR_error_string(ERR_get_error(), NULL));
    talk->step = HANDSHAKE;
    talk->filled = 0;
}

static void watch(struct talk *talk)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = talk}};
    int yes = 1;

    setsockopt(talk->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, talk->fd, &event) < 0)
        die("epoll_ctl: %s", strerror(errno));
}

static void part(struct talk *talk)
{
    if (talk->tls) {
        SSL_shutdown(talk->tls);
        ERR_clear_error();
        SSL_free(talk->tls);
        talk->tls = NULL;
    }
    close(talk->fd);
}

static struct sockaddr_in loopback(const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short) atoi(port))};

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* The source. */

static struct sockaddr_in server;
static long to_begin, to_end;
static enum { MESSAGES, NEW, RESUMED } kind;
static char message[LONGEST_MESSAGE + 128];
static size_t message_length;

static void compose(size_t octets)
{
    static const char head[] = "Subject: load\r\n\r\n";
    size_t at;

    if (octets > LONGEST_MESSAGE || octets < sizeof head)
        die("a message has %zu to %d octets", sizeof head, LONGEST_MESSAGE);
    memcpy(message, head, sizeof head - 1);
    for (at = sizeof head - 1; at < octets; at++)
        message[at] = "x\r\n"[(at % 80 >= 78) * (at % 80 - 77)];
    if (message[octets - 1] == '\r')
        message[octets - 1] = 'x';
    memcpy(message + octets, "\r\n.\r\n", 5);
    message_length = octets + 5;
}

static void begin(struct talk *talk)
{
    if (to_begin-- <= 0)
        return;
    talk->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    talk->step = GREETING;
    talk->filled = 0;
    if (connect(talk->fd, (struct sockaddr *) &server, sizeof server) < 0 && errno != EINPROGRESS)
        die("connect: %s", strerror(errno));
    watch(talk);
}

static void want(struct talk *talk, const char *reply, const char *code)
{
    if (strncmp(reply, code, 3))
        die("wanted %s at step %d, got %.100s", code, talk->step, reply);
}

/* Go on with the handshake, and behind it if it is over: the server may be as quick as that at the first call. */
static void secure(struct talk *talk)
{
    int done = shake_hands(talk);

    if (done < 0)
        die("handshake: %s", ERR_error_string(ERR_get_error(), NULL));
    if (!done)
        return;
    if (talk->earlier && !SSL_session_reused(talk->tls))
        die("the session was not resumed");
    talk->step = kind == MESSAGES ? HELLO_AGAIN : BYE;
    say_line(talk, kind == MESSAGES ? "EHLO load.bench.test\r\n" : "QUIT\r\n");
}

/* A whole reply, its last line. */
static void answer(struct talk *talk, const char *reply)
{
    switch (talk->step) {
    case GREETING:
        want(talk, reply, "220");
        say_line(talk, "EHLO load.bench.test\r\n");
        break;
    case HELLO:
        want(talk, reply, "250");
        say_line(talk, "STARTTLS\r\n");
        break;
    case STARTTLS:
        want(talk, reply, "220");
        wrap(talk);
        SSL_set_connect_state(talk->tls);
        if (talk->earlier && !SSL_set_session(talk->tls, talk->earlier))
            die("a session cannot be resumed");
        secure(talk);
        return;
    case HELLO_AGAIN:
        want(talk, reply, "250");
        say_line(talk, "MAIL FROM:<sender@bench.test>\r\nRCPT TO:<rcpt@example.test>\r\nDATA\r\n");
        break;
    case MAIL:
    case RCPT:
        want(talk, reply, "250");
        break;
    case DATA:
        want(talk, reply, "354");
        say(talk, message, message_length);
        break;
    case SENT:
        want(talk, reply, "250");
        say_line(talk, "QUIT\r\n");
        break;
    default:
        want(talk, reply, "221");
        if (kind == RESUMED) {
            SSL_SESSION_free(talk->earlier);
            talk->earlier = SSL_get1_session(talk->tls);
        }
        part(talk);
        to_end--;
        begin(talk);
        return;
    }
    talk->step++;
}

static void source_event(struct talk *talk)
{
    int heard;

    if (talk->step == HANDSHAKE)
        secure(talk);
    if (talk->step == HANDSHAKE)
        return;
    while ((heard = hear(talk)) > 0) {
        char *end;

        while ((end = memchr(talk->lines, '\n', talk->filled))) {
            size_t length = (size_t) (end + 1 - talk->lines);
            int last = length > 4 && talk->lines[3] != '-';

            if (last) {
                int over = talk->step == BYE || talk->step == STARTTLS;

                *end = 0;
                answer(talk, talk->lines);
                if (over)
                    return; /* what is in the buffers is looked for when more comes: there is a reply to wait for */
            }
            memmove(talk->lines, end + 1, talk->filled -= length);
        }
    }
    if (heard < 0)
        die("the connection was lost at step %d", talk->step);
}

static int source(char **args)
{
    long places = atol(args[2]), each;
    struct talk *talks = calloc((size_t) places, sizeof *talks);
    struct epoll_event events[EVENTS];

    server = loopback(args[0]);
    to_begin = to_end = atol(args[1]);
    compose((size_t) atol(args[3]));
    kind = !strcmp(args[4], "messages") ? MESSAGES : !strcmp(args[4], "new") ? NEW : RESUMED;
    context = SSL_CTX_new(TLS_client_method());
    for (each = 0; each < places; each++)
        begin(talks + each);
    while (to_end > 0) {
        int ready = epoll_wait(poll_fd, events, EVENTS, PATIENCE);

        if (ready == 0)
            die("nothing has happened for %d ms, %ld sessions are left", PATIENCE, to_end);
        while (ready-- > 0)
            source_event(events[ready].data.ptr);
    }
    return 0;
}

/* The sink. */

static long taken;

static void obey(struct talk *talk, const char *line)
{
    if (talk->step == CONTENT) {
        if (!strcmp(line, ".\r\n")) {
            taken++;
            talk->step = COMMAND;
            say_line(talk, "250 2.0.0 ok\r\n");
        }
    } else if (!strncasecmp(line, "EHLO", 4))
        say_line(talk, talk->tls ? "250-sink\r\n250-PIPELINING\r\n250-SIZE 0\r\n250 8BITMIME\r\n"
                                 : "250-sink\r\n250-PIPELINING\r\n250-SIZE 0\r\n250-8BITMIME\r\n250 STARTTLS\r\n");
    else if (!strncasecmp(line, "STARTTLS", 8)) {
        say_line(talk, "220 go\r\n");
        wrap(talk);
        SSL_set_accept_state(talk->tls);
    } else if (!strncasecmp(line, "DATA", 4)) {
        talk->step = CONTENT;
        say_line(talk, "354 go\r\n");
    } else
        say_line(talk, strncasecmp(line, "QUIT", 4) ? "250 2.0.0 ok\r\n" : "221 bye\r\n");
}

static void sink_event(struct talk *talk)
{
    int heard;

    if (talk->step == HANDSHAKE) {
        heard = shake_hands(talk);
        if (heard > 0)
            talk->step = COMMAND;
        else {
            if (heard < 0)
                goto gone;
            return;
        }
    }
    while ((heard = hear(talk)) > 0) {
        char *line = talk->lines, *end;

        while ((end = memchr(line, '\n', talk->filled))) {
            char next = end[1];

            talk->filled -= (size_t) (end + 1 - line);
            end[1] = 0;
            obey(talk, line);
            if (talk->step == HANDSHAKE)
                return;
            end[1] = next;
            line = end + 1;
        }
        memmove(talk->lines, line, talk->filled);
    }
    if (heard == 0)
        return;
gone:
    part(talk);
    free(talk);
}

static _Noreturn void sink(char **args)
{
    struct sockaddr_in address = loopback(args[0]);
    int yes = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct epoll_event events[EVENTS], event = {.events = EPOLLIN};
    long told = -1;

    context = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(context, args[1]) != 1
        || SSL_CTX_use_PrivateKey_file(context, args[1], SSL_FILETYPE_PEM) != 1)
        die("%s: %s", args[1], ERR_error_string(ERR_get_error(), NULL));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *) &address, sizeof address) < 0 || listen(listener, 1024) < 0
        || epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &event) < 0)
        die("port %s: %s", args[0], strerror(errno));
    for (;;) {
        int ready = epoll_wait(poll_fd, events, EVENTS, -1);

        while (ready-- > 0) {
            struct talk *talk = events[ready].data.ptr;

            if (talk) {
                sink_event(talk);
                continue;
            }
            int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
            if (fd < 0)
                continue;
            talk = calloc(1, sizeof *talk);
            talk->fd = fd;
            talk->step = COMMAND;
            watch(talk);
            say_line(talk, "220 sink ESMTP\r\n");
        }
        if (taken != told) {
            printf("mesg=%ld\r", told = taken);
            fflush(stdout);
        }
    }
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    poll_fd = epoll_create1(0);
    if (argc == 7 && !strcmp(argv[1], "source"))
        return source(argv + 2);
    if (argc == 4 && !strcmp(argv[1], "sink"))
        sink(argv + 2);
    die("usage: tls_peers source PORT SESSIONS AT-A-TIME OCTETS messages|new|resumed; tls_peers sink PORT PEM");
}
