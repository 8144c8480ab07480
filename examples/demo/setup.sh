#!/usr/bin/env bash
# The original's demo on the chart: a cache (Service proxy-cache) and its webhook in the namespace nezha-demo.
#
#   setup.sh start            the job reads www.cs.toronto.edu, through the cache
#   setup.sh start --offline  the same without the internet: a server in the cluster stands in for it
#   setup.sh clean            removes all of it, the job too
#
# IMAGE names Nezha's image where it is not nezha:0.1.0. Needs kubectl, helm and a cluster without another Nezha.
set -euo pipefail
cd "$(dirname "$0")"

NAMESPACE=nezha-demo

usage() {
  echo "usage: $0 start [--offline] | clean" >&2
  exit 2
}

start() {
  local values=(--values values.yaml)
  if [[ ${1:-} == --offline ]]; then
    values+=(--values offline.yaml)
  elif (($#)); then
    usage
  fi
  if [[ -n ${IMAGE:-} ]]; then
    values+=(--set "image.repository=${IMAGE%:*},image.tag=${IMAGE##*:}")
  fi
  helm upgrade --install nezha ../../charts/nezha --namespace $NAMESPACE --create-namespace --wait --timeout 3m "${values[@]}" >/dev/null
  # the API server takes some seconds until it calls a new webhook: these wait for it, and read twice through the cache
  helm test nezha --namespace $NAMESPACE >/dev/null || {
    helm test nezha --namespace $NAMESPACE --logs >&2
    exit 1
  }
  kubectl --namespace $NAMESPACE get service proxy-cache
  kubectl --namespace $NAMESPACE get pod
}

clean() {
  kubectl delete --ignore-not-found -f kubeflow-test.yaml
  helm uninstall nezha --namespace $NAMESPACE --ignore-not-found --wait
  kubectl delete namespace $NAMESPACE --ignore-not-found
  # mounted in running pods, which is why Helm does not remove it
  kubectl delete clustertrustbundle nezha-trust --ignore-not-found
}

case "${1:-}" in
  start) start "${@:2}" ;;
  clean) (($# == 1)) || usage; clean ;;
  *) usage ;;
esac
