{{- define "nezha.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "nezha.fullname" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- $name := include "nezha.name" . }}
{{- if contains $name .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}
{{- end }}

{{- define "nezha.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{- define "nezha.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}

{{/* What chooses pods. Argument: [context, component]; the webhook's component in `one` is the cache's. */}}
{{- define "nezha.selector" -}}
{{- $context := index . 0 -}}
app.kubernetes.io/name: {{ include "nezha.name" $context }}
app.kubernetes.io/instance: {{ $context.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "nezha.webhookComponent" -}}
{{- if eq .Values.roles "split" }}webhook{{ else }}cache{{ end }}
{{- end }}

{{/* Labels of every object. Argument: [context, component]. */}}
{{- define "nezha.labels" -}}
{{- $context := index . 0 -}}
{{- include "nezha.selector" . }}
app.kubernetes.io/version: {{ $context.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $context.Release.Service }}
app.kubernetes.io/part-of: nezha
helm.sh/chart: {{ printf "%s-%s" $context.Chart.Name $context.Chart.Version | replace "+" "_" }}
{{- with $context.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The metadata of a namespaced object but its annotations. Argument: [context, name, component]. */}}
{{- define "nezha.metadata" -}}
name: {{ index . 1 }}
namespace: {{ include "nezha.namespace" (index . 0) }}
labels:
  {{- include "nezha.labels" (list (index . 0) (index . 2)) | nindent 2 }}
{{- end }}

{{/* The same of an object of the cluster. */}}
{{- define "nezha.clusterMetadata" -}}
name: {{ index . 1 }}
labels:
  {{- include "nezha.labels" (list (index . 0) (index . 2)) | nindent 2 }}
{{- end }}

{{/* ClusterTrustBundle or ConfigMap. */}}
{{- define "nezha.distribution" -}}
{{- if ne .Values.trust.distribution "auto" }}{{ .Values.trust.distribution }}
{{- else if or (.Capabilities.APIVersions.Has "certificates.k8s.io/v1/ClusterTrustBundle") (.Capabilities.APIVersions.Has "certificates.k8s.io/v1beta1/ClusterTrustBundle") }}ClusterTrustBundle
{{- else }}ConfigMap{{ end }}
{{- end }}

{{/* Whether anything of Nezha's speaks with the API server: webhook, trust, address. */}}
{{- define "nezha.replicated" -}}
{{- if and (eq .Values.workload "StatefulSet") (gt (int .Values.replicaCount) 1) }}true{{ end }}
{{- end }}
