#!/usr/bin/python3
"""Checks lines of JSON on standard input against docs/schema.json.

Prints a line for each that fails, and exits with 1 then. With --strict, what the schema does not
describe is a failure, too: a reader lets later versions add members, a test does not.
"""

import json
import sys

import jsonschema


def members(pairs):
    seen = dict(pairs)
    if len(seen) != len(pairs):
        raise ValueError("a member is there twice")
    return seen


def refuse(constant):
    raise ValueError(f"{constant} is no number of JSON")


def complaint(validator, line):
    if not line.endswith(b"\n"):
        return "it has no end of line"
    try:
        record = json.loads(line.decode(), object_pairs_hook=members, parse_constant=refuse)
    except ValueError as error:
        return str(error)
    error = jsonschema.exceptions.best_match(validator.iter_errors(record))
    return f"{error.json_path}: {error.message}" if error else None


def main():
    strict = "--strict" in sys.argv[1:]
    with open("docs/schema.json", encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    if strict:
        schema["unevaluatedProperties"] = False
        schema["$defs"]["held-leak"]["unevaluatedProperties"] = False
    validator = jsonschema.Draft202012Validator(schema)
    failures = 0
    for number, line in enumerate(sys.stdin.buffer, 1):
        what = complaint(validator, line)
        if what:
            failures += 1
            print(f"line {number}: {what}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
