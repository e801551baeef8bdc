#include "vdso.h"

#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>

#include "raw.h"

#if defined(__x86_64__) || defined(__i386__)
static const char wanted[] = "__vdso_clock_gettime";
#elif defined(__aarch64__)
static const char wanted[] = "__kernel_clock_gettime";
#endif

static long by_system_call(clockid_t clock, struct timespec *now)
{
    return raw2(SYS_clock_gettime, clock, (long)now);
}

vdso_gettime *_Atomic vdso_found = by_system_call;

/* Its dynamic section says where each is, as an address that the linker meant. */
struct image {
    uintptr_t bias;
    const ElfW(Sym) * symbols;
    const char *names;
    const uint32_t *hash;     /* DT_HASH */
    const uint32_t *gnu_hash; /* DT_GNU_HASH: all that newer kernels have */
};

static const ElfW(Dyn) * find_dynamic(const ElfW(Ehdr) * header, struct image *image)
{
    const ElfW(Phdr) *segments = (const ElfW(Phdr) *)((uintptr_t)header + header->e_phoff);
    const ElfW(Dyn) *dynamic = NULL;
    for (int i = 0; i < header->e_phnum; i++) {
        if (segments[i].p_type == PT_LOAD && !image->bias)
            image->bias = (uintptr_t)header + segments[i].p_offset - segments[i].p_vaddr;
        if (segments[i].p_type == PT_DYNAMIC)
            dynamic = (const ElfW(Dyn) *)((uintptr_t)header + segments[i].p_offset);
    }
    return dynamic;
}

static bool read_image(const ElfW(Ehdr) * header, struct image *image)
{
    const ElfW(Dyn) *dynamic = find_dynamic(header, image);
    for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
        const uintptr_t at = image->bias + dynamic->d_un.d_ptr;
        if (dynamic->d_tag == DT_SYMTAB)
            image->symbols = (const ElfW(Sym) *)at;
        else if (dynamic->d_tag == DT_STRTAB)
            image->names = (const char *)at;
        else if (dynamic->d_tag == DT_HASH)
            image->hash = (const uint32_t *)at;
        else if (dynamic->d_tag == DT_GNU_HASH)
            image->gnu_hash = (const uint32_t *)at;
    }
    return image->symbols && image->names && (image->hash || image->gnu_hash);
}

/* The last chain of the GNU table ends with the last symbol. */
static uint32_t count_by_gnu_hash(const uint32_t *table)
{
    const uint32_t bucket_count = table[0];
    const uint32_t first = table[1];
    const uint32_t *buckets = table + 4 + table[2] * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
    const uint32_t *chains = buckets + bucket_count;
    uint32_t last = 0;
    for (uint32_t i = 0; i < bucket_count; i++)
        last = buckets[i] > last ? buckets[i] : last;
    while (last >= first && !(chains[last - first] & 1))
        last++;
    return last + 1;
}

static void *find_symbol(const struct image *image)
{
    const uint32_t count = image->hash ? image->hash[1] : count_by_gnu_hash(image->gnu_hash);
    for (uint32_t i = 0; i < count; i++) {
        const ElfW(Sym) *symbol = &image->symbols[i];
        if (symbol->st_shndx != SHN_UNDEF && strcmp(image->names + symbol->st_name, wanted) == 0)
            return (void *)(image->bias + symbol->st_value);
    }
    return NULL;
}

void vdso_init(void)
{
    const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)getauxval(AT_SYSINFO_EHDR);
    struct image image = {0};
    void *found = header && read_image(header, &image) ? find_symbol(&image) : NULL;
    if (found)
        atomic_store_explicit(&vdso_found, (vdso_gettime *)found, memory_order_relaxed);
}

void vdso_forget(void)
{
    atomic_store_explicit(&vdso_found, by_system_call, memory_order_relaxed);
}
