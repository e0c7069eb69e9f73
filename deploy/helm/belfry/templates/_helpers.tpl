{{- define "belfry.name" -}}
{{- if contains "belfry" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-belfry" (.Release.Name | trunc 43 | trimSuffix "-") }}{{ end -}}
{{- end }}

{{- define "belfry.secret" -}}
{{ .Values.secret.existing | default (include "belfry.name" .) }}
{{- end }}

{{- define "belfry.selector" -}}
app.kubernetes.io/name: belfry
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "belfry.labels" -}}
{{ include "belfry.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- /* Whether nodes talk to each other: one may run alone on SQLite. */}}
{{- define "belfry.clustered" -}}
{{- if or (gt (int .Values.replicas) 1) .Values.secret.redis }}yes{{ end -}}
{{- end }}
