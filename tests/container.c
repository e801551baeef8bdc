/*
 * The name of a container, from what /proc/PID/cgroup holds.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "../cli/container.h"

#define ID  "4f2a9c0d1e3b5a6978c0ffee00112233445566778899aabbccddeeff00112233"
#define ID2 "00112233445566778899aabbccddeeff4f2a9c0d1e3b5a6978c0ffee00112233"
#define POD "pod3f1b2c4d_5e6f_7081_92a3_b4c5d6e7f809"

Test(container, is_named_by_its_cgroup)
{
    static const struct {
        const char *cgroups;
        const char *name;
    } rows[] = {
        /* none */
        {"", ""},
        {"0::/\n", ""},
        {"0::/user.slice/user-1000.slice/session-2.scope\n", ""},
        {"0::/system.slice/docker.service\n", ""},
        {"0::/system.slice/containerd.service\n", ""},
        {"0::/../../elsewhere\n", ""},
        {"no colon\n:\n", ""},
        {"0::/system.slice/docker-1234.scope\n", ""},
        {"0::/machine.slice/libpod-conmon-" ID ".scope\n", ""},
        {"0::/lxc.monitor.web\n", ""},
        {"0::/machine.slice/machine-.scope\n", ""},
        /* Docker, with either driver, in either version of cgroups */
        {"0::/system.slice/docker-" ID ".scope\n", "docker:4f2a9c0d1e3b"},
        {"0::/docker/" ID "\n", "docker:4f2a9c0d1e3b"},
        {"12:pids:/docker/" ID "\n11:cpu,cpuacct:/docker/" ID "\n", "docker:4f2a9c0d1e3b"},
        {"12:pids:/\n1:name=systemd:/docker/" ID "\n0::/\n", "docker:4f2a9c0d1e3b"},
        {"0::/docker/" ID "/init.scope\n", "docker:4f2a9c0d1e3b"},
        {"0::/docker/" ID "/docker/" ID2 "\n", "docker:001122334455"},
        /* Podman */
        {"0::/machine.slice/libpod-" ID ".scope\n", "podman:4f2a9c0d1e3b"},
        {"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID
         ".scope/container\n",
         "podman:4f2a9c0d1e3b"},
        {"0::/libpod_parent/libpod-" ID "\n", "podman:4f2a9c0d1e3b"},
        /* Kubernetes */
        {"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-" POD
         ".slice/cri-containerd-" ID ".scope\n",
         "containerd:4f2a9c0d1e3b"},
        {"0::/kubepods.slice/kubepods-" POD ".slice/crio-" ID ".scope/container\n",
         "cri-o:4f2a9c0d1e3b"},
        {"0::/kubepods.slice/kubepods-" POD ".slice/docker-" ID ".scope\n", "docker:4f2a9c0d1e3b"},
        {"3:memory:/kubepods/burstable/" POD "/" ID "\n", "kubepods:4f2a9c0d1e3b"},
        {"3:memory:/system.slice/containerd.service/kubepods-burstable-" POD
         ".slice:cri-containerd:" ID "\n",
         "containerd:4f2a9c0d1e3b"},
        {"0::/docker/" ID2 "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-" POD
         ".slice/cri-containerd-" ID ".scope\n",
         "containerd:4f2a9c0d1e3b"},
        /* an id and nothing else */
        {"4:cpu:/ecs/0123456789abcdef/" ID "\n", "container:4f2a9c0d1e3b"},
        /* machines */
        {"0::/machine.slice/machine-web.scope/payload\n", "machine:web"},
        {"0::/machine.slice/machine-debian\\x2d12.scope/payload/system.slice/nginx.service\n",
         "machine:debian-12"},
        {"0::/machine.slice/systemd-nspawn@build\\x2dbox.service/payload\n", "machine:build-box"},
        {"0::/machine.slice/machine-odd\\x2.scope\n", "machine:odd\\x2"},
        /* LXC */
        {"0::/lxc.payload.web/system.slice/nginx.service\n", "lxc:web"},
        {"0::/lxc.payload/web\n", "lxc:web"},
        {"5:devices:/lxc/web\n", "lxc:web"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char name[CONTAINER_SIZE] = "untouched";
        container_in(rows[i].cgroups, name);
        cr_expect_str_eq(name, rows[i].name, "'%s' instead of '%s' of %s", name, rows[i].name,
                         rows[i].cgroups);
    }
}

Test(container, of_a_name_that_is_too_long_keeps_the_beginning)
{
    char name[CONTAINER_SIZE];
    char long_name[201] = "";
    char path[256];
    memset(long_name, 'a', sizeof(long_name) - 1);
    snprintf(path, sizeof(path), "0::/machine.slice/machine-%s.scope\n", long_name);
    container_in(path, name);
    cr_expect_eq(strlen(name), CONTAINER_SIZE - 1);
    cr_expect_eq(memcmp(name, "machine:aaaa", 12), 0);
}

Test(container, of_a_process_that_has_ended_is_none)
{
    char name[CONTAINER_SIZE] = "untouched";
    container_of(0x7ffffff0, name);
    cr_expect_str_empty(name);
}
