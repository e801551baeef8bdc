/*
 * The file that knows a module's symbols: the module itself, or what has the same build id.
 */
#ifndef CLOSEWAIT_IMAGE_H
#define CLOSEWAIT_IMAGE_H

#include <elfutils/libdwfl.h>
#include <stdbool.h>

struct image {
    Dwfl *dwfl;
    Dwfl_Module *module; /* at bias 0: its addresses are the file's own */
};

/* The callbacks for image_open. *path is where debug files are, as symbols_search has it. */
Dwfl_Callbacks image_callbacks(char **path);

/*
 * Opens the file at path if it has the build id (hex; empty: whatever it has), or else one that has
 * it where the callbacks search. Never blocks on what is not a regular file. False when there is
 * none or it is no sound executable or shared object. The callbacks must outlive the image.
 */
bool image_open(struct image *image, const Dwfl_Callbacks *callbacks, const char *path,
                const char *build_id);

/* An image that was not opened may be closed too, if it is zeroed. */
void image_close(struct image *image);

#endif
