"""Holds a bill of materials to a built program: `sbom.py BILL PROGRAM`.

A panic's place and the line numbers are in a program by the path of their source, so it names most crates that it was linked from
(not those of which only inlined code is left). Each has to be in the bill, in that version, as what is linked. The bill itself is
made from what cargo says and not from the program.
"""

import json
import re
import sys

SOURCE = re.compile(rb"/registry/src/[^/\0]{1,80}/([A-Za-z0-9_-]+-[0-9]+\.[0-9]+\.[0-9A-Za-z.+-]+)/")
# Of more than 170 on Linux. A program without its line numbers still has its panics.
AT_LEAST = 50


def main(bill: str, program: str) -> None:
    with open(bill, encoding="utf-8") as file:
        components = json.load(file)["components"]
    required = {f"{one['name']}-{one['version']}" for one in components if one["scope"] == "required"}
    with open(program, "rb") as file:
        found = {name.decode() for name in SOURCE.findall(file.read())}
    missing = sorted(found - required)
    if missing:
        sys.exit(f"{program} is linked from what is not in the bill of materials: {', '.join(missing)}")
    if len(found) < AT_LEAST:
        sys.exit(f"{program} names only {len(found)} crates: it says nothing about the bill of materials")
    print(f"bill of materials: {len(components)} components; {program} names {len(found)} of them and no other")


main(*sys.argv[1:])
