/*
 * The version of all that is built from here: the command, the shim, the packages, the tarball.
 * This line owns it; the Makefile reads it from here, and tests/version.c compares the CHANGELOG.
 */
#ifndef CLOSEWAIT_VERSION_H
#define CLOSEWAIT_VERSION_H

#define CLOSEWAIT_VERSION "0.8.0"

#endif
