/*
 * The container that a process runs in, as the path of its cgroup names it: what runs containers
 * gives each a cgroup of its own, and puts the container's id or name into the path.
 */
#ifndef CLOSEWAIT_CONTAINER_H
#define CLOSEWAIT_CONTAINER_H

#include <sys/types.h>

/* "containerd:" and 12 digits, or "machine:" and a machine's name (64 bytes: HOST_NAME_MAX). */
enum { CONTAINER_SIZE = 80 };

/*
 * "docker:4f2a9c0d1e3b" (the 12 digits that docker ps, podman ps and crictl take), "podman:...",
 * "containerd:...", "cri-o:...", "kubepods:..." where the path does not say by what it is run,
 * "container:..." where it has nothing but an id, "lxc:NAME", "machine:NAME" as machinectl(1) has
 * it. Of one container within another it is the inner one. Empty: it is in none that is known, or
 * has ended, or has a path within a cgroup namespace of ours that hides it.
 */
void container_of(pid_t pid, char name[CONTAINER_SIZE]);

/* The same of what /proc/PID/cgroup holds (cgroups(7)), in either version of cgroups. Pure. */
void container_in(const char *cgroups, char name[CONTAINER_SIZE]);

#endif
