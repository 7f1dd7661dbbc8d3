#!/bin/sh
# Prints what make-secrets.sh --kubernetes has made as one Secret for each who uses some of it, with nothing else in it:
# `deploy/kubernetes/secrets.sh | kubectl apply -f -`. What it prints is secret: it is not for a file, nor for git.
#
# A file `source-<name>` of a source of your own, and `tls.crt` and `tls.key`, are for the gateway; put them into the folder
# first. `attachments-access-key-id` and `attachments-secret-access-key`, the keys of a bucket, are for those who store files,
# delete them or erase them.
#
# What is changed reaches the roles' pods by itself within two minutes. The gateway reads the secret of a source again at
# SIGHUP or when it is restarted: `kubectl -n penstock rollout restart deployment/gateway`. NATS has its passwords as
# environment, so its pods have to be restarted; how, and why not so for NATS_CLUSTER_PASSWORD, is in docs/reliability.md,
# "NATS' passwords were changed".
set -eu

folder=${PENSTOCK_SECRETS:-$(dirname "$0")/../secrets-kubernetes}
cd "$folder"

# secret <name> <arguments of kubectl>
secret() {
  echo "---"
  kubectl create secret generic "$@" --namespace penstock --dry-run=client --output yaml
}

of_the_gateway="--from-file=dedup-key"
for file in source-* tls.crt tls.key; do
  if [ -e "$file" ]; then of_the_gateway="$of_the_gateway --from-file=$file"; fi
done

of_the_files=
for file in attachments-*; do
  if [ -e "$file" ]; then of_the_files="$of_the_files --from-file=$file"; fi
done

secret nats --from-env-file=nats.env --from-env-file=nats-routes.env
# shellcheck disable=SC2086 # several words on purpose, here and below
secret gateway --from-file=nats-url=nats-url-gateway $of_the_gateway
# shellcheck disable=SC2086
secret normalizer --from-file=nats-url=nats-url-normalizer --from-file=dedup-key $of_the_files
secret dedup --from-file=nats-url=nats-url-dedup
# shellcheck disable=SC2086
secret persister --from-file=nats-url=nats-url-persister --from-file=postgres-url=postgres-url-persister $of_the_files
# shellcheck disable=SC2086
secret operator --from-file=nats-url=nats-url-admin --from-file=postgres-url $of_the_gateway $of_the_files
