/* SPDX-License-Identifier: MIT
 *
 * compiler.h - what is said to the compiler where a measurement asks for it, and nowhere else.
 */
#ifndef RD_BASE_COMPILER_H
#define RD_BASE_COMPILER_H

/* A function in the path of every read or every entry: a call, and what it spills, costs more than it does. */
#define RD_ALWAYS_INLINE static inline __attribute__((always_inline))

/* A function that is called seldom: keeps what it needs out of the one that calls it. */
#define RD_COLD __attribute__((noinline, cold))

#if defined(__SANITIZE_THREAD__)
#define RD_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RD_THREAD_SANITIZER 1
#endif
#endif

#define RD_LIKELY(condition)   __builtin_expect(!!(condition), 1)
#define RD_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

#endif
