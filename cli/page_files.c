#include "page_files.h"

/* From the Makefile; a linter does not know them. */
#ifndef PAGE_CSS_HASH
#define PAGE_CSS_HASH ""
#define PAGE_JS_HASH  ""
#endif

const char page_css_hash[] = PAGE_CSS_HASH;
const char page_js_hash[] = PAGE_JS_HASH;

/* The assembler reads them, which every compiler for every target has: no tool makes C of them. */
#define FILE_AS(name, path)                                                                        \
    __asm__(".pushsection .rodata\n"                                                               \
            ".globl " #name "\n"                                                                   \
            ".hidden " #name "\n"                                                                  \
            ".type " #name ", %object\n" #name ":\n"                                               \
            ".incbin \"" path "\"\n"                                                               \
            ".byte 0\n"                                                                            \
            ".size " #name ", . - " #name "\n"                                                     \
            ".popsection\n")

FILE_AS(page_html, "cli/page.html");
FILE_AS(page_css, "cli/page.css");
FILE_AS(page_js, "cli/page.js");
