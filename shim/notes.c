#include "notes.h"

#include <link.h>
#include <string.h>

const uint8_t *notes_find(const uint8_t *at, size_t size, const char *name, uint32_t type,
                          size_t *desc_size)
{
    enum { NAME_SIZE = 4 };
    ElfW(Nhdr) note;
    while (size >= sizeof(note)) {
        memcpy(&note, at, sizeof(note));
        const size_t name_room = (note.n_namesz + 3U) & ~3U;
        const size_t desc_room = (note.n_descsz + 3U) & ~3U;
        const size_t whole = sizeof(note) + name_room + desc_room;
        if (name_room > size || desc_room > size || whole > size)
            return NULL;
        if (note.n_type == type && note.n_namesz == NAME_SIZE &&
            memcmp(at + sizeof(note), name, NAME_SIZE) == 0) {
            *desc_size = note.n_descsz;
            return at + sizeof(note) + name_room;
        }
        at += whole;
        size -= whole;
    }
    return NULL;
}
