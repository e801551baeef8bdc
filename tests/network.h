/*
 * A network namespace of the test's own.
 */
#ifndef CLOSEWAIT_TESTS_NETWORK_H
#define CLOSEWAIT_TESTS_NETWORK_H

/*
 * Moves this process, and what it starts, into a network of its own with a loopback interface, in
 * which a socket that nobody holds waits in FIN_WAIT2 for fin_timeout_s. Skips the test where that
 * is not allowed.
 */
void network_own(int fin_timeout_s);

#endif
