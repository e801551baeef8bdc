#include "traces.h"

#include <stdint.h>
#include <string.h>

const char *const traces_names[] = {"open_stack",    "eof_stack",  "last_stack", "bind_stack",
                                    "connect_stack", "call_stack", NULL};

static const char *text_of(const json_t *frame, const char *name)
{
    const char *text = json_string_value(json_object_get(frame, name));
    return text ? text : "";
}

static json_t *frame_of(const json_t *place, const struct symbol_frame *found)
{
    json_t *frame = json_copy((json_t *)place);
    if (!frame || !found->function)
        return frame;
    json_object_set_new(frame, "symbol", json_string(found->function));
    if (found->file) {
        json_object_set_new(frame, "file", json_string(found->file));
        json_object_set_new(frame, "line", json_integer(found->line));
    }
    if (found->inlined)
        json_object_set_new(frame, "inlined", json_true());
    return frame;
}

static void add_frames(json_t *stack, const json_t *place, struct symbols *symbols)
{
    struct symbol_frame found[SYMBOL_FRAMES];
    const json_int_t offset = json_integer_value(json_object_get(place, "offset"));
    if (!json_is_object(place) || text_of(place, "symbol")[0] || !text_of(place, "module")[0]) {
        json_array_append(stack, (json_t *)place);
        return;
    }
    const int count = symbol_find(symbols, text_of(place, "module"), text_of(place, "build_id"),
                                  (uint64_t)offset, found, SYMBOL_FRAMES);
    for (int i = 0; i < count; i++)
        json_array_append_new(stack, frame_of(place, &found[i]));
}

static void symbolize_stacks(json_t *holder, struct symbols *symbols)
{
    for (size_t i = 0; traces_names[i]; i++) {
        const json_t *places = json_object_get(holder, traces_names[i]);
        json_t *stack = json_is_array(places) ? json_array() : NULL;
        size_t at;
        const json_t *place;
        if (!stack)
            continue;
        json_array_foreach((json_t *)places, at, place) add_frames(stack, place, symbols);
        json_object_set_new(holder, traces_names[i], stack);
    }
}

void traces_symbolize(json_t *record, struct symbols *symbols)
{
    json_t *leak = json_object_get(record, "leak");
    symbolize_stacks(record, symbols);
    if (json_is_object(leak))
        symbolize_stacks(leak, symbols);
}
