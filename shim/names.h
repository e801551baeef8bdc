/*
 * The words of the records: what JSON calls the values of each enumeration.
 */
#ifndef CLOSEWAIT_NAMES_H
#define CLOSEWAIT_NAMES_H

/* Each is indexed by its enumeration and ends with NULL; "" stands for what is not written. */
extern const char *const names_type[];    /* enum record_type */
extern const char *const names_class[];   /* enum leak_class */
extern const char *const names_how[];     /* enum how */
extern const char *const names_why[];     /* enum reap_why */
extern const char *const names_limited[]; /* enum limited */
extern const char *const names_outcome[]; /* enum fate */
extern const char *const names_holder[];  /* enum holder_kind */
extern const char *const names_trend[];   /* enum trend */
extern const char *const names_state[];   /* of TCP, <netinet/tcp.h> */

/* The index of a name, -1 when it is none. */
int names_find(const char *const *names, const char *name);

#endif
