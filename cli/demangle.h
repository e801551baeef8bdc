/*
 * Names as their programmer wrote them.
 */
#ifndef CLOSEWAIT_DEMANGLE_H
#define CLOSEWAIT_DEMANGLE_H

/*
 * A linker's name, readable: C++ and Rust (both of its schemes, without the hash) demangled, and
 * without the version that some symbol tables append. Another name comes back as it is. To be
 * freed; NULL when there is no memory.
 */
char *demangle(const char *name);

#endif
