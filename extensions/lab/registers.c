// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Lets a user-mode kernel run on CPUs whose extended registers it has no room for, such as those with AMX.
 *
 * Such a kernel reads and sets the registers of its processes by ptrace, in a buffer that is large enough for AVX-512 and no
 * more. The host gives it the part that fits, but takes nothing except the whole (xstateregs_set in arch/x86/kernel/fpu/regset.c
 * answers EFAULT), so the kernel panics at its first process. Put in front of the C library's by LD_PRELOAD, this ptrace fills
 * the rest up with what the process has; that is the initial state, since nothing here asks the host for AMX.
 *
 * It also gives a kernel that starts anew in place, as at a reboot, a quiet start. Its process stays the same, and with it signals that
 * are pending and files that raise one when there is something to read. Such a signal, in the first moments of the new kernel, finds
 * nothing that could handle it, and the kernel runs in a circle for ever.
 *
 * No header of the C library is needed: gcc alone compiles this.
 */
#include <stdarg.h>

enum { SIGKILL = 9, SIGSTOP = 19, SIGNALS = 32, FILES = 256, F_GETFL = 3, F_SETFL = 4, O_ASYNC = 020000 };
enum { PEEKTEXT = 1, PEEKUSER = 3, GETREGSET = 0x4204, SETREGSET = 0x4205, XSTATE = 0x202, SYS_PTRACE = 101 };

struct iovec {
    void *base;
    unsigned long length;
};

extern long syscall(long number, ...);
extern int *__errno_location(void);
extern void (*signal(int number, void (*handler)(int)))(int);
extern int fcntl(int file, int command, ...);

static void __attribute__((constructor)) start_quietly(void)
{
    for (int file = 3; file < FILES; file++) {
        int flags = fcntl(file, F_GETFL);
        if (flags >= 0 && flags & O_ASYNC)
            fcntl(file, F_SETFL, flags & ~O_ASYNC);
    }
    for (int number = 1; number < SIGNALS; number++)
        if (number != SIGKILL && number != SIGSTOP) {
            void (*before)(int) = signal(number, (void (*)(int))1); // to ignore a signal forgets one that is pending
            signal(number, before);
        }
}

static char whole[65536] __attribute__((aligned(64))); // not on the stack: that of a user-mode kernel is small

long ptrace(int request, ...)
{
    va_list words;
    va_start(words, request);
    long pid = va_arg(words, int), address = va_arg(words, long);
    void *data = va_arg(words, void *);
    va_end(words);

    if (request >= PEEKTEXT && request <= PEEKUSER) { // the C library returns what the system call stores
        long word, result = syscall(SYS_PTRACE, request, pid, address, &word);
        if (result < 0)
            return result;
        *__errno_location() = 0;
        return word;
    }
    if (request == SETREGSET && address == XSTATE) {
        struct iovec *part = data, full = {whole, sizeof whole};
        if (syscall(SYS_PTRACE, GETREGSET, pid, address, &full) == 0 && full.length > part->length) {
            for (unsigned long each = 0; each < part->length; each++)
                whole[each] = ((char *)part->base)[each];
            return syscall(SYS_PTRACE, SETREGSET, pid, address, &full);
        }
    }
    return syscall(SYS_PTRACE, request, pid, address, data);
}
