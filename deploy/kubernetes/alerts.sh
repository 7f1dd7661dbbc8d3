#!/bin/sh
# Prints deploy/alerts.yml as the Prometheus operator takes it: `deploy/kubernetes/alerts.sh | kubectl apply -f -`. Kustomize
# can make no object of a file, and a second copy of the alerts would be another set of alerts one day.
set -eu
cat <<'YAML'
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: { name: penstock, namespace: penstock }
spec:
YAML
sed 's/^./  &/' "$(dirname "$0")/../alerts.yml"
