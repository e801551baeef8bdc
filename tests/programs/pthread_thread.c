/*
 * shim/thread.h by pthread_create, for programs that are built with a sanitizer: it must know
 * every thread, and keeps what it knows in thread-local storage, which the shim's own has not.
 */
#define _GNU_SOURCE
#include "thread.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

/* Our close hides the sanitizer's, so it takes a reused number for one descriptor all along. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:fstat\n";
}

static pthread_t thread;
static void (*body)(void);
static bool started;

static void *run_body(void *unused)
{
    body();
    return unused;
}

bool thread_start(void (*run)(void))
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    body = run;
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int ret = pthread_create(&thread, NULL, run_body, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    started = ret == 0;
    return started;
}

bool thread_await_end(uint32_t patience_ms)
{
    (void)patience_ms;
    if (started)
        pthread_join(thread, NULL);
    started = false;
    return true;
}

int thread_id(void)
{
    return getpid(); /* any that has the program's descriptors will do */
}

void thread_apart(void (*what)(void *), void *with)
{
    what(with);
}

void thread_adopt(void)
{
    started = false;
}

/* Nothing is scanned in the programs that have this thread. */
bool thread_beside(void (*what)(void))
{
    (void)what;
    return false;
}

bool thread_beside_lives(void)
{
    return false;
}

void thread_beside_await(void)
{
}
