/*
 * The parts of the page that closewait report makes, as they are in cli/page.*. Each ends with NUL.
 */
#ifndef CLOSEWAIT_PAGE_FILES_H
#define CLOSEWAIT_PAGE_FILES_H

/* With {{names}} where something is to be put in. */
extern const char page_html[];

extern const char page_css[];
extern const char page_js[];

/* What a Content-Security-Policy calls the two: "sha256-...". */
extern const char page_css_hash[];
extern const char page_js_hash[];

#endif
