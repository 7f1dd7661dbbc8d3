#!/bin/sh
# Draws the passwords and keys that compose.yaml or kustomization.yaml need, once: what is there already is left alone. The
# addresses made of them (nats-url-*, nats-routes.env, postgres-url*) are written anew each time, for the arguments of that
# time: give the same ones again.
#
#   deploy/make-secrets.sh             for one NATS server
#   deploy/make-secrets.sh --cluster   for the three of compose.nats-cluster.yaml (before the first start)
#   deploy/make-secrets.sh --kubernetes <database>    for Kubernetes; the database as in `db.example.com:5432/penstock`,
#                                      with `?sslmode=verify-full` as a rule. kubernetes/secrets.sh makes Secrets of them.
#
# An authority of your own: `?sslmode=verify-full&sslrootcert=/etc/penstock/ca.pem`, with a file ca.pem beside penstock.toml
# and in the `files` of configMapGenerator.
#
# They go to deploy/secrets (Kubernetes: deploy/secrets-kubernetes), or to $PENSTOCK_SECRETS. The folder is closed to other
# users of this machine. The files in it are not, because the roles run as a user of their own and get them one by one.
set -eu

folder=secrets
database=postgres:5432/penstock
case $#${1:-} in
  0) servers='nats' ;;
  1--cluster) servers='nats nats-2 nats-3' ;;
  2--kubernetes) servers='nats-0.nats nats-1.nats nats-2.nats' folder=secrets-kubernetes database=$2 ;;
  *) echo "usage: $0 [--cluster | --kubernetes <host>:<port>/<database>]" >&2; exit 2 ;;
esac
folder=${PENSTOCK_SECRETS:-$(dirname "$0")/$folder}

umask 022
mkdir -p "$folder"
chmod 700 "$folder"

# A letter first: NATS reads passwords in its environment as configuration values.
password() { echo "p$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"; }

# keep <file>: writes its input there, unless there is such a file.
keep() {
  if [ -e "$folder/$1" ]; then
    cat > /dev/null
  else
    cat > "$folder/$1.new"
    mv "$folder/$1.new" "$folder/$1"
    echo "made $folder/$1"
  fi
}

# derive <file>: writes its input there, where it is another. Into the same file, because that is what a container that runs
# has mounted.
derive() {
  cat > "$folder/$1.new"
  if [ ! -e "$folder/$1" ]; then
    mv "$folder/$1.new" "$folder/$1"
    echo "made $folder/$1"
  elif cmp -s "$folder/$1.new" "$folder/$1"; then
    rm "$folder/$1.new"
  else
    cat "$folder/$1.new" > "$folder/$1"
    rm "$folder/$1.new"
    echo "changed $folder/$1"
  fi
}

# The passwords of nats-users.conf and of the cluster, as the server's environment.
for name in ADMIN GATEWAY NORMALIZER DEDUP PERSISTER CLUSTER; do
  echo "NATS_${name}_PASSWORD=$(password)"
done | keep nats.env

# The same, as the addresses by which each role signs in.
for role in admin gateway normalizer dedup persister; do
  variable=NATS_$(echo "$role" | tr '[:lower:]' '[:upper:]')_PASSWORD
  secret=$(sed -n "s/^$variable=//p" "$folder/nats.env")
  for server in $servers; do echo "nats://$role:$secret@$server:4222"; done | paste -sd, - | derive "nats-url-$role"
done
routes=$(sed -n 's/^NATS_CLUSTER_PASSWORD=//p' "$folder/nats.env")
for server in $servers; do echo "nats://cluster:$routes@$server:6222"; done | paste -sd, - |
  sed 's/.*/NATS_ROUTES=[&]/' | derive nats-routes.env

password | keep postgres-superuser-password
password | keep postgres-password
password | keep postgres-persister-password
echo "postgres://penstock:$(cat "$folder/postgres-password")@$database" | derive postgres-url
echo "postgres://persister:$(cat "$folder/postgres-persister-password")@$database" | derive postgres-url-persister

od -An -N32 -tx1 /dev/urandom | tr -d ' \n' | keep dedup-key
# What signs the webhooks of the source `orders`: give it to whoever sends them.
echo "whsec_$(head -c 32 /dev/urandom | base64)" | keep source-orders
