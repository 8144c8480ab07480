{{/* The pod template of a role. Argument: [context, role, component]: role is one, cache or webhook. */}}
{{- define "nezha.pod" -}}
{{- $context := index . 0 }}
{{- $role := index . 1 }}
{{- $component := index . 2 }}
{{- $fullname := include "nezha.fullname" $context }}
{{- $settings := include "nezha.settings" (list $context $role) }}
{{- with $context.Values }}
metadata:
  labels:
    {{- include "nezha.labels" (list $context $component) | nindent 4 }}
    {{- with .podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # of what a process reads once, at its start: its settings, and by which way it may bring trust into pods
    checksum/settings: {{ printf "%s%s" $settings (include "nezha.distribution" $context) | sha256sum }}
    {{- with .podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- if eq $role "cache" }}
  automountServiceAccountToken: false
  {{- else }}
  serviceAccountName: {{ $fullname }}
  {{- end }}
  enableServiceLinks: false
  # after the pause of preStop and `cache.drain`
  terminationGracePeriodSeconds: {{ add (include "nezha.seconds" .cache.drain) 15 }}
  {{- with .imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if or (eq $role "webhook") (ne .workload "DaemonSet") }}
  {{- with .topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- $pods := include "nezha.selector" (list $context $component) | fromYaml }}
    {{- range . }}
    - {{ merge . (dict "labelSelector" (dict "matchLabels" $pods)) | toYaml | nindent 6 | trim }}
    {{- end }}
  {{- end }}
  {{- end }}
  securityContext:
    {{- toYaml .podSecurityContext | nindent 4 }}
  containers:
    - name: nezha
      image: {{ include "nezha.image" $context | quote }}
      imagePullPolicy: {{ .image.pullPolicy }}
      args: [serve]
      {{- with .extraEnv }}
      env:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - {name: cache, containerPort: 8080}
        {{- if ne $role "cache" }}
        - {name: webhook, containerPort: {{ .webhook.port }}}
        {{- end }}
      lifecycle:
        # until no node sends new connections here any more
        preStop: {sleep: {seconds: 5}}
      startupProbe:
        # a split cache waits until the CA is for its hosts, which the kubelet brings within a minute or two
        httpGet: {path: /healthz, port: cache}
        periodSeconds: 2
        failureThreshold: 150
      readinessProbe:
        httpGet: {path: /readyz, port: cache}
        periodSeconds: 2
      livenessProbe:
        httpGet: {path: /healthz, port: cache}
        periodSeconds: 10
        failureThreshold: 6
      resources:
        {{- toYaml (ternary .webhook.resources .resources (eq $role "webhook")) | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      volumeMounts:
        - {name: settings, mountPath: /etc/nezha, readOnly: true}
        - {name: cache, mountPath: /var/cache/nezha}
        {{- if eq $role "cache" }}
        - {name: ca, mountPath: /var/lib/nezha/tls, readOnly: true}
        {{- else if .webhook.certManager.enabled }}
        - {name: certificate, mountPath: /var/lib/nezha/tls/admission, readOnly: true}
        {{- end }}
        {{- with .extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: settings
      projected:
        sources:
          - configMap: {name: {{ $fullname }}, items: [{key: {{ ternary "webhook.yaml" "nezha.yaml" (eq $role "webhook") }}, path: nezha.yaml}]}
          {{- if ne $role "cache" }}
          - configMap: {name: hostaliases-config, items: [{key: config, path: hostaliases.yaml}]}
          {{- end }}
    {{- if eq $role "webhook" }}
    - name: cache
      emptyDir: {sizeLimit: 256Mi}
    {{- else if or (not .persistence.enabled) (eq .workload "DaemonSet") }}
    - name: cache
      emptyDir: {sizeLimit: {{ .persistence.size }}}
    {{- end }}
    {{- if eq $role "cache" }}
    - name: ca
      projected:
        sources: # the pods' CA, not the webhook's; the pod waits until it is made
          - secret: {name: {{ include "nezha.caSecret" $context }}, items: [{key: ca.key, path: ca.key}, {key: ca.crt, path: ca.crt}]}
          - secret:
              name: {{ include "nezha.caSecret" $context }}
              optional: true # there while it is rotated
              items:
                {{- range list "ca-next.key" "ca-next.crt" "ca-retired.crt" "ca-rotation.json" }}
                - {key: {{ . }}, path: {{ . }}}
                {{- end }}
    {{- else if .webhook.certManager.enabled }}
    - name: certificate
      secret: {secretName: {{ $fullname }}-webhook-certificate}
    {{- end }}
    {{- with .extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
{{- end }}
