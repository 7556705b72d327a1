/* SPDX-License-Identifier: MIT
 *
 * seat.h - a small number that one running thread has to itself, so that what it counts or announces in the place
 * of that number needs no locked instruction: nobody else writes there.
 *
 * A thread takes a seat when it first asks and gives it back when it ends. Who takes it next sees all that the one
 * before wrote. Where every seat is taken a thread stands: it shares its places with others and uses locked
 * instructions, until a seat is free. The process must not fork while other threads have seats.
 */
#ifndef RD_ENGINE_SEAT_H
#define RD_ENGINE_SEAT_H

#define RD_SEATS 32u /* readers that run at full speed */

extern _Thread_local unsigned rd_seat_mine; /* this file's and seat.c's */

/* Takes a seat; RD_SEATS where none is free, or the thread is about to end. */
unsigned rd_seat_take(void);

/* This thread's seat, below RD_SEATS; or RD_SEATS: it stands. */
static inline unsigned rd_seat(void)
{
    unsigned mine = rd_seat_mine;
    return __builtin_expect(mine != 0, 1) ? mine - 1 : rd_seat_take();
}

#endif
