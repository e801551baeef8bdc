#include "page_files.h"

/* From the Makefile; a linter does not know them. */
#ifndef PAGE_CSS_HASH
#define PAGE_CSS_HASH ""
#define PAGE_JS_HASH  ""
#endif

const char page_css_hash[] = PAGE_CSS_HASH;
const char page_js_hash[] = PAGE_JS_HASH;

/* The assembler reads them, which every compiler for every target has: no tool makes C of them. */
#define FILE(path) ".incbin \"" path "\"\n"
#define FILES_AS(name, files)                                                                      \
    __asm__(".pushsection .rodata\n"                                                               \
            ".globl " #name "\n"                                                                   \
            ".hidden " #name "\n"                                                                  \
            ".type " #name ", %object\n" #name ":\n" files ".byte 0\n"                             \
            ".size " #name ", . - " #name "\n"                                                     \
            ".popsection\n")

FILES_AS(page_html, FILE("cli/page.html"));
FILES_AS(page_css, FILE("cli/page.css"));
/* In the order of PAGE_JS in the Makefile, which makes the hash. */
FILES_AS(page_js, FILE("cli/page.js") FILE("cli/page_timeline.js") FILE("cli/page_icicle.js")
                      FILE("cli/page_records.js"));
