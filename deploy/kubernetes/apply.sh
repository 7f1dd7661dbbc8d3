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
# Seconds between two looks at a Job.
pause=2

# What has no role (NATS, policies, configuration), or the role that is named.
apply() { kubectl apply --kustomize "$folder" --selector "$1"; }
penstock() { kubectl --namespace penstock "$@"; }

# What a Job has come to: Complete, Failed, running, standing (no container of it runs), or nothing where there is none.
state() {
  local found
  found=$(penstock get job "$1" --ignore-not-found \
    --output 'jsonpath=there {.status.conditions[?(@.status=="True")].type} {.status.ready}') || return
  case " $found " in
    '  ') ;;
    *' Complete '*) echo Complete ;;
    *' Failed '*) echo Failed ;;
    *\ [1-9]*) echo running ;;
    *) echo standing ;;
  esac
}

# Waits until a Job has ended, and prints its last state. It may run for hours, because a migration takes as long as the
# tables are large, but not stand for five minutes in all: its image is not there, or it ends and is started again.
last_state() {
  local now standing=0 until=$((SECONDS + 6 * 3600))
  while [ "$SECONDS" -lt "$until" ]; do
    now=$(state "$1") || now=unknown
    case $now in
      running) ;;
      standing | unknown) standing=$((standing + pause)) ;;
      *) break ;;
    esac
    [ "$standing" -lt 300 ] || break
    sleep "$pause"
  done
  echo "$now"
}

for name in nats gateway normalizer dedup persister operator; do
  penstock get secret "$name" > /dev/null || {
    echo "$0: first: kubectl create namespace penstock; deploy/kubernetes/secrets.sh | kubectl apply -f -" >&2
    exit 1
  }
done

apply "$role notin ($(IFS=,; echo "${jobs[*]},${roles[*]}"))"
penstock rollout status statefulset/nats --timeout 30m

for job in "${jobs[@]}"; do
  # A Job cannot be changed, and one that runs, of a run of this before, would begin again if it were deleted.
  now=$(state "$job")
  if [ "$now" = running ]; then
    echo "$0: $job of an earlier run is still at work; waiting for it" >&2
    now=$(last_state "$job")
  fi
  if [ "$now" != running ] && [ "$now" != unknown ]; then
    penstock delete job "$job" --ignore-not-found
    apply "$role=$job"
    now=$(last_state "$job")
  fi
  if [ "$now" != Complete ]; then
    penstock logs "job/$job" --tail 20 >&2 || true
    echo "$0: $job has not done its work: ${now:-gone}. Its words are above, and kubectl -n penstock describe job $job has" \
      "more. No role was changed. One that is running goes on; run this again then." >&2
    exit 1
  fi
done

for name in "${roles[@]}"; do
  apply "$role=$name"
  penstock rollout status "deployment/$name" --timeout 10m
done
