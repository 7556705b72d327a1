/* SPDX-License-Identifier: MIT
 *
 * rawdisk.c - what the disk gives to whoever appends by hand: so many pieces by one pwritev, one fdatasync, again
 * and again. The yardstick for long synced writes. Usage: bench-rawdisk FOLDER SECONDS PIECE_LEN PIECE_COUNT;
 * prints one JSON object.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PIECE_COUNT_MAX 64u
#define PIECE_LEN_MAX   (64u << 20)

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint8_t *make_piece(size_t len)
{
    uint8_t *piece = malloc(len);
    for (size_t i = 0; piece != NULL && i < len; i++)
        piece[i] = (uint8_t)(i * 31 + (i >> 8));
    return piece;
}

/* Returns the bytes written; 0: failed. */
static uint64_t append_for(int fd, double seconds, const struct iovec *pieces, size_t count, double *ret_seconds)
{
    uint64_t group_len = pieces[0].iov_len * count;
    uint64_t written = 0;
    double began = now_s();
    do {
        ssize_t len = pwritev(fd, pieces, (int)count, (off_t)written);
        if (len < 0 || (uint64_t)len != group_len || fdatasync(fd) != 0)
            return 0;
        written += group_len;
        *ret_seconds = now_s() - began;
    } while (*ret_seconds < seconds);
    return written;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fputs("usage: bench-rawdisk FOLDER SECONDS PIECE_LEN PIECE_COUNT\n", stderr);
        return 2;
    }
    size_t len = strtoul(argv[3], NULL, 10);
    size_t count = strtoul(argv[4], NULL, 10);
    if (len == 0 || len > PIECE_LEN_MAX || count == 0 || count > PIECE_COUNT_MAX)
        return 2;
    char path[4096];
    snprintf(path, sizeof path, "%s/rawdisk", argv[1]);
    uint8_t *piece = make_piece(len);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct iovec pieces[PIECE_COUNT_MAX];
    for (size_t i = 0; i < count; i++)
        pieces[i] = (struct iovec){.iov_base = piece, .iov_len = len};
    double took = 0;
    uint64_t written = fd < 0 || piece == NULL ? 0 : append_for(fd, strtod(argv[2], NULL), pieces, count, &took);
    if (written == 0)
        perror("bench-rawdisk");
    else
        printf("{\"bytes_per_sec\":%.0f,\"pieces_per_sec\":%.1f}\n", (double)written / took,
               (double)written / (double)len / took);
    close(fd);
    unlink(path);
    free(piece);
    return written == 0;
}
