/*
 * What the fuzzers share. Each is one function that libFuzzer calls with one input after another;
 * `make fuzz` runs them.
 */
#ifndef CLOSEWAIT_TESTS_FUZZ_H
#define CLOSEWAIT_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* libFuzzer's own names. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* What holds whatever the input is. */
#define must_hold(condition)                                                                       \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#endif
