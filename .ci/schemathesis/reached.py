"""Says whether the runs reached the answers that they are for: a check of refusals alone would be green too.

Takes the address of the gateway's metrics."""

import re
import sys
import urllib.request

EXPECTED = [
    ("feedback", "accepted"),
    ("feedback", "unsupported_media_type"),
    ("open", "accepted"),
    ("open", "conflict"),
    ("open", "bad_request"),
    ("orders", "accepted"),
    ("support", "held"),
    ("chat", "handshake"),
    ("chat", "unauthorized"),
    ("events", "handshake"),
    ("events", "method_not_allowed"),
    ("unknown", "not_found"),
]

with urllib.request.urlopen(sys.argv[1] + "/metrics", timeout=10) as answer:
    metrics = answer.read().decode()

counted = {}
for labels, value in re.findall(r"^penstock_gateway_requests_total\{(.*)\} (\S+)$", metrics, re.M):
    labels = dict(re.findall(r'(\w+)="([^"]*)"', labels))
    counted[labels["source"], labels["outcome"]] = int(float(value))

for (source, outcome), count in sorted(counted.items()):
    if count:
        print(f"{source:10} {outcome:24} {count}")
missing = [pair for pair in EXPECTED if not counted.get(pair)]
if missing:
    sys.exit(f".ci/openapi: no run had these answers: {missing}")
