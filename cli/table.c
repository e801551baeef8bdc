#include "table.h"

#include <err.h>
#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>

#include "as_utf8.h"

/* An address has at most 56 bytes, an owner two numbers, a name and an address. */
enum { CELL_SIZE = 256 };

/* libsmartcols fails for want of memory alone, the way that we use it. */
static void *must(void *made)
{
    if (!made)
        errx(EXIT_FAILURE, "out of memory for the table");
    return made;
}

static void fill(struct libscols_line *line, size_t column, const char *cell)
{
    if (cell[0] && scols_line_set_data(line, column, cell) != 0)
        must(NULL);
}

static struct libscols_table *table_with(const struct choice *choice)
{
    struct libscols_table *table = must(scols_new_table());
    for (size_t i = 0; i < choice->count; i++) {
        const struct column *column = choice->at[i];
        struct libscols_column *made =
            must(scols_table_new_column(table, column->name, 0, column->flags));
        scols_column_set_json_type(made, column->json_type);
    }
    return table;
}

/* What a cell shows, in the one kind of table or the other. */
typedef void cell_adder(const struct column *column, const struct row *row, struct text *text);

static void add_text_cell(const struct column *column, const struct row *row, struct text *text)
{
    column->cell(row, text);
}

/* Where a table shows what is no text by escapes, libsmartcols puts it into JSON as it is. */
static void add_json_cell(const struct column *column, const struct row *row, struct text *text)
{
    char cell[CELL_SIZE];
    struct text bytes = text_in(cell, sizeof(cell));
    (column->json_cell ? column->json_cell : column->cell)(row, &bytes);
    text_add_as_utf8(text, cell);
}

static void add_rows(struct libscols_table *table, const struct choice *choice,
                     const struct rows *rows, cell_adder *add_cell)
{
    for (size_t i = 0; i < rows->count; i++) {
        struct libscols_line *line = must(scols_table_new_line(table, NULL));
        for (size_t j = 0; j < choice->count; j++) {
            const struct column *column = choice->at[j];
            char cell[CELL_SIZE];
            struct text text = text_in(cell, sizeof(cell));
            add_cell(column, &rows->at[i], &text);
            fill(line, j, cell);
            if (column->color)
                scols_cell_set_color(scols_line_get_cell(line, j), column->color(&rows->at[i]));
        }
    }
}

void table_print(const struct choice *choice, const struct rows *rows, struct table_style style)
{
    if (rows->count == 0)
        return;
    struct libscols_table *table = table_with(choice);
    scols_table_enable_noheadings(table, !style.headings);
    scols_table_enable_colors(table, style.colors);
    add_rows(table, choice, rows, add_text_cell);
    scols_print_table(table);
    scols_unref_table(table);
}

void table_print_json(const struct listing *listing, const struct choice *choice,
                      const struct rows *rows)
{
    struct libscols_table *table = table_with(choice);
    scols_table_enable_json(table, 1);
    scols_table_set_name(table, listing->name);
    add_rows(table, choice, rows, add_json_cell);
    /* Of a table without lines, it would print nothing, which is no JSON. */
    if (rows->count == 0)
        printf("{\n   \"%s\": []\n}\n", listing->name);
    else
        scols_print_table(table);
    scols_unref_table(table);
}
