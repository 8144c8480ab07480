{{/* The settings of one role's process, as YAML. Argument: [context, role], where role is one, cache or webhook. */}}
{{- define "nezha.settings" -}}
{{- $context := index . 0 }}
{{- $role := index . 1 }}
{{- with $context.Values }}
{{- $namespace := include "nezha.namespace" $context }}
{{- $cache := merge (dict "listen" "0.0.0.0:8080" "directory" "/var/cache/nezha") .cache }}
{{- $admission := dict "listen" (printf "0.0.0.0:%v" .webhook.port) "service" (printf "%s.%s" .service.name $namespace)
    "webhook_service" (printf "%s-webhook.%s" (include "nezha.fullname" $context) $namespace)
    "rules_file" "/etc/nezha/hostaliases.yaml" "trust" .trust.enabled }}
{{- $tls := dict "directory" "/var/lib/nezha/tls" "overlap" .trust.overlap "secret" (include "nezha.caSecret" $context) }}
{{- if eq $role "cache" }}
{{- $_ := set $admission "enabled" false }}
{{- $_ := set $tls "follow" true }}
{{- $_ := unset $tls "secret" }}
{{- end }}
{{- if eq $role "webhook" }}
{{- $_ := set $cache "size" "64MiB" }}
{{- $_ := set $cache "memory" "16MiB" }}
{{- $_ := set $cache "buffers" "16MiB" }}
{{- $_ := set $cache "slice" "4MiB" }}
{{- $_ := set $admission "cache_port" .service.httpPort }}
{{- end }}
{{- $origins := .origins }}
{{- if .tests.enabled }}
{{- $origins = append $origins (dict "name" "helm-test" "dialect" "http" "hosts" (list "192.0.2.1") "fresh" "1h"
    "connect" (printf "http://%s-helm-test.%s.svc:8080" (include "nezha.fullname" $context) $namespace)) }}
{{- end }}
{{- toYaml (dict "cache" $cache "admission" $admission "tls" $tls "log" .log "origins" $origins) }}
{{- end }}
{{- end }}

{{- define "nezha.caSecret" -}}
{{ include "nezha.fullname" . }}-ca
{{- end }}

{{/* What the values contradict themselves in. */}}
{{- define "nezha.check" -}}
{{- with .Values }}
{{- $size := include "nezha.mebibytes" .cache.size | int64 }}
{{- $volume := include "nezha.mebibytes" .persistence.size | int64 }}
{{- if ge $size $volume }}
{{- fail (printf "cache.size (%v) must be smaller than persistence.size (%v), in which the index has its place too" .cache.size .persistence.size) }}
{{- end }}
{{- if and .policy.enabled (not .policy.manifest) }}
{{- fail "policy.enabled: give the output of `nezha policy render` by --set-file policy.manifest=FILE" }}
{{- end }}
{{- if and .policy.enabled .webhook.enabled }}
{{- fail "policy.enabled: the policies do what the webhook does: set webhook.enabled=false" }}
{{- end }}
{{- if and .webhook.certManager.enabled (not .webhook.enabled) }}
{{- fail "webhook.certManager.enabled: there is no webhook to certify: set webhook.enabled=true" }}
{{- end }}
{{- range .origins }}
{{- if eq .name "helm-test" }}{{ fail "origins: the name helm-test is taken by tests.enabled" }}{{ end }}
{{- end }}
{{- end }}
{{- end }}
