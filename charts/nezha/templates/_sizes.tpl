{{/* A size of Nezha (100GiB, 5GB, 1024) or of Kubernetes (120Gi, 5G) in MiB, rounded down. */}}
{{- define "nezha.mebibytes" -}}
{{- $text := toString . }}
{{- $number := regexFind "^[0-9.]+" $text | float64 }}
{{- $unit := regexReplaceAll "^[0-9. ]+" $text "" | trimSuffix "B" }}
{{- $factors := dict "" 0.00000095367431640625 "k" 0.00095367431640625 "K" 0.00095367431640625 "M" 0.95367431640625 "G" 953.67431640625 "T" 953674.31640625 "P" 953674316.40625 "Ki" 0.0009765625 "Mi" 1.0 "Gi" 1024.0 "Ti" 1048576.0 "Pi" 1073741824.0 }}
{{- mulf $number (get $factors $unit) | floor | int64 }}
{{- end }}

{{/* Seconds of a time such as 30s or 1.5m, rounded up. */}}
{{- define "nezha.seconds" -}}
{{- $text := toString . }}
{{- $factors := dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0 "d" 86400.0 "" 1.0 }}
{{- mulf (regexFind "^[0-9.]+" $text | float64) (get $factors (regexReplaceAll "^[0-9. ]+" $text "")) | ceil | int64 }}
{{- end }}
