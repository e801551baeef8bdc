/*
 * What is seen and done from outside, as the shim's records have it: how a socket came to the
 * process is not known ("found"), nor where.
 */
#ifndef CLOSEWAIT_FOUND_RECORD_H
#define CLOSEWAIT_FOUND_RECORD_H

#include "ending.h"
#include "found.h"
#include "record.h"

/* On its first descriptor, the others as copies. How long it is open is for the caller to say. */
struct leak found_leak(const struct found *found);

/* The record of its closing; error is the errno of what failed, or 0. */
struct record found_reap(const struct found *found, int error, enum ending ending);

#endif
