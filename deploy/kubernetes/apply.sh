#!/bin/bash
# Brings what runs to what a folder says, first or as an upgrade, in the order in which every version understands the one
# before it: NATS, provision and migrate, persister, dedup, normalizer, gateway. It may be run at any time, and again after
# it has failed.
#
#   deploy/kubernetes/apply.sh [folder]      by default deploy/; see kustomization.yaml there
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$here/..}
role='app.kubernetes.io/component'
roles=(persister dedup normalizer gateway)
jobs=(provision migrate)

# What has no role (NATS, policies, configuration), or the role that is named.
apply() { kubectl apply --kustomize "$folder" --selector "$1"; }
penstock() { kubectl --namespace penstock "$@"; }

for name in nats gateway normalizer dedup persister operator; do
  penstock get secret "$name" > /dev/null || {
    echo "$0: first: kubectl create namespace penstock; deploy/kubernetes/secrets.sh | kubectl apply -f -" >&2
    exit 1
  }
done

apply "$role notin ($(IFS=,; echo "${jobs[*]},${roles[*]}"))"
penstock rollout status statefulset/nats --timeout 30m

for job in "${jobs[@]}"; do
  # A Job cannot be changed.
  penstock delete job "$job" --ignore-not-found
  apply "$role=$job"
  if ! penstock wait job "$job" --for=condition=Complete --timeout 5m; then
    penstock logs "job/$job" --tail 20 >&2
    echo "$0: $job has not done its work; its words are above. No role was changed." >&2
    exit 1
  fi
done

for name in "${roles[@]}"; do
  apply "$role=$name"
  penstock rollout status "deployment/$name" --timeout 10m
done
